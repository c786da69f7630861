"""The job of an extraction: one file's streams and tokens, on a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractors.streams import Streams
from pipelines.detection.session import DetectorSession, WeightsSpec
from pipelines.features.clip_file import FeatureWriter, Wanted
from pipelines.progress import OnStep, Stopwatch


class FeatureJob:
    """Writes the features of files into a folder, each named by its content."""

    def __init__(self, session: DetectorSession, wanted: Wanted, folder: Path) -> None:
        self.session, self.wanted, self._folder = session, wanted.of(session.detector), folder

    @property
    def model(self) -> Mapping[str, object]:
        """Name, version and digest of the weights."""
        return self.session.model

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Write a file's features, unless they are there already.

        Raises:
            MediaError: the file cannot be read.
            ScratchError: the cache of streams cannot be written.
        """
        session, walks = self.session, self.session.walks(path, Stopwatch())
        sha256 = walks.sha256()
        file = clip_file(self._folder, sha256)
        if not file.exists():
            writer = FeatureWriter(
                self._folder, self.wanted, session.detector, session.config.windows,
                session.precision,
            )  # fmt: skip
            try:
                with walks.main(None, on_step) as taken:
                    writer.add_all(_signed(taken.blocks, on_step))
                facts = {
                    "sha256": sha256, "duration": taken.info.duration, "steps": taken.steps,
                    "reached": taken.reached, "dim": session.detector.config.experts.dim,
                }  # fmt: skip
                writer.write(file, facts)
            finally:
                writer.close()
        return {"status": "ok", "sha256": sha256}


def _signed(blocks: Iterator[Streams], on_step: OnStep) -> Iterator[Streams]:
    """Yield the blocks, with a sign of life after each is judged."""
    for block in blocks:
        yield block
        on_step(block.start + block.steps, 0)


def clip_file(folder: Path, sha256: str) -> Path:
    """Return the file of a content's features."""
    return folder / f"{sha256[:32]}.safetensors"


@dataclass(frozen=True)
class FeatureLoader:
    """A picklable loader of a `FeatureJob`."""

    model: WeightsSpec
    wanted: Wanted
    folder: Path

    def __call__(self) -> FeatureJob:
        """Return the job, in the process of a worker."""
        return FeatureJob(self.model.load(), self.wanted, self.folder)
