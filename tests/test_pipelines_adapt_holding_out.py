"""Nobody who teaches is held out, and where that cannot be, the adaptation is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from extractors.errors import InputError
from pipelines.adapt.holding_out import check_split, groups_of, held_out
from pipelines.data.samples import Sample

MANIFEST = Path("own.csv")


def sample(
    name: str, fake: bool, person: str = "", split: str = "train", pair: str | None = None
) -> Sample:
    truth = ((0.0, 1.0),) if fake else ()
    made_from = None if pair is None else Path(pair)
    return Sample(Path(name), split, "m", "s", person, truth, None, None, pair=made_from)


def people(count: int, clips: int = 2, split: str = "train") -> list[Sample]:
    """Each person with as many genuine as forged clips."""
    return [
        sample(f"{person}-{clip}-{fake}.mp4", fake, f"p{person}", split)
        for person in range(count)
        for clip in range(clips)
        for fake in (False, True)
    ]


def digests(samples: list[Sample]) -> list[str]:
    return [str(s.path) for s in samples]


def test_persons_pairs_and_copies_join_clips_to_groups() -> None:
    samples = [
        sample("a.mp4", False, "Ann"),
        sample("b.mp4", True, "Ann;Bob"),
        sample("c.mp4", False, "Bob"),
        sample("d.mp4", False, "Cid"),
        sample("e.mp4", True, "", pair="d.mp4"),
        sample("f.mp4", False),
        sample("g.mp4", False),
    ]
    found = groups_of(samples, ["0", "1", "2", "3", "4", "5", "5"])
    assert len(set(found[:3])) == len(set(found[3:5])) == len(set(found[5:])) == 1
    assert len(set(found)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_divided_and_both_sides_have_their_share_of_both_classes(seed: int) -> None:
    samples = people(10)
    groups = groups_of(samples, digests(samples))
    held = held_out(MANIFEST, samples, groups, 0.3, seed)
    sides = {g: {h for h, own in zip(held, groups, strict=True) if own == g} for g in groups}
    assert all(len(side) == 1 for side in sides.values())
    for fake in (False, True):
        own = [h for h, s in zip(held, samples, strict=True) if s.fake == fake]
        assert sum(own) == pytest.approx(0.3 * len(own), abs=2)


def test_a_split_of_the_manifest_is_kept() -> None:
    samples = [*people(4), *[sample(f"h{i}.mp4", bool(i), f"q{i}", "dev") for i in range(2)]]
    held = held_out(MANIFEST, samples, groups_of(samples, digests(samples)), 0.5, 0)
    assert held == [s.split == "dev" for s in samples]


@pytest.mark.parametrize(
    ("taught", "held", "named"),
    [
        (sample("a.mp4", True, "Ann"), sample("b.mp4", False, "Bob;Ann", "dev"), "'Ann'"),
        (sample("a.mp4", True, "", pair="b.mp4"), sample("b.mp4", False, "", "dev"), "b.mp4"),
    ],
)
def test_a_split_that_leaks_is_refused_and_says_who_is_on_both_sides(
    taught: Sample, held: Sample, named: str
) -> None:
    samples = [*people(3), taught, held]
    with pytest.raises(InputError, match=named) as refusal:
        check_split(MANIFEST, samples, digests(samples))
    assert "own.csv" in str(refusal.value)
    check_split(MANIFEST, [*people(3), taught], digests([*people(3), taught]))


def test_a_copy_under_another_name_leaks_too() -> None:
    samples = [sample("a.mp4", True, "Ann"), sample("copy.mp4", True, "Anne", "dev")]
    with pytest.raises(InputError, match="the recording"):
        check_split(MANIFEST, samples, ["same", "same"])


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_persons_are_refused(count: int) -> None:
    samples = people(count, clips=10)
    with pytest.raises(InputError, match="too few to hold any out"):
        held_out(MANIFEST, samples, groups_of(samples, digests(samples)), 0.5, 0)


def test_genuine_clips_alone_need_no_fakes() -> None:
    samples = [s for s in people(6) if not s.fake]
    groups = groups_of(samples, digests(samples))
    held = held_out(MANIFEST, samples, groups, 0.5, 0, genuine_only=True)
    assert sum(held) == 6
    with pytest.raises(InputError, match="0 persons or recordings with forged clips"):
        held_out(MANIFEST, samples, groups, 0.5, 0)
