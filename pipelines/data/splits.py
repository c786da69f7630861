"""Splits of a data set: person-disjoint ones, DF40's four protocols, and one domain left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from extractors.errors import InputError
from pipelines.data.manifest import Record

SplitProtocol = Literal["within", "cross-forgery", "cross-domain", "both", "left-out"]
SPLIT_NAMES = ("train", "val", "test")


def split_by_person(
    records: Iterable[Record],
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> tuple[list[Record], int]:
    """Return the records with person-disjoint splits, and how many records were left out.

    Persons of one swap go to the same split. Where that connects more clips than the train split
    can hold (in Celeb-DF everyone is swapped with everyone), the persons are assigned one by one,
    and clips with persons of two splits are left out. A record without persons is assigned alone.

    Args:
        records: their own splits are ignored.
        shares: of clips in train, val and test, which add up to 1.
        seed: same seed, same splits.

    Raises:
        InputError: the shares do not add up to 1.
    """
    if abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise InputError(f"expected three shares that add up to 1, got {shares}")
    everyone = list(records)
    together = _components(everyone)
    weight = Counter(together[_persons(r)[0]] for r in everyone)
    least = max(shares[0], 1 / 3) * len(everyone)
    unit = {who: who if weight[group] > least else group for who, group in together.items()}
    sizes = Counter(unit[_persons(r)[0]] for r in everyone)
    place = _placed([(name, sizes[name]) for name in sorted(set(unit.values()))], shares, seed)
    kept = []
    for record in everyone:
        splits = {place[unit[who]] for who in _persons(record)}
        if len(splits) == 1:
            kept.append(replace(record, split=splits.pop()))
    return kept, len(everyone) - len(kept)


def _persons(record: Record) -> tuple[str, ...]:
    return record.persons or (record.path,)


def _components(records: Sequence[Record]) -> dict[str, str]:
    """Return for each person a representative of its connected component (union-find)."""
    parent: dict[str, str] = {}

    def first(who: str) -> str:
        parent.setdefault(who, who)
        while parent[who] != who:
            parent[who] = parent[parent[who]]
            who = parent[who]
        return who

    for record in records:
        persons = _persons(record)
        for other in persons:
            low, high = sorted((first(persons[0]), first(other)))
            parent[high] = low
    return {who: first(who) for who in parent}


def _placed(
    units: Sequence[tuple[str, int]], shares: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """Return a split for each unit: in random order, each goes to the split that lacks most."""
    total = sum(size for _, size in units) or 1
    filled = dict.fromkeys(SPLIT_NAMES, 0)
    place = {}
    for index in np.random.default_rng(seed).permutation(len(units)):
        name, size = units[index]
        lacking = {
            s: share * total - filled[s] for s, share in zip(SPLIT_NAMES, shares, strict=True)
        }
        place[name] = max(lacking, key=lambda split: lacking[split])
        filled[place[name]] += size
    return place


def protocol_records(
    records: Iterable[Record], protocol: SplitProtocol, methods: Collection[str], domain: str
) -> list[Record]:
    """Return the train and test records of one of DF40's protocols (its sections 4.1 to 4.3).

    Of "left-out", FineFake's protocol over platforms, training has all other domains with all of
    their methods, and the test `domain` alone. Else training has the fakes of `methods` and the
    genuine clips of `domain`. The test has:

    - "within": the same methods in the same domain;
    - "cross-forgery": other methods in the same domain;
    - "cross-domain": the same methods in other domains;
    - "both": other methods in other domains.

    The records' own splits separate training from test; records without splits need
    `split_by_person` first.

    Raises:
        InputError: the protocol is unknown, or it leaves training or test without both classes.
    """
    if protocol not in get_args(SplitProtocol):
        raise InputError(
            f"expected protocol {', '.join(get_args(SplitProtocol))}, got {protocol!r}"
        )
    if protocol == "left-out":
        return _with_both_classes(_one_left_out(records, domain), protocol)
    same_method, same_domain = protocol in ("within", "cross-domain"), protocol in (
        "within", "cross-forgery",
    )  # fmt: skip
    chosen: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        listed, home = record.method in methods, record.domain == domain
        if record.split in ("train", "val") and home and (listed or not record.fake):
            chosen[record.split].append(record)
        wanted = not record.fake or listed == same_method
        if record.split == "test" and home == same_domain and wanted:
            chosen["test"].append(record)
    return _with_both_classes(chosen, protocol)


def _one_left_out(records: Iterable[Record], domain: str) -> dict[str, list[Record]]:
    """Return by split the records of other domains in train and val, and those of one in test."""
    chosen: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.domain == domain:
            chosen["test"].append(replace(record, split="test"))
        elif record.split in ("train", "val"):
            chosen[record.split].append(record)
    return chosen


def _with_both_classes(chosen: dict[str, list[Record]], protocol: str) -> list[Record]:
    for split in ("train", "test"):
        if len({record.fake for record in chosen[split]}) < 2:
            raise InputError(f"{protocol}: no genuine or no forged records left in {split}")
    return [record for split in SPLIT_NAMES for record in chosen[split]]
