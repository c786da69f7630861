"""The splits of a public data set: for learning, stopping early, calibrating and testing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from extractors.errors import InputError
from pipelines.data.catalogue import records_of
from pipelines.data.manifest import WHOLE, Record, write_records
from pipelines.data.splits import split_by_person
from pipelines.public_sets.frame_clips import clip_of_frames
from pipelines.public_sets.recipe import SetRecipe
from pipelines.storage.files import write_whole

SHARES = (0.7, 0.1, 0.2)  # of train, val and test, where a data set has no splits
HELD_OUT = 0.1  # of train, where there is no val
FOLDS = 5  # groups of persons, which opinions are calibrated across


@dataclass(frozen=True)
class Prepared:
    """The files that training and testing read."""

    manifest: Path  # of all clips that are learned from
    splits: Path  # of its sources
    test: Path  # manifest of the clips that are judged
    counts: dict[str, int]  # clips by split, and `missing` ones


def prepare(sets: Sequence[tuple[str, Path]], recipe: SetRecipe, out: Path, seed: int) -> Prepared:
    """Write the manifests of data sets, of which the last is tested.

    Where there is no test split with truth, val is tested. Persons of val and calibration are not
    in train where the makers or `split_by_person` separate them.

    Raises:
        InputError: a folder has another layout, or a split lacks a class.
    """
    there: dict[str, list[Record]] = defaultdict(list)
    missing = 0
    for name, root in sets:
        records = [_placed(record, root, recipe) for record in records_of(name, root)]
        present = [record for record in records if Path(record.path).exists()]
        missing += len(records) - len(present)
        if not present:
            raise InputError(f"{root}: none of the {len(records)} files of {name} is there")
        for split, members in _splits(present, seed).items():
            last = name == sets[-1][0]
            if last if split == "test" else not (last and recipe.tested_only):
                there[split] += members
    there["val"], there["calibration"] = _halves(there["val"], seed)
    for split, members in there.items():
        most = recipe.clips.get("val" if split == "calibration" else split)
        there[split] = _drawn(members, most, seed)
        if len({record.fake for record in there[split]}) < 2:
            raise InputError(f"{sets[-1][1]}: no genuine or no forged clips to be had for {split}")
    out.mkdir(parents=True, exist_ok=True)
    for split, members in there.items():  # of those drawn alone, folders of frames become clips
        there[split] = [clip_of_frames(record, out / "clips") for record in members]
    learned = [
        _grouped(record, split) for split in there if split != "test" for record in there[split]
    ]
    files = out / "manifest.csv", out / "splits.yaml", out / "test.csv"
    write_records(files[0], learned, Path("/"))
    names = [f"{split}: [{split}]\n" for split in ("val", "calibration")]
    write_whole(files[1], "".join(names).encode())
    write_records(files[2], there["test"], Path("/"))
    counts = {split: len(members) for split, members in there.items()} | {"missing": missing}
    return Prepared(*files, counts)


def _placed(record: Record, root: Path, recipe: SetRecipe) -> Record:
    """Return a record with its absolute path, and the forged track that the recipe assumes."""
    record = replace(record, path=str((root / record.path).absolute()))
    told = any(spans is not None for spans in record.spans.values())
    if recipe.untold and record.fake and not told:
        forged: dict[str, Any] = {recipe.untold: WHOLE}
        record = replace(record, **forged)
    return record


def _splits(records: list[Record], seed: int) -> dict[str, list[Record]]:
    """Return the records by train, val and test; a missing split is made of others by person."""
    by_split: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_split[record.split].append(record)
    by_split.pop("hidden", None)
    if not by_split["train"]:
        if by_split["val"] and by_split["test"]:  # made for testing what was trained elsewhere
            return {"val": by_split["val"], "test": by_split["test"]}
        everyone = _by_person(list(chain(*by_split.values())), SHARES, seed)
        return {s: [r for r in everyone if r.split == s] for s in ("train", "val", "test")}
    if not by_split["test"]:
        by_split["test"], by_split["val"] = by_split["val"], []
    if not by_split["val"]:
        shares = (1 - HELD_OUT, HELD_OUT, 0.0)
        learned = _by_person(by_split["train"], shares, seed)
        for split in ("train", "val"):
            by_split[split] = [record for record in learned if record.split == split]
    return {split: by_split[split] for split in ("train", "val", "test")}


def _by_person(
    records: list[Record], shares: tuple[float, float, float], seed: int
) -> list[Record]:
    """Return the records split by person; where none is told, either class by itself."""
    if any(record.persons for record in records):
        return split_by_person(records, shares, seed)[0]
    classes = ([r for r in records if r.fake == fake] for fake in (False, True))
    return [r for members in classes for r in split_by_person(members, shares, seed)[0]]


def _halves(records: list[Record], seed: int) -> tuple[list[Record], list[Record]]:
    """Return two halves without common persons: for stopping early, and for calibration."""
    halved = _by_person(records, (0.5, 0.5, 0.0), seed)
    first, second = ([r for r in halved if r.split == split] for split in ("train", "val"))
    return first, second


def _drawn(records: list[Record], most: int | None, seed: int) -> list[Record]:
    """Return at most so many records, of either class and each of its methods as many."""
    if most is None or len(records) <= most:
        return records
    rng = np.random.default_rng(seed)
    shuffled = [records[i] for i in rng.permutation(len(records))]
    classes = []
    for fake in (False, True):
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in shuffled:
            if record.fake == fake:
                groups[record.method].append(record)
        turns = zip_longest(*groups.values())
        classes.append([r for turn in turns for r in turn if r is not None])
    turns = zip_longest(*classes)
    return [r for turn in turns for r in turn if r is not None][:most]


def _grouped(record: Record, split: str) -> Record:
    """Return a record whose source is its split, or in train one of a few groups of persons."""
    who = (record.persons or (record.path,))[0]
    group = int(hashlib.sha256(who.encode()).hexdigest(), 16) % FOLDS
    own = f"{record.source} {group}" if split == "train" else split
    return replace(record, source=own, split="train" if split == "calibration" else split)
