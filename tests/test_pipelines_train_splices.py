"""Splices drawn for training: what is labelled forged differs, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.forge.sound.alignment import aligned
from pipelines.train import splices
from pipelines.train.splices import Recording, SpliceConfig, Splicer, join, root_weights

RATE = 16_000


def voice(seed: int, seconds: float = 6.0) -> np.ndarray:  # type: ignore[type-arg]
    """Return noise whose loudness varies like that of syllables."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    loudness = np.interp(
        np.arange(count), np.arange(0, count, 1600), rng.uniform(0, 1, -(-count // 1600))
    )
    return (0.2 * loudness * rng.standard_normal(count)).astype(np.float32)


def recordings() -> list[Recording]:
    return [Recording(voice(i), f"source {i % 2}", f"person {i}") for i in range(4)]


@pytest.mark.parametrize("kind", ["other words", "other voice", "synthetic", "vocoded"])
def test_a_splice_differs_within_its_forged_seconds_alone_and_throughout_them(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splices, "SHARES", {kind: 1.0})
    genuine = [Recording(voice(i, 4.0), f"source {i % 2}", f"person {i}") for i in range(4)]
    config = SpliceConfig(genuine=0.0, joined=0.0)
    splicer = Splicer(genuine, [Recording(voice(9), "synthesiser", "")], config)
    for seed in range(6):
        waveform, segments = splicer(100, np.random.default_rng(seed))  # a recording's length
        changed = min((waveform != r.waveform for r in genuine), key=np.count_nonzero)
        assert 1 <= len(segments) <= 2
        for begin, end in segments:
            inside = slice(round(begin * RATE), round(end * RATE))
            places = np.flatnonzero(changed[inside])
            assert places[0] < RATE // 25
            assert len(changed[inside]) - places[-1] < RATE // 25
            changed[inside] = False
        assert not changed.any()


def test_a_resynthesis_of_the_same_words_takes_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splices, "SHARES", {"resynthesised": 1.0})
    real = voice(1)
    made = -real  # the same loudness: nothing but the sign tells where it was taken from
    splicer = Splicer(
        [Recording(real, "a", "b", (made,))], [], SpliceConfig(genuine=0.0, joined=0.0)
    )
    waveform, segments = splicer(100, np.random.default_rng(0))
    middle = round(sum(segments[0]) / 2 * RATE)
    place = real.tobytes().find(waveform[:640].tobytes()) // 4
    assert place >= 0
    assert waveform[middle] * real[place + middle] < 0


def test_a_genuine_share_is_labelled_genuine_also_when_it_is_joined() -> None:
    splicer = Splicer(recordings(), [], SpliceConfig(genuine=1.0, joined=1.0))
    for seed in range(4):
        waveform, segments = splicer(250, np.random.default_rng(seed))
        assert segments == []
        assert len(waveform) == 10 * RATE


def test_the_same_seed_gives_the_same_splice() -> None:
    one, other = (Splicer(recordings(), [])(100, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_a_resynthesis_that_is_late_is_moved_into_time() -> None:
    real = voice(3)
    late = np.concatenate([np.zeros(700, np.float32), real])[: len(real)]
    moved = aligned(real, late)
    assert moved is not None
    assert np.abs(moved[:-1000] - real[:-1000]).max() < 1e-6


def test_other_words_are_no_resynthesis() -> None:
    assert aligned(voice(3), voice(4)) is None
    assert aligned(voice(3), voice(3, seconds=3.0)) is None


def test_a_join_keeps_both_ends() -> None:
    one, other = voice(1, 2.0), voice(2, 2.0)
    for seed in range(8):
        joined = join(one, other, np.random.default_rng(seed))
        assert np.array_equal(joined[:RATE], one[:RATE])
        assert np.array_equal(joined[-RATE:], other[-RATE:])


def test_sources_are_drawn_by_the_root_of_their_size() -> None:
    weights = root_weights(["a"] * 4 + ["b"])
    assert weights[:4].sum() == pytest.approx(2 * weights[4])
    assert weights.sum() == pytest.approx(1.0)
