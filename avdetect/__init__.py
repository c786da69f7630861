"""avdetect tells whether a video was manipulated: how likely, which track, and which seconds.

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
    from extractors.errors import AvdetectError
    from extractors.media import MediaError
    from pipelines.detection.result import Result
    from pipelines.detection.session import DetectorSession
    from pipelines.detection.verdict import Verdict
    from temporal.segment import Segment

__version__ = "0.1.0"
__all__ = [
    "AvdetectError", "DetectorSession", "MediaError", "Result", "Segment", "Verdict",
    "__version__", "detect", "load", "save_report",
]  # fmt: skip

_HOME = {
    "AvdetectError": "extractors.errors",
    "DetectorSession": "pipelines.detection.session",
    "MediaError": "extractors.media",
    "Result": "pipelines.detection.result",
    "Segment": "temporal.segment",
    "Verdict": "pipelines.detection.verdict",
}


def detect(path: str | PathLike[str]) -> Verdict:
    """Return the verdict on one file by the weights in the package, loaded at the first call.

    To judge in other processes, submit this function to a pool; a verdict is a few kilobytes. If
    avdetect was used in this process before, the pool's processes must be spawned, not forked.

    Raises:
        MediaError: the file cannot be read.
        ForkError: this process was forked from one that had avdetect loaded.
    """
    return _starter().detect(path)


def load(
    weights: str | PathLike[str] | None = None,
    device: str = "cpu",
    overrides: Sequence[str] = (),
) -> DetectorSession:
    """Return a session whose `.detect(path)` gives verdicts.

    Args:
        weights: a file that training saved; None for the weights in the package.
        device: `cpu` or `cuda`.
        overrides: changes to the configuration, as `avdetect detect --set` takes them, such as
            `judge.uncertain=[0.3, 0.7]` or `localization.min_score=0.05` (see `DetectConfig`).

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: the file holds no detector, or an override names no setting (ConfigError).
    """
    from pathlib import Path

    from pipelines.detection.session import load as load_session

    return load_session(None if weights is None else Path(weights), device, list(overrides))


def save_report(
    verdict: Verdict,
    page: str | PathLike[str],
    weights: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Write the report of a verdict as a page; its file is judged again for the evidence.

    Args:
        verdict: from any process; its weights are loaded again, and their SHA-256 is compared with
            `verdict.model`.
        page: the HTML file to write.
        weights: as in `load`; None for the weights in the package.
        overrides: those of the verdict, as in `load`.

    Raises:
        ReportError: the file has changed since, or other weights made the verdict.
        MediaError: the file cannot be read.
        OSError: the page cannot be written.
    """
    from pathlib import Path

    from pipelines.report.outputs import save_report as write_page

    own = weights is None and not overrides
    session = _starter() if own else load(weights, overrides=overrides)
    write_page(verdict, Path(page), session)


@cache
def _starter() -> DetectorSession:
    return load()


def __getattr__(name: str) -> object:
    """Import a public class at its first use, so that `import avdetect` stays fast."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
