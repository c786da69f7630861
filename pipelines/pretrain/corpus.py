"""The clips that an encoder is pre-trained on, labelled or not: faces, or scenes without any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from extractors.errors import InputError
from extractors.face_regions import face_regions
from extractors.faces import FaceConfig, FaceTracker
from pipelines.config import ConfigError
from pipelines.data.manifest import split_word, text_of
from pipelines.data.samples import OWN_SPLITS, Sample, Splits, read_manifest
from pipelines.pretrain.corpus_policy import CorpusPolicy, check_policy
from pipelines.storage.tables import open_table
from pipelines.streams.stream_cache import Extract, StreamCache
from pipelines.train.clips import TrainClip, train_clip

LOOK_EVERY = 12  # steps from one crop whose regions are known to the next


@dataclass(frozen=True)
class CorpusConfig:
    """Where the clips are, and which of them are held out."""

    manifest: str  # a table with a column path; label and split if it has them
    columns: dict[str, str] = field(default_factory=dict)  # our names of its columns -> its own
    cache: str = "cache/streams"
    workers: int = 1  # processes that fill the cache; several are Ray workers
    min_face: float = 40.0  # pixels; smaller faces are not learned from
    held_out: float = 0.1  # share of the clips that the loss is measured on, without a split val


@dataclass(frozen=True, eq=False)
class FaceLooks:
    """Crops of one face with their regions."""

    crops: Tensor  # (K, 3, S, S) uint8
    regions: Tensor  # (K, S, S) uint8, see `extractors.face_regions`


def read_corpus(config: CorpusConfig, policy: CorpusPolicy) -> list[Sample]:
    """Return the corpus's samples of the splits train and val; others are not learned from.

    Raises:
        ConfigError: the policy refuses a record, or nothing is left to learn from.
        InputError: the manifest lacks a column, or a cell cannot be parsed.
        OSError: it cannot be opened.
    """
    path = Path(config.manifest)
    check_policy(path, policy, config.columns)
    table = open_table(path, config.columns)
    if "label" in table.kinds:
        samples = read_manifest(path, Splits(), config.columns)
    else:
        table.need("path")
        samples = [_unlabelled(place, row, path.parent) for place, row in table.rows()]
    used = [sample for sample in samples if sample.split in ("train", "val")]
    if not any(sample.split == "val" for sample in used):
        used = _with_held_out(used, config.held_out)
    if not any(sample.split == "train" for sample in used):
        raise ConfigError(f"{path}: no two clips, of which one is of the split train")
    return used


def _unlabelled(place: str, row: Mapping[str, object], folder: Path) -> Sample:
    path = text_of(row, "path")
    if not path:
        raise InputError(f"{place}: has no path")
    try:
        split = split_word(text_of(row, "split"))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    split = OWN_SPLITS.get(split, split)
    return Sample(folder / path, split, "", text_of(row, "source"), "", None, None, None)


def _with_held_out(samples: Sequence[Sample], share: float) -> list[Sample]:
    """Return the samples, of which a share is of the split val: by their names, at least one."""
    order = sorted(samples, key=lambda sample: crc32(sample.path.name.encode()))
    count = max(round(share * len(order)), 1)
    return [replace(s, split="val" if i < count else "train") for i, s in enumerate(order)]


def load_corpus(
    samples: Iterable[Sample], cache: StreamCache, min_face: float, reads: Sequence[str]
) -> dict[str, list[TrainClip]]:
    """Return the clips with all streams that are read, by split: their main face, or the scene.

    Raises:
        MediaError: a file cannot be decoded.
    """
    clips: dict[str, list[TrainClip]] = {"train": [], "val": []}
    for sample in samples:
        clip = pictured(sample, cache.get(sample.path), min_face)
        if clip is not None and set(reads) <= clip.names:
            clips[sample.split].append(clip)
    return clips


def pictured(sample: Sample, extract: Extract, min_face: float) -> TrainClip | None:
    """Return the clip of the main face, or of the longest scene without one; None: no picture."""
    clip = train_clip(sample, extract, min_face)
    if clip is not None and clip.face is not None:
        return clip
    scenes = [block for block in extract.blocks if block.scene and block.appearance is not None]
    scene = max(scenes, key=lambda block: block.steps, default=None)
    return None if scene is None else TrainClip(sample, scene, extract.waveform)


def face_looks(clips: Iterable[TrainClip], every: int = LOOK_EVERY) -> list[FaceLooks]:
    """Return each face's crops, `every` steps apart, in which the face mesh finds its regions.

    Clips in which it finds none are left out.
    """
    tracker = FaceTracker(FaceConfig(max_faces=1))
    looks = []
    for clip in clips:
        crops = clip.pictures(0, clip.steps, ("appearance",))["appearance"][::every]
        tracker.reset()
        tracker.push(np.ascontiguousarray(crops.permute(0, 2, 3, 1).numpy()), 0)
        found = max((s.found for s in tracker.sightings), key=len, default={})
        if found:
            side = crops.shape[-1]
            maps = np.stack([face_regions(landmarks, side) for landmarks in found.values()])
            looks.append(FaceLooks(crops[list(found)], torch.from_numpy(maps)))
    tracker.close()
    return looks
