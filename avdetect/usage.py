"""What the command's verbs share: exit codes, wrong usage, and the session that judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractors.errors import AvdetectError

if TYPE_CHECKING:
    from argparse import Namespace

    from pipelines.detection.session import DetectorSession

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(AvdetectError):
    """The command as given cannot be run; the message is one sentence."""


def load_session(options: Namespace) -> DetectorSession:
    """Return the session; what is wrong with weights, device or `--set` is wrong usage."""
    from pipelines.detection.session import load

    try:
        return load(options.weights, options.device, options.set)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
