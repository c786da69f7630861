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
    from pipelines.detection.session import DetectorSession
    from pipelines.detection.verdict import Verdict
    from temporal.segment import Segment

__version__ = "0.1.0"
__all__ = [
    "DetectorSession", "MediaError", "Segment", "Verdict", "__version__", "detect", "load",
    "save_report",
]  # fmt: skip

_HOME = {
    "DetectorSession": "pipelines.detection.session",
    "MediaError": "extractors.media",
    "Segment": "temporal.segment",
    "Verdict": "pipelines.detection.verdict",
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
) -> DetectorSession:
    """Return a session whose `.detect(path)` gives verdicts.

    Args:
        weights: a file that training saved; None for the weights in the package.
        device: `cpu` or `cuda`.
        overrides: changes to the weights' configuration, such as `localization.threshold=0.6`.
    """
    from pathlib import Path

    from pipelines.detection.session import load as load_session

    return load_session(None if weights is None else Path(weights), device, list(overrides))


def save_report(
    verdict: Verdict,
    page: str | PathLike[str],
    weights: str | PathLike[str] | None = None,
) -> None:
    """Write the page of a verdict; its file is judged once more, for the evidence.

    Args:
        verdict: by the weights that are named; their digest is compared.
        page: the HTML file to write.
        weights: as in `load`; None for the weights in the package.

    Raises:
        ReportError: the file has changed since, or other weights made the verdict.
        MediaError: the file cannot be read.
        OSError: the page cannot be written.
    """
    from pathlib import Path

    from pipelines.report.outputs import save_report as write_page

    write_page(verdict, Path(page), _starter() if weights is None else load(weights))


@cache
def _starter() -> DetectorSession:
    return load()


def __getattr__(name: str) -> object:
    """Import a public class where it is first asked for: `import avdetect` stays light."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
