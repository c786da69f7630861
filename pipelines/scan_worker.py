"""One video in, its result as plain values out: what every worker of a scan does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from extractors.media import MediaError
from pipelines.fetch import local_copy, scratch_folder

if TYPE_CHECKING:
    from pipelines.detect import OnStep, Session


class Judged(Protocol):
    """A verdict, as far as a scan needs it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values: schema 1."""


class Judge(Protocol):
    """What gives the verdicts: a `Session`, or a stand-in."""

    model: dict[str, str]

    def detect(self, path: str | PathLike[str], on_step: OnStep | None = None) -> Judged:
        """Return the verdict on one file, or raise MediaError."""


@dataclass(frozen=True)
class Model:
    """Which weights a worker loads, and how; small enough to be sent anywhere."""

    weights: Path | None = None  # None: the starter
    device: str = "cpu"
    overrides: tuple[str, ...] = ()

    def load(self) -> Session:
        """Return a session whose decoder has one thread: workers fill the cores, not threads."""
        from pipelines.detect import load

        session = load(self.weights, self.device, self.overrides)
        media = replace(session.config.media, threads=1)
        session.config = replace(session.config, media=media)
        return session

    def load_alone(self) -> Session:
        """Return a session for a process that has one core to itself."""
        import torch

        torch.set_num_threads(1)
        return self.load()


class Worker:
    """Judges one video at a time, in one thread, and can be asked how far it is."""

    def __init__(self, load_judge: Callable[[], Judge], expected: dict[str, str]) -> None:
        """Load what judges.

        Raises:
            ValueError: other weights are on this machine than the results belong to.
        """
        self._judge = load_judge()
        if self._judge.model != expected:
            raise ValueError(f"expected the model {expected}, got {self._judge.model}")
        self._scratch = scratch_folder()
        self._signs = 0

    def ready(self) -> None:
        """Return when the model is loaded."""

    def signs(self) -> int:
        """Return a number that rises while there is progress on the video."""
        return self._signs

    def judge(self, path: str) -> dict[str, Any]:
        """Return the result of a file or object as plain values, also where it is unreadable."""
        begin, self._signs = time.perf_counter(), 0
        try:
            with local_copy(path, self._scratch, self._sign) as file:
                try:
                    result = self._judge.detect(file, self._sign).to_dict()
                except MediaError as error:
                    raise MediaError(str(error).replace(str(file), path)) from error
        except MediaError as error:
            result = {"status": "error", "error": {"type": "MediaError", "message": str(error)}}
        return result | {"path": path, "seconds": round(time.perf_counter() - begin, 3)}

    def _sign(self, *_: int) -> None:
        self._signs += 1
