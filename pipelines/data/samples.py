"""Manifests in, samples out: which file, which split, and what is forged in which seconds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

from extractors.media import STEP_RATE
from pipelines.data.manifest import MARK, WHOLE, Spans, read_records
from temporal.segment import MODALITIES

OWN_SPLITS = {"test": "dev", "": "train"}  # of data sets, in the words of Sample.split


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
    label: bool | None = None  # fake or not, where that is known but not the track
    groups: tuple[tuple[str, str], ...] = ()  # such as ("gender", "female")

    @property
    def fake(self) -> bool:
        """Whether any track is forged anywhere."""
        return bool(self.any) if self.label is None else self.label

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


def read_dataset_manifest(path: Path, splits: Splits) -> list[Sample]:
    """Return the samples of a manifest that `avdetect datasets` wrote.

    Its own test split is dev here. Where `splits` names the data set, that goes before.
    """
    return [
        Sample(
            path=path.parent / record.path,
            split=splits.of(record.source, OWN_SPLITS.get(record.split, record.split)),
            method=record.method,
            source=record.source,
            person=";".join(record.persons),
            **record.spans,
            label=record.fake,
            groups=tuple(record.groups.items()),
        )
        for record in read_records(path)
    ]


def read_manifest(path: Path, splits: Splits) -> list[Sample]:
    """Return the samples of a manifest of any of the three kinds; its columns tell which it is."""
    with path.open(encoding="utf-8-sig") as file:
        columns = file.readline()
    if MARK in columns:
        return read_dataset_manifest(path, splits)
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


def truths() -> dict[str, Callable[[Sample], bool | None]]:
    """Return for each score what tells its truth of a sample; None: nobody knows."""

    def of(modality: str) -> Callable[[Sample], bool | None]:
        def truth(sample: Sample) -> bool | None:
            spans = getattr(sample, modality)
            return None if spans is None else bool(spans)

        return truth

    return {"score": lambda sample: sample.fake, **{f"{m}_score": of(m) for m in MODALITIES}}
