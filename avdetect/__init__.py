"""avdetect: a video in, a verdict with the manipulated segments out.

>>> import avdetect
>>> verdict = avdetect.detect("clip.mp4")  # doctest: +SKIP
>>> verdict.score, verdict.segments  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extractors.media import MediaError
    from pipelines.detect import Session
    from pipelines.verdict import Verdict
    from temporal.localization import Segment

__version__ = "0.1.0"
__all__ = ["MediaError", "Segment", "Verdict", "__version__", "detect", "load"]

_HOME = {
    "MediaError": "extractors.media",
    "Segment": "temporal.localization",
    "Verdict": "pipelines.detect",
}


def detect(path: str | PathLike[str]) -> Verdict:
    """Return the verdict on one file by the weights in the package, loaded at the first call.

    Raises:
        MediaError: the file cannot be read.
    """
    return _starter().detect(path)


def load(
    weights: str | PathLike[str] | None = None,
    device: str = "cpu",
    overrides: Sequence[str] = (),
) -> Session:
    """Return a session whose `.detect(path)` gives verdicts.

    Args:
        weights: a file that training saved; None for the weights in the package.
        device: `cpu` or `cuda`.
        overrides: changes to the weights' configuration, such as `localization.threshold=0.6`.
    """
    from pathlib import Path

    from pipelines.detect import load as load_session

    return load_session(None if weights is None else Path(weights), device, list(overrides))


@cache
def _starter() -> Session:
    return load()


def __getattr__(name: str) -> object:
    """Import a public class where it is first asked for: `import avdetect` stays light."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
