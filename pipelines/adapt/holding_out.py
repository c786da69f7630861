"""Which clips teach and which are held out, so that nobody and no recording is in both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from extractors.errors import InputError
from pipelines.data.samples import Sample

HELD_OUT = ("dev", "hidden")  # splits of a manifest that teach nothing
FEWEST_GROUPS = 4  # persons or recordings
FEWEST_CLIPS = 3  # of a class that teach


def groups_of(samples: Sequence[Sample], digests: Sequence[str]) -> list[int]:
    """Return the group (N,) of each sample; clips of one person or recording have the same.

    Joined are clips that name a person in common, a fake and the clip that it was made from, and
    files of the same content (`digests`, N). A clip that names none of these is a group by itself.
    """
    parent = list(range(len(samples)))

    def first(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    owner: dict[str, int] = {}
    for index, keys in enumerate(map(_keys, samples, digests)):
        for key in keys:
            low, high = sorted((first(index), first(owner.setdefault(key, index))))
            parent[high] = low
    return [first(index) for index in range(len(samples))]


def check_split(where: Path, samples: Sequence[Sample], digests: Sequence[str]) -> None:
    """Check that a manifest's own split keeps every person and recording on one side.

    Raises:
        InputError: it does not; the message names who is on both.
    """
    sides: defaultdict[str, set[bool]] = defaultdict(set)
    for sample, digest in zip(samples, digests, strict=True):
        for key in _keys(sample, digest):
            sides[key].add(sample.split in HELD_OUT)
    both = sorted(key for key, held in sides.items() if len(held) > 1)
    if both:
        kind, _, name = both[-1].partition(" ")
        what = f"the person {name!r}" if kind == "person" else f"the recording {Path(name).name}"
        raise InputError(
            f"{where}: {what} is among the clips that teach and among those held out, so what is "
            "held out would show nothing; correct the column split, or leave it empty"
        )


def splits(samples: Sequence[Sample]) -> bool:
    """Return whether a manifest has a split of its own, with clips on both sides."""
    return len({sample.split in HELD_OUT for sample in samples}) == 2


def held_out(
    where: Path,
    samples: Sequence[Sample],
    groups: Sequence[int],
    share: float,
    seed: int,
    genuine_only: bool = False,
) -> list[bool]:
    """Return for each sample (N,) whether it is held out.

    Args:
        where: the manifest, for messages.
        samples: if they have a split of their own, it is taken.
        groups: see `groups_of`; a group is never divided.
        share: of the clips of either class that are held out where the manifest has no split.
        seed: of the order in which groups are dealt out.
        genuine_only: fakes are not needed.

    Raises:
        InputError: there are too few persons or clips.
    """
    classes = (False,) if genuine_only else (False, True)
    for fake in classes:
        own = {g for g, s in zip(groups, samples, strict=True) if s.fake == fake}
        if len(own) < (FEWEST_GROUPS if genuine_only else FEWEST_GROUPS // 2):
            raise InputError(f"{where}: {_few(len(own), fake)}: too few to hold any out")
    if len(set(groups)) < FEWEST_GROUPS:
        raise InputError(
            f"{where}: {len(set(groups))} persons or recordings in all: too few to hold any out, "
            f"at least {FEWEST_GROUPS} are needed"
        )
    if splits(samples):
        held = [s.split in HELD_OUT for s in samples]
    else:
        held = _dealt(samples, groups, share, seed)
    for fake in classes:
        counts = [
            sum(s.fake == fake and h == side for s, h in zip(samples, held, strict=True))
            for side in (False, True)
        ]
        if counts[0] < FEWEST_CLIPS or not counts[1]:
            raise InputError(
                f"{where}: {counts[0]} {_name(fake)} clips would teach and {counts[1]} would be "
                f"held out; at least {FEWEST_CLIPS} and 1 are needed"
            )
    return held


def _dealt(samples: Sequence[Sample], groups: Sequence[int], share: float, seed: int) -> list[bool]:
    """Return whether each sample is held out; groups go, in random order, where more is lacking."""
    counts: dict[int, np.ndarray] = {}  # type: ignore[type-arg]
    for group, sample in zip(groups, samples, strict=True):
        counts.setdefault(group, np.zeros(2))[int(sample.fake)] += 1
    total = np.maximum(sum(counts.values(), np.zeros(2)), 1)
    lacking = {False: (1 - share) * total, True: share * total}
    side: dict[int, bool] = {}
    names = sorted(counts)
    for index in np.random.default_rng(seed).permutation(len(names)):
        own = counts[names[index]]
        need = {s: float((lacking[s] / total) @ (own / total)) for s in (False, True)}
        side[names[index]] = need[True] > need[False]
        lacking[side[names[index]]] -= own
    return [side[group] for group in groups]


def _keys(sample: Sample, digest: str) -> list[str]:
    """Return what a clip shares with others of its group; the persons are last in order."""
    files = [sample.path, *([] if sample.pair is None else [sample.pair])]
    persons = [name.strip() for name in sample.person.split(";") if name.strip()]
    return [
        f"content {digest}",
        *(f"file {path.absolute()}" for path in files),
        *(f"person {name}" for name in persons),
    ]


def _few(count: int, fake: bool) -> str:
    return f"{count} {'person' if count == 1 else 'persons'} or recordings with {_name(fake)} clips"


def _name(fake: bool) -> str:
    return "forged" if fake else "genuine"
