"""Manifests in, samples out: which file, which split, and what is forged in which seconds.

Streams of a sample are extracted once and kept in a cache of files named by content.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractors.faces import FaceConfig
from extractors.media import STEP_RATE, Clip, MediaError, file_sha256, read_chunks
from extractors.stream_extractor import StreamExtractor
from extractors.streams import (
    VERSION,
    StreamConfig,
    Streams,
    load_streams,
    save_streams,
)
from temporal.localization import MODALITIES

Spans = tuple[tuple[float, float], ...]  # seconds
WHOLE: Spans = ((0.0, float("inf")),)
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Sample:
    """One file and its truth. Spans of a modality: forged seconds; (): genuine; None: unknown."""

    path: Path
    split: str  # train, val (early stopping), calibration or dev
    method: str  # generator or manipulation; "real" for genuine clips
    source: str  # repository or collection that the file came from
    person: str
    visual: Spans | None
    audio: Spans | None
    sync: Spans | None

    @property
    def fake(self) -> bool:
        """Whether any track is forged anywhere."""
        return bool(self.any)

    @property
    def any(self) -> Spans | None:
        """Forged seconds of any modality, as they are listed; None: nothing is known of any."""
        known = [spans for m in MODALITIES if (spans := getattr(self, m)) is not None]
        return sum(known, ()) if known else None

    def targets(self, start: int, steps: int) -> Tensor:
        """Return step labels (T, 3): 1 forged, 0 genuine, -1 unknown, of steps from start on.

        A step counts as forged where at least half of it lies in a span.
        """
        labels = torch.full((steps, len(MODALITIES)), -1.0)
        middles = (torch.arange(start, start + steps) + 0.5) / STEP_RATE
        for column, modality in enumerate(MODALITIES):
            spans: Spans | None = getattr(self, modality)
            if spans is None:
                continue
            labels[:, column] = 0.0
            for begin, end in spans:
                labels[(middles >= begin) & (middles < end), column] = 1.0
        return labels


@dataclass(frozen=True)
class Splits:
    """Who goes where: every source (and, where a source spans splits, method and person)."""

    val: tuple[str, ...] = ()  # sources for early stopping
    calibration: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()  # sources that are not used
    unsynced: tuple[str, ...] = ()  # sources whose genuine clips may be dubbed or out of sync

    def of(self, source: str, default: str) -> str:
        """Return the split of a source."""
        for name in ("val", "calibration", "dev", "dropped"):
            if source in getattr(self, name):
                return name
        return default


def read_splits(path: Path) -> Splits:
    """Return the splits that a YAML file lists.

    Raises:
        ValueError: the file has other keys than the splits' names.
    """
    data = yaml.safe_load(path.read_text()) or {}
    try:
        return Splits(**{name: tuple(sources) for name, sources in data.items()})
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def read_video_manifest(path: Path, splits: Splits) -> list[Sample]:
    """Return the samples of a manifest of clips with the columns of `video/manifest.csv`.

    `modality` tells what was generated. Where the picture or the sound is synthetic, whether both
    still fit is unknown; where the picture is genuine but silent, there is no sound to judge.
    """
    samples = []
    for row in _rows(path):
        sounds = row["audio"] == "1"
        visual: Spans = WHOLE if row["modality"] in ("video", "both") else ()
        audio: Spans | None = None
        if sounds:
            audio = WHOLE if row["modality"] in ("audio", "both") else ()
        doubtful = "unverified" in row["notes"] or row["repo"] in splits.unsynced
        genuine = row["label"] == "real" and sounds and not doubtful
        samples.append(
            Sample(
                path=path.parent / row["file"],
                split="dev" if row["split"] == "dev" else splits.of(row["repo"], "train"),
                method=row["method"] if row["label"] == "fake" else "real",
                source=row["repo"],
                person=row["person"],
                visual=visual,
                audio=audio,
                sync=() if genuine else None,
            )
        )
    return samples


def read_audio_manifest(path: Path, splits: Splits) -> list[Sample]:
    """Return the samples of a manifest of speech with the columns of `audio/manifest.csv`."""
    return [
        Sample(
            path=path.parent / row["file"],
            split=splits.of(row["repo"], "train"),
            method=row["method"] if row["label"] == "fake" else "real",
            source=row["repo"],
            person=row["speaker"],
            visual=None,
            audio=WHOLE if row["label"] == "fake" else (),
            sync=None,
        )
        for row in _rows(path)
    ]


def read_manifest(path: Path, splits: Splits) -> list[Sample]:
    """Return the samples of a manifest of clips or of speech; its columns tell which it is."""
    with path.open(encoding="utf-8") as file:
        columns = file.readline()
    read = read_video_manifest if "modality" in columns else read_audio_manifest
    return read(path, splits)


def genuine_clips(path: Path, splits: Path | None, split: str) -> dict[Path, str]:
    """Return the genuine clips of a manifest's split, and who is seen or heard in each.

    Raises:
        ValueError: there are none.
    """
    samples = read_manifest(path, Splits() if splits is None else read_splits(splits))
    clips = {s.path: s.person for s in samples if s.split == split and not s.fake}
    if not clips:
        raise ValueError(f"{path}: no genuine clips in the split {split!r}")
    return clips


def read_forged(path: Path, origins: Mapping[str, Sample] | None = None) -> list[Sample]:
    """Return the samples of a forging's metadata.json.

    Args:
        path: the file.
        origins: the genuine samples by file name: a forged clip is in its origin's split, and
            where the origin may not be in sync, nobody knows of its forgeries; without, all are
            in dev and in sync.
    """
    samples = []
    for row in json.loads(path.read_text()):
        source = row.get("source") or row["original"] or row["file"]
        origin = None if origins is None else origins[source]
        spans = {
            modality: tuple((float(s), float(e)) for s, e in row[f"{modality}_fake_segments"])
            for modality in MODALITIES
        }
        fits = origin is None or origin.sync is not None
        pictured, sounds = row["video_frames"] > 0, row["audio_channels"] > 0
        samples.append(
            Sample(
                path=path.parent / row["file"],
                split="dev" if origin is None else origin.split,
                method=f"forged {row['method']}" if row["n_fakes"] else "real",
                source="forged" if origin is None else origin.source,
                person=row["person"],
                visual=spans["visual"] if pictured else None,
                audio=spans["audio"] if sounds else None,
                sync=spans["sync"] if pictured and sounds and fits else None,
            )
        )
    return samples


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True, eq=False)
class Extract:
    """What the cache holds of a file: its streams, and the waveform for sound augmentation."""

    blocks: list[Streams]
    waveform: Tensor | None  # (T * 640,) int16


class StreamCache:
    """Streams on disk, a file for each content and configuration, made when first asked for."""

    def __init__(
        self, folder: Path, streams: StreamConfig | None = None, faces: FaceConfig | None = None
    ) -> None:
        self.folder = folder
        self.streams, self.faces = streams or StreamConfig(), faces or FaceConfig()
        weights = self.streams.flow_weights, self.streams.depth_weights, self.streams.scenes
        self._key = f"{VERSION}{weights}{self.faces}"
        self._extractor: StreamExtractor | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, path: Path) -> Extract:
        """Return the extract of a media file.

        Raises:
            MediaError: the file cannot be decoded.
        """
        name = hashlib.sha256((file_sha256(path) + self._key).encode()).hexdigest()[:32]
        streams, sound = self.folder / f"{name}.streams", self.folder / f"{name}.sound"
        if not streams.exists():
            waveforms: list[np.ndarray] = []  # type: ignore[type-arg]
            if self._extractor is None:
                self._extractor = StreamExtractor(self.streams, self.faces)
            blocks = list(self._extractor(_tee(read_chunks(path), waveforms)))
            if waveforms:
                samples = (np.concatenate(waveforms) * 32767).round().clip(-32768, 32767)
                save_file({"waveform": torch.from_numpy(samples.astype(np.int16))}, sound)
            save_streams(streams, blocks)
        waveform = load_file(sound)["waveform"] if sound.exists() else None
        return Extract(load_streams(streams), waveform)


def _tee(chunks: Iterator[Clip], waveforms: list[np.ndarray]) -> Iterator[Clip]:  # type: ignore[type-arg]
    for clip in chunks:
        if clip.waveform is not None:
            waveforms.append(clip.waveform)
        yield clip


def _extract_one(folder: Path, path: Path) -> str | None:
    torch.set_num_threads(1)
    global _cache  # one extractor a worker process: loading the face mesh takes a second
    if _cache is None:
        _cache = StreamCache(folder)
    try:
        _cache.get(path)
    except MediaError as error:
        return str(error)
    return None


_cache: StreamCache | None = None


def fill_cache(folder: Path, paths: list[Path], workers: int, on_step: OnStep) -> dict[Path, str]:
    """Extract the streams of all paths, in several processes; return what could not be read."""
    failed: dict[Path, str] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(_extract_one, folder, path): path for path in paths}
        for done, job in enumerate(as_completed(jobs), 1):
            message = job.result()
            if message is not None:
                failed[jobs[job]] = message
            on_step(done, len(paths))
    return failed
