"""One file in, a verdict out. `Session.detect` is the whole walk; every line makes one value."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from extractors.faces import Array, FaceConfig
from extractors.media import Clip, MediaConfig, MediaInfo, file_sha256, open_media
from extractors.stream_extractor import StreamExtractor
from extractors.streams import STREAMS, StreamConfig, Streams
from pipelines.config import with_overrides
from pipelines.detector import Detector, load_detector
from pipelines.judge import JudgeConfig, Judgement, judge
from pipelines.timelines import Timeline, join_timelines, judge_block
from temporal.localization import MODALITIES, LocalizationConfig, Segment, decode_segments
from temporal.windows import WindowConfig, Windows

SCHEMA = 1
STARTER = Path(__file__).parent.parent / "avdetect" / "weights" / "starter.safetensors"

OnStep = Callable[[int, int], None]
Item = TypeVar("Item")


@dataclass(frozen=True)
class DetectConfig:
    """How a file is read and judged; what the weights depend on is in `DetectorConfig`."""

    media: MediaConfig = field(default_factory=MediaConfig)
    faces: FaceConfig = field(default_factory=FaceConfig)
    streams: StreamConfig = field(default_factory=StreamConfig)
    windows: WindowConfig = field(default_factory=WindowConfig)
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    precision: str = "auto"  # of the experts: bfloat16, float32, or what the processor is fast in

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "bfloat16", "float32"):
            raise ValueError(f"precision must be auto, bfloat16 or float32, got {self.precision!r}")


@dataclass(frozen=True, eq=False)
class Verdict:
    """What avdetect says of one file. Scores are probabilities; None: could not be judged."""

    path: str
    sha256: str
    verdict: str  # real, fake or inconclusive
    score: float | None  # that any part is manipulated
    visual_score: float | None
    audio_score: float | None
    sync_score: float | None
    segments: list[Segment]  # best first
    timeline: npt.NDArray[np.float32]  # (T, 3) visual | audio | sync, 25 a second; NaN: not judged
    streams: dict[str, bool]  # which were there to be judged
    faces: list[dict[str, Any]]  # track, start, end (seconds) and score of each face
    media: MediaInfo
    warnings: list[str]
    model: dict[str, str]
    elapsed: dict[str, float]  # seconds: decode, extract, judge, total

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, ready for JSON: schema 1."""
        media = asdict(self.media)
        media.pop("path")
        curves = {
            name: [None if np.isnan(v) else round(float(v), 4) for v in self.timeline[:, i]]
            for i, name in enumerate(MODALITIES)
        }
        return {
            "schema": SCHEMA, "path": self.path, "sha256": self.sha256, "status": "ok",
            "error": None, "verdict": self.verdict, "score": self.score,
            "visual_score": self.visual_score, "audio_score": self.audio_score,
            "sync_score": self.sync_score, "segments": [asdict(s) for s in self.segments],
            "timeline": {"rate": 25.0, **curves}, "streams": self.streams, "faces": self.faces,
            "media": media, "warnings": self.warnings, "model": self.model,
            "elapsed": self.elapsed,
        }  # fmt: skip


def error_dict(path: str | PathLike[str], error: Exception) -> dict[str, Any]:
    """Return the result of a file that cannot be judged, as plain values: schema 1."""
    return {
        "schema": SCHEMA, "path": str(path), "status": "error",
        "error": {"type": type(error).__name__, "message": str(error)},
    }  # fmt: skip


class Witness(Protocol):
    """Is shown what passes through a detection, to explain it afterwards."""

    def begin(self, info: MediaInfo) -> None:
        """See what the file holds, before anything else."""

    def chunk(self, clip: Clip) -> None:
        """See frames and sound as they were decoded."""

    def face(self, track: int, first: int, squares: Array, landmarks: Array) -> None:
        """See where a face is: squares (T, 4) and landmarks (T, 478, 3) in pixels."""

    def block(
        self, block: Streams, windows: Windows, tokens: dict[str, torch.Tensor], said: Timeline
    ) -> None:
        """See a block of streams, the experts' tokens of it, and what the detector says of it."""


class Session:
    """A detector and its extractors, loaded once, for one file after the other."""

    def __init__(self, detector: Detector, config: DetectConfig, model: dict[str, str]) -> None:
        self.detector, self.config, self.model = detector, config, model
        self.extractor = StreamExtractor(config.streams, config.faces)
        self.precision = precision_of(config.precision, detector.calibration.device)

    def detect(
        self,
        path: str | PathLike[str],
        on_step: OnStep | None = None,
        witness: Witness | None = None,
    ) -> Verdict:
        """Return the verdict on one file.

        Args:
            path: any video or sound file.
            on_step: is told the steps read so far and their expected number.
            witness: is shown what the verdict rests on; its time counts as the detection's.

        Raises:
            MediaError: the file cannot be read.
        """
        config, clock = self.config, Stopwatch()
        on_face = None if witness is None else witness.face
        on_block = None if witness is None else witness.block
        with open_media(path, config.media) as reader:
            chunks = clock.decode(reported(reader, reader.info, on_step, witness))
            blocks = clock.extract(self.extractor(chunks, on_face))
            judging = self.detector, config.windows, self.precision, on_block
            pieces = [judge_block(block, *judging) for block in blocks]
            timelines = join_timelines(pieces)
            judgement = judge(timelines, self.detector, config.judge)
            segments = decode_segments(*judgement.curves, config.localization)
            warnings = [*reader.warnings, *judgement.warnings]
        return verdict_of(path, reader.info, self, judgement, segments, warnings, clock)


def load(
    weights: Path | None = None, device: str = "cpu", overrides: Sequence[str] = ()
) -> Session:
    """Return a session with the given weights, or the starter weights of the package.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: the file holds no detector, or an override names no setting.
    """
    path = weights or STARTER
    detector = load_detector(path, device)
    config = DetectConfig(localization=detector.config.localization)
    config = with_overrides(config, overrides)
    model = {
        "name": detector.config.name,
        "version": detector.config.version,
        "sha256": file_sha256(path),
    }
    return Session(detector, config, model)


def precision_of(name: str, device: torch.device) -> torch.dtype:
    """Return the precision that a configuration names; auto: bfloat16 where it is native."""
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else torch.cpu._is_avx512_bf16_supported()
    )
    return torch.bfloat16 if name == "bfloat16" or (name == "auto" and native) else torch.float32


def verdict_of(
    path: str | PathLike[str],
    info: MediaInfo,
    session: Session,
    judgement: Judgement,
    segments: list[Segment],
    warnings: list[str],
    clock: Stopwatch,
) -> Verdict:
    """Return everything that is known of a file, put together."""
    least = dict(zip(MODALITIES, session.config.judge.segment_thresholds, strict=True))
    return Verdict(
        path=str(path),
        sha256=file_sha256(path),
        verdict=judgement.verdict,
        **judgement.scores,
        segments=[s for s in segments if s.score >= least[s.modality]],
        timeline=judgement.timeline,
        streams={name: name in judgement.streams for name in STREAMS},
        faces=judgement.faces,
        media=info,
        warnings=warnings,
        model=session.model,
        elapsed=clock.elapsed(),
    )


def reported(
    chunks: Iterable[Clip], info: MediaInfo, on_step: OnStep | None, witness: Witness | None
) -> Iterator[Clip]:
    """Yield the chunks, show them to the witness, and tell how far they have come."""
    total, done = round(info.duration * 25), 0
    if witness is not None:
        witness.begin(info)
    for clip in chunks:
        if witness is not None:
            witness.chunk(clip)
        yield clip
        done += clip.steps
        if on_step is not None:
            on_step(done, total)


class Stopwatch:
    """Seconds spent in each stage of a chain of generators."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent = {"decode": 0.0, "extract": 0.0}

    def decode(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items and count the time that their making takes as decoding."""
        return self._timed("decode", iter(items))

    def extract(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items and count the time that their making takes as extraction."""
        return self._timed("extract", iter(items))

    def _timed(self, stage: str, items: Iterator[Item]) -> Iterator[Item]:
        while True:
            begin = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._spent[stage] += time.perf_counter() - begin
            yield item

    def elapsed(self) -> dict[str, float]:
        """Return seconds of decode, extract, judge and total; extraction waits for decoding."""
        total = time.perf_counter() - self._start
        decode, both = self._spent["decode"], self._spent["extract"]
        times = {"decode": decode, "extract": both - decode, "judge": total - both, "total": total}
        return {stage: round(seconds, 3) for stage, seconds in times.items()}
