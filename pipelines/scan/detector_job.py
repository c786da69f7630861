"""The job of a scan: the verdict on a file, or on a long video in shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from extractors.media import STEP_RATE
from extractors.streams import Streams
from pipelines.detection.session import DetectorSession, WeightsSpec
from pipelines.detection.shards import pack, unpack
from pipelines.detection.timelines import Timeline
from pipelines.progress import OnStep


class DetectorJob:
    """A detector session, one file after the other; videos that are too long are cut in shards."""

    def __init__(self, session: DetectorSession, shard: int | None = None) -> None:
        """Take a session.

        shard: steps; videos that are longer by half are to be done in shards; None: none is.
        """
        self.session, self.shard = session, shard
        # what turns blocks into timelines; None: the session itself
        self.stage: Callable[[Iterable[Streams]], list[Timeline]] | None = None

    @property
    def model(self) -> Mapping[str, object]:
        """Name, version and digest of the weights."""
        return self.session.model

    def run(self, path: str | PathLike[str], on_step: OnStep) -> dict[str, Any]:
        """Return the verdict on one file: schema 1.

        Raises:
            MediaError: the file cannot be read.
            LongVideoError: it is to be done in shards.
        """
        piece = self.session.read_piece(path, None, on_step, shard=self.shard, stage=self.stage)
        return dict(self.session.conclude(path, [piece]).to_dict())

    def run_shard(self, path: str | PathLike[str], span: range, on_step: OnStep) -> bytes:
        """Return what `join` needs of one shard of a file: what the steps of a span say.

        Raises:
            MediaError: the file cannot be read.
        """
        return pack(self.session.read_piece(path, span, on_step, stage=self.stage))

    def join(self, path: str | PathLike[str], pieces: Sequence[bytes]) -> dict[str, Any]:
        """Return the verdict on a file of which all shards were done; reads no file."""
        return dict(self.session.conclude(path, map(unpack, pieces)).to_dict())


def detector_job(spec: WeightsSpec) -> DetectorJob:
    """Return the job of a worker with these weights.

    A shard is a whole number of window strides, so that the windows of the sound are those of the
    video detected at once.
    """
    session = spec.load()
    stride = session.config.windows.stride
    return DetectorJob(session, stride * max(1, round(spec.shard * STEP_RATE / stride)))
