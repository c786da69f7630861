"""Ranges of genuine clips: planted differences are reliable, chance is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.evidence.ranges import MeasuredClips, dubbed, sampled, table


def syllables(steps: int, shift: int = 0) -> np.ndarray[Any, Any]:
    """(T,) float32: bumps at random steps, the same for every shift."""
    bumps = np.random.default_rng(1).random(steps + 40)
    smooth = np.convolve(bumps, np.hanning(9), "same")
    return smooth[20 - shift : 20 - shift + steps].astype(np.float32)


def drawn(
    random: np.random.Generator, count: int, shift: dict[str, float] | None = None
) -> list[dict[str, float]]:
    """Measurements of as many clips, normal about a shift."""
    shift = shift or {"flow_residual": 0.0, "depth_flicker": 0.0}
    return [{n: float(random.normal(s, 1)) for n, s in shift.items()} for _ in range(count)]


def test_a_planted_difference_is_reliable_and_chance_is_not() -> None:
    random = np.random.default_rng(0)
    shift = {"flow_residual": -2.0, "depth_flicker": 0.0}
    fitted, held_out = (
        MeasuredClips(
            drawn(random, 60), {"visual": drawn(random, count, shift), "audio": [], "sync": []}
        )
        for count in (60, 50)
    )
    rows = table(fitted, held_out)
    assert set(rows) == {"flow_residual", "depth_flicker"}
    assert rows["flow_residual"]["auc_interval"][0] > 0.6
    assert not rows["flow_residual"]["larger_in_fakes"]
    assert rows["depth_flicker"]["auc_interval"][0] < 0.6
    assert rows["flow_residual"]["low"] == pytest.approx(-1.64, abs=0.5)
    assert (rows["flow_residual"]["fitted_fakes"], rows["flow_residual"]["fakes"]) == (60, 50)


def test_a_difference_that_turns_round_on_other_clips_is_worse_than_chance() -> None:
    random = np.random.default_rng(0)
    fitted, held_out = (
        MeasuredClips(
            drawn(random, 50),
            {"visual": drawn(random, 50, {"flow_residual": shift}), "audio": [], "sync": []},
        )
        for shift in (2.0, -2.0)
    )
    row = table(fitted, held_out)
    assert row["flow_residual"]["larger_in_fakes"]
    assert row["flow_residual"]["auc"] < 0.2


def test_ranges_come_of_the_fitted_clips_alone() -> None:
    random = np.random.default_rng(0)
    near, far = drawn(random, 40), drawn(random, 40, {"flow_residual": 9.0, "depth_flicker": 9.0})
    fakes = {"visual": drawn(random, 40), "audio": [], "sync": []}
    first, second = (
        table(MeasuredClips(near, fakes), MeasuredClips(near, fakes)),
        table(MeasuredClips(near, fakes), MeasuredClips(far, fakes)),
    )
    for name in ("low", "high", "larger_in_fakes"):
        assert first["depth_flicker"][name] == second["depth_flicker"][name]
    assert first["depth_flicker"]["auc"] != second["depth_flicker"]["auc"]


def test_chance_hardly_ever_passes_for_a_reliable_measurement() -> None:
    random = np.random.default_rng(0)
    passed = 0
    for _ in range(40):
        fitted, held_out = (
            MeasuredClips(drawn(random, 40), {"visual": drawn(random, 40), "audio": [], "sync": []})
            for _ in range(2)
        )
        passed += table(fitted, held_out)["flow_residual"]["auc_interval"][0] > 0.6
    assert passed <= 2


def test_lips_are_dubbed_with_the_sound_of_the_clip_that_is_next_in_length() -> None:
    # each clip's own sound lags by so many steps: the lag that is found tells whose sound it was
    own = [(syllables(n), syllables(n, lag)) for n, lag in ((400, 6), (200, 0), (300, 3))]
    assert [values["lip_lag"] for values in dubbed(own)] == [240, 0, 120]


def test_clips_are_drawn_from_all_sources_alike() -> None:
    from pathlib import Path

    from pipelines.data.samples import Sample

    clips = [
        Sample(Path(f"{source}{i}.mp4"), "train", "real", source, "", (), (), ())
        for source, count in (("a", 20), ("b", 2))
        for i in range(count)
    ]
    drawn = sampled(clips, 6)
    assert sorted(s.source for s in drawn) == ["a"] * 4 + ["b"] * 2
    assert drawn == sampled(clips[::-1], 6)
