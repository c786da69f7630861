"""The detector session: `DetectorSession.detect` goes all the way from a file to its verdict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path

import torch

from extractors.errors import AvdetectError
from extractors.faces import FaceConfig
from extractors.media import MediaConfig, MediaError, file_sha256
from extractors.precision import PRECISIONS, precision_of
from extractors.stream_extractor import StreamExtractor
from extractors.streams import STREAMS, StreamConfig, Streams
from pipelines.config import with_overrides
from pipelines.detection.candidates import best_candidates
from pipelines.detection.decide import decide, with_segments
from pipelines.detection.detector import Detector, load_detector
from pipelines.detection.file_walks import Change, FileWalks
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.own_networks import with_own
from pipelines.detection.result import ModelInfo
from pipelines.detection.shards import LongVideoError, Piece, join_pieces, plan_shards
from pipelines.detection.starter import STARTER
from pipelines.detection.timelines import Observer, Timeline, judge_blocks
from pipelines.detection.verdict import Verdict
from pipelines.detection.witness import Witness
from pipelines.progress import Clock, OnStep, Stopwatch, added
from pipelines.streams.stream_cache import StreamCache
from temporal.experts import fold_norms
from temporal.localization import LocalizationConfig, decode_segments
from temporal.segment import MODALITIES
from temporal.windows import WindowConfig

MOST_SOUNDS = 8  # tracks of a file that are judged


@dataclass(frozen=True)
class DetectConfig:
    """How a file is read and judged; what the weights depend on is in `DetectorConfig`."""

    media: MediaConfig = field(default_factory=MediaConfig)
    faces: FaceConfig = field(default_factory=FaceConfig)
    streams: StreamConfig = field(default_factory=StreamConfig)
    windows: WindowConfig = field(default_factory=WindowConfig)
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    precision: str = "auto"  # of the networks: bfloat16, float32, or auto, see `precision_of`
    fast: bool = False  # whether portraits are left out, and with them the visual score

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")


class ForkError(AvdetectError):
    """The session was loaded before this process was forked, which its libraries do not support.

    MediaPipe would abort or hang. With `multiprocessing.get_context("spawn")` each process loads a
    session of its own.
    """


class DetectorSession:
    """A detector and its extractors, loaded once by `avdetect.load`, for one file after the other.

    `detect`, `device` and `model` are the stable interface; the rest serves `pipelines` and may
    change. A session is for one thread at a time and for the process that loaded it.

    Attributes:
        model: `name`, `version` and `sha256` of the weights.
    """

    def __init__(
        self, detector: Detector, config: DetectConfig, model: ModelInfo, cache: Path | None = None
    ) -> None:
        self.detector, self.config, self.model = detector, config, model
        self.extractor = StreamExtractor(config.streams, config.faces)
        self.cache: StreamCache | None = None  # streams are read from there and kept there
        if cache is not None:
            self.cache = StreamCache(cache, config.streams, config.faces, config.media)
        self.precision = precision_of(config.precision, self.device)
        self.clock: Clock | None = None  # that times the stages in place of the wall clock
        self._process = os.getpid()

    @property
    def device(self) -> torch.device:
        """The device of the networks; decoding and face detection run on the CPU."""
        return self.detector.calibration.device

    def detect(
        self,
        path: str | PathLike[str],
        on_step: OnStep | None = None,
        change: Change = iter,
        witness: Witness | None = None,
    ) -> Verdict:
        """Return the verdict on one file.

        Args:
            path: any video or sound file.
            on_step: called with the number of steps read so far and their expected total.
            change: maps the file's chunks to those that are judged (`pipelines.stress.perturb`).
            witness: receives the intermediate results; its time counts as the detection's.

        Raises:
            MediaError: the file cannot be read.
            ForkError: another process loaded this session.
        """
        if os.getpid() != self._process:
            raise ForkError(
                f"{path} cannot be judged in a process forked off after avdetect was loaded: begin "
                "processes by multiprocessing.get_context('spawn')"
            )
        return self.conclude(path, [self.read_piece(path, None, on_step, change, witness)])

    def read_piece(
        self,
        path: str | PathLike[str],
        span: range | None,
        on_step: OnStep | None,
        change: Change = iter,
        witness: Witness | None = None,
        shard: int | None = None,
        stage: Callable[[Iterable[Streams]], list[Timeline]] | None = None,
    ) -> Piece:
        """Return the timelines of a file, or of a span of its steps; see also `detect`.

        Args:
            span: the steps that the piece decides; None: all.
            shard: steps; a file of 1.5 times as many raises LongVideoError; None: no limit.
            stage: turns blocks into timelines in place of the session.

        Raises:
            MediaError: the file cannot be read.
            LongVideoError: the file is to be judged in shards.
        """
        clock = Stopwatch(self.clock)
        walks = self.walks(path, clock, change, witness)
        with walks.main(span, on_step) as taken:
            if span is None:
                span = range(taken.steps)
                if shard and len(shards := plan_shards(taken.steps, shard)) > 1:
                    raise LongVideoError(shards)
            observe = None if witness is None else witness.block
            judge = stage or partial(self._timelines, observe=observe)
            timelines = judge(clock.extract(taken.blocks))
        reached, warnings, info = taken.reached, taken.warnings, taken.info
        for place in range(1, min(len(info.audio_tracks), MOST_SOUNDS)):
            others = self._other_sound(walks, place, span, clock, warnings)
            timelines += others
            if witness is not None:
                witness.other_sound(others)
        if info.audio_tracks[MOST_SOUNDS:]:
            warnings.append(
                f"not judged: sound tracks {', '.join(info.audio_tracks[MOST_SOUNDS:])}"
            )
        sha256 = None if span.start else walks.sha256()
        return Piece(span, reached, info, sha256, timelines, warnings, clock.elapsed())

    def walks(
        self,
        path: str | PathLike[str],
        clock: Stopwatch,
        change: Change = iter,
        witness: Witness | None = None,
    ) -> FileWalks:
        """Return the walks over a file; raises MediaError if it cannot be read."""
        media = self.config.media
        return FileWalks(path, self.extractor, media, self.cache, clock, change, witness)

    def _other_sound(
        self, walks: FileWalks, place: int, span: range, clock: Stopwatch, warnings: list[str]
    ) -> list[Timeline]:
        """Return the timelines of a sound track that is not players' default."""
        timelines: list[Timeline] = []
        try:
            with walks.other_sound(span, place) as taken:
                timelines = self._timelines(clock.extract(taken.blocks))
            warnings += [warning for warning in taken.warnings if warning not in warnings]
        except MediaError as error:
            warnings.append(f"a further sound track was not judged: {error}")
        return [replace(timeline, sound=place) for timeline in timelines]

    def _timelines(
        self, blocks: Iterable[Streams], observe: Observer | None = None
    ) -> list[Timeline]:
        judging = self.detector, self.config.windows, self.precision
        return [t for b in blocks for t in judge_blocks([b], *judging, observe=observe)]

    def conclude(self, path: str | PathLike[str], pieces: Iterable[Piece]) -> Verdict:
        """Return the verdict on a file from all of its pieces."""
        config, clock = self.config, Stopwatch(self.clock)
        whole = join_pieces(pieces)
        judgement = decide(whole.timelines, self.detector, config.judge, whole.info, whole.warnings)
        segments = decode_segments(*judgement.curves, config.localization)
        least = dict(zip(MODALITIES, config.judge.segment_thresholds, strict=True))
        reported = [s for s in segments if s.score >= least[s.modality]]
        verdict, why = with_segments(judgement.verdict, reported)
        return Verdict(
            path=str(path),
            sha256=str(whole.sha256),
            verdict=verdict,
            **judgement.scores,
            not_judged=judgement.not_judged,
            uncertain=config.judge.uncertain,
            segments=reported,
            candidates=best_candidates(segments, judgement.timeline, config.localization.sigma),
            timeline=judgement.timeline,
            streams={name: name in judgement.streams for name in STREAMS},
            faces=judgement.faces,
            crowd=judgement.crowd,
            media=replace(whole.info, path=str(path)),
            warnings=[*whole.warnings, *why, *judgement.warnings],
            model=self.model,
            elapsed=added([whole.elapsed, clock.elapsed()]),
        )


def load(
    weights: Path | None = None,
    device: str = "cpu",
    overrides: Sequence[str] = (),
    cache: Path | None = None,
) -> DetectorSession:
    """Return a session with the given weights, or the starter weights of the package.

    cache: a folder from which streams are read, and where they are kept; None: there is none.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: the file holds no detector, or an override names no setting.
    """
    path = weights or STARTER
    detector = load_detector(path, device)
    fold_norms(detector.experts)
    config = DetectConfig(localization=detector.config.localization)
    config = with_overrides(config, overrides)
    streams = replace(config.streams, device=device, precision=config.precision)
    streams = with_own(streams, detector.config, portraits=not config.fast)
    config = replace(config, streams=streams)
    model: ModelInfo = {
        "name": detector.config.name,
        "version": detector.config.version,
        "sha256": file_sha256(path),
    }
    return DetectorSession(detector, config, model, cache)


@dataclass(frozen=True)
class WeightsSpec:
    """Which weights a worker loads, and how; small enough to be sent anywhere."""

    weights: Path | None = None  # None: the starter
    device: str = "cpu"
    overrides: tuple[str, ...] = ()
    shard: float = 540.0  # seconds; longer videos are judged in shards of about this length
    cache: Path | None = None  # where streams are kept

    def load(self) -> DetectorSession:
        """Return a session whose decoder has one thread, since workers already fill the cores."""
        session = load(self.weights, self.device, self.overrides, self.cache)
        media = replace(session.config.media, threads=1)
        session.config = replace(session.config, media=media)
        return session
