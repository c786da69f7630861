"""Samples: the clips of a manifest with their splits and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extractors.errors import InputError
from extractors.media import STEP_RATE
from pipelines.config import find_config, from_dict, read_yaml
from pipelines.data.manifest import (
    GROUPS,
    MARK,
    WHOLE,
    Spans,
    as_fake,
    record_of,
    split_word,
    text_of,
)
from pipelines.storage.tables import OUR_NAMES, Columns, open_table
from temporal.segment import MODALITIES

GENERATED = ("none", "video", "audio", "both")  # values of the column `modality`
OWN_SPLITS = {"test": "dev", "": "train"}  # a data set's split -> Sample.split


@dataclass(frozen=True)
class Sample:
    """One file and its labels. Spans of a modality: forged seconds; (): genuine; None: unknown."""

    path: Path
    split: str  # train, val (early stopping), calibration or dev
    method: str  # generator or manipulation; "real" for genuine clips
    source: str  # repository or collection that the file comes from
    person: str
    visual: Spans | None
    audio: Spans | None
    sync: Spans | None
    label: bool | None = None  # whether it is fake, if that is known but not the track
    untold: Spans | None = None  # forged seconds of an unknown track
    groups: tuple[tuple[str, str], ...] = ()  # such as ("gender", "female")
    pair: Path | None = None  # the genuine clip that a fake was made from
    domain: str = ""  # collection or platform that the material comes from
    forgery_type: str = ""  # family of the method, such as face-swap

    @property
    def fake(self) -> bool:
        """Whether any track is forged anywhere."""
        return bool(self.any) if self.label is None else self.label

    @property
    def any(self) -> Spans | None:
        """Forged seconds of all modalities, concatenated; None if all are unknown."""
        tracks = (*(getattr(self, m) for m in MODALITIES), self.untold)
        known = [spans for spans in tracks if spans is not None]
        return sum(known, ()) if known else None

    def targets(self, start: int, steps: int) -> Tensor:
        """Return step labels (T, 3) from step `start` on: 1 forged, 0 genuine, -1 unknown.

        A step counts as forged if its middle lies in a span.
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


def unlabelled(path: Path) -> Sample:
    """Return the sample of a file of which nothing is known."""
    return Sample(path, "", "", "", "", None, None, None)


@dataclass(frozen=True)
class Splits:
    """The splits of the sources; a source in none of them keeps its default."""

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
        ConfigError: the file has other keys than the splits' names, or no lists.
    """
    return from_dict(Splits, read_yaml(find_config(path)), str(path))


def read_manifest(path: Path, splits: Splits, columns: Columns = OUR_NAMES) -> list[Sample]:
    """Return the samples of a manifest, whose columns identify its kind.

    - One written by `avdetect datasets` has `visual_segments` and all other labels.
    - The project's first manifests of clips have `modality`, the generated tracks; those of speech
      have `speaker`.
    - Any other needs `path` and `label`; the forged track of its fakes is unknown. `method`,
      `source`, `person`, `split`, `domain`, `forgery_type` and those of GROUPS are optional.

    Args:
        path: a CSV, TSV, JSON lines or Parquet file; its paths are relative to its folder.
        splits: the splits of the sources.
        columns: the file's names of our columns.

    Raises:
        InputError: a column is missing, or a cell cannot be parsed.
        OSError: the file cannot be opened.
    """
    table = open_table(path, columns)
    table.need("path", "label")
    kinds = {MARK: _dataset_sample, "modality": _video_sample, "speaker": _speech_sample}
    sample_of = next((kinds[mark] for mark in kinds if mark in table.kinds), _labelled_sample)
    samples, originals = [], dict[Path, Path]()
    for place, row in table.rows():
        if not text_of(row, "path"):
            raise InputError(f"{place}: has no path")
        try:
            sample = sample_of(row, splits)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error
        pair = None if sample.pair is None else path.parent / sample.pair
        samples.append(replace(sample, path=path.parent / sample.path, pair=pair))
        if sample_of is _speech_sample and pair is not None and not sample.fake:
            originals.setdefault(pair, samples[-1].path)
    if sample_of is _speech_sample:  # what joins its pairs is a name that both have
        return [
            replace(s, pair=originals.get(s.pair) if s.pair is not None and s.fake else None)
            for s in samples
        ]
    return samples


def _dataset_sample(row: Mapping[str, Any], splits: Splits) -> Sample:
    """Return the sample of a row written by `avdetect datasets`.

    Its own test split is dev here; a split of the data set in `splits` takes precedence.
    """
    record = record_of(row)
    return Sample(
        path=Path(record.path),
        split=splits.of(record.source, OWN_SPLITS.get(record.split, record.split)),
        method=record.method,
        source=record.source,
        person=";".join(record.persons),
        visual=record.spans.get("visual"),
        audio=record.spans.get("audio"),
        sync=record.spans.get("sync"),
        label=record.fake,
        groups=tuple(record.groups.items()),
        domain=record.domain,
        forgery_type=record.forgery_type,
    )


def _video_sample(row: Mapping[str, Any], splits: Splits) -> Sample:
    """Return the sample of a row with the columns of `video/manifest.csv`.

    If picture or sound is synthetic, whether the two are in sync is unknown; a silent clip has no
    sound to judge.
    """
    modality, source = text_of(row, "modality"), text_of(row, "repo")
    if modality not in GENERATED:
        raise InputError(f"expected the modality {', '.join(GENERATED)}, got {modality!r}")
    fake, sounds = as_fake(text_of(row, "label")), row.get("audio") in (None, "1")
    doubtful = "unverified" in text_of(row, "notes") or source in splits.unsynced
    return Sample(
        path=Path(text_of(row, "path")),
        split="dev" if row.get("split") == "dev" else splits.of(source, "train"),
        method=text_of(row, "method") if fake else "real",
        source=source,
        person=text_of(row, "person"),
        visual=WHOLE if modality in ("video", "both") else (),
        audio=None if not sounds else WHOLE if modality in ("audio", "both") else (),
        sync=() if not fake and sounds and not doubtful else None,
        pair=Path(pair) if (pair := text_of(row, "pair")) else None,
    )


def _speech_sample(row: Mapping[str, Any], splits: Splits) -> Sample:
    """Return the sample of a row with the columns of `audio/manifest.csv`, a clip of speech.

    Its pair is the name that it shares with the clips of the same utterance. Of an edited clip only
    a part is forged, `partial` says which if that is known.
    """
    fake, source = as_fake(text_of(row, "label")), text_of(row, "repo")
    edited, _, span = text_of(row, "partial").partition(":")
    begin, _, end = span.partition("-")
    part: Spans | None = ((float(begin), float(end)),) if span else None
    return Sample(
        path=Path(text_of(row, "path")),
        split="dev" if row.get("split") == "dev" else splits.of(source, "train"),
        method=text_of(row, "method") if fake else "real",
        source=source,
        person=text_of(row, "speaker"),
        visual=None,
        audio=() if not fake else part if edited == "yes" else WHOLE,
        sync=None,
        label=True if fake and edited == "yes" and part is None else None,
        pair=Path(pair) if (pair := text_of(row, "pair")) else None,
    )


def _labelled_sample(row: Mapping[str, Any], splits: Splits) -> Sample:
    """Return the sample of a row with a label and few other columns."""
    fake = as_fake(text_of(row, "label"))
    source, split = text_of(row, "source"), split_word(text_of(row, "split"))
    return Sample(
        path=Path(text_of(row, "path")),
        split=splits.of(source, OWN_SPLITS.get(split, split)),
        method=(text_of(row, "method") or "unknown") if fake else "real",
        source=source,
        person=text_of(row, "person"),
        visual=None if fake else (),
        audio=None if fake else (),
        sync=None,
        label=fake,
        groups=tuple((name, word) for name in GROUPS if (word := text_of(row, name))),
        domain=text_of(row, "domain"),
        forgery_type=text_of(row, "forgery_type"),
    )


def genuine_clips(
    path: Path, splits: Path | None, split: str, columns: Columns = OUR_NAMES
) -> dict[Path, str]:
    """Return the genuine clips of a manifest's split, each with its person.

    Raises:
        InputError: there are none.
    """
    samples = read_manifest(path, Splits() if splits is None else read_splits(splits), columns)
    clips = {s.path: s.person for s in samples if s.split == split and not s.fake}
    if not clips:
        there = ", ".join(sorted({s.split for s in samples})) or "none"
        raise InputError(f"{path}: no genuine clips in the split {split!r}; splits found: {there}")
    return clips


def truths() -> dict[str, Callable[[Sample], bool | None]]:
    """Return for each score a function sample -> label, which gives None if it is unknown."""

    def of(modality: str) -> Callable[[Sample], bool | None]:
        def truth(sample: Sample) -> bool | None:
            spans = getattr(sample, modality)
            return None if spans is None else bool(spans)

        return truth

    return {"score": lambda sample: sample.fake, **{f"{m}_score": of(m) for m in MODALITIES}}
