"""Measurements against signals whose answer is known, and what is said of them."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch

from extractors.media import SAMPLE_RATE
from extractors.spectrogram import log_mel
from pipelines.evidence.face_measures import blink_rate, flow_residual, noise_gap
from pipelines.evidence.findings import agreement, finding, known_ranges, sentences
from pipelines.evidence.measurements import MEASURES, Measurements, Series
from pipelines.evidence.ranges import MeasuredClips, dubbed, sampled, table
from pipelines.evidence.sound_measures import lip_sync, periodicity, roll_off

RESULT = {"verdict": "fake", "visual_score": 0.9, "audio_score": 0.1, "sync_score": None}


def syllables(steps: int, shift: int = 0) -> np.ndarray[Any, Any]:
    """(T,) float32: bumps at random steps, the same for every shift."""
    bumps = np.random.default_rng(1).random(steps + 40)
    smooth = np.convolve(bumps, np.hanning(9), "same")
    return smooth[20 - shift : 20 - shift + steps].astype(np.float32)


@pytest.mark.parametrize("lag", [0, 3, -7])
def test_the_lag_of_lips_and_loudness_is_found_in_either_direction(lag: int) -> None:
    found = lip_sync(syllables(200), syllables(200, lag))
    assert found["lip_lag"] == abs(lag) * 40
    assert (found["lip_fit"] > 0.9) == (abs(lag) <= 2)


def test_unknown_steps_do_not_shift_the_lag_and_too_few_give_none() -> None:
    lips, level = syllables(200), syllables(200, 3)
    lips[:40] = np.nan
    assert lip_sync(lips, level)["lip_lag"] == 120
    assert lip_sync(lips[:90], level[:90]) == {}


def test_blinks_are_counted_and_long_shut_eyes_are_none() -> None:
    eyes = np.full(750, 0.3, np.float32)  # half a minute
    for start in (100, 200, 300):
        eyes[start : start + 4] = 0.05
    eyes[400:430] = 0.05
    eyes[500] = 0.05  # one step alone is a slip of the face mesh
    assert blink_rate(eyes) == pytest.approx(6.0)
    assert blink_rate(eyes[:50]) is None


def test_a_tone_is_periodic_and_noise_is_not() -> None:
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 150 * times).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.3, SAMPLE_RATE).astype(np.float32)
    assert periodicity(tone).shape == (25,)
    assert periodicity(tone)[1:-1].min() > 0.95
    assert periodicity(noise).max() < 0.6
    assert periodicity(np.zeros(SAMPLE_RATE, np.float32)).max() == 0


def test_the_roll_off_of_two_tones_is_the_higher_one() -> None:
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(2 * np.pi * 300 * times) + 0.5 * np.sin(2 * np.pi * 4000 * times)
    rolled = roll_off(log_mel(sound.astype(np.float32)))
    assert rolled.shape == (25,)
    assert rolled[5:] == pytest.approx(4.0, abs=0.15)


def test_noise_on_the_face_alone_is_octaves_above_its_surroundings() -> None:
    face = torch.zeros(2, 1, 56, 56)
    face[..., 14:42, 14:42] = 1
    crops = torch.full((2, 3, 112, 112), 100.0) + torch.randn(2, 1, 112, 112) * 2
    inside = torch.nn.functional.interpolate(face, scale_factor=2)
    loud = crops + inside * torch.randn(2, 1, 112, 112) * 8
    assert noise_gap(crops.to(torch.uint8), face).abs().max() < 0.2
    assert noise_gap(loud.to(torch.uint8), face).min() > 1.5


def test_a_face_that_moves_as_one_has_no_flow_residual() -> None:
    face = torch.ones(3, 1, 56, 56)
    steady = torch.full((3, 2, 56, 56), 0.4)
    assert flow_residual(steady, face).max() < 1e-3
    assert flow_residual(steady + 0.1 * torch.randn_like(steady), face).min() > 1


def test_a_series_keeps_its_holes() -> None:
    series = Series()
    series.add(2, np.array([1.0, 2.0], np.float32))
    series.add(5, np.array([3.0], np.float32))
    assert np.array_equal(series.values(), [np.nan, np.nan, 1, 2, np.nan, 3], equal_nan=True)
    assert len(series.values(4)) == 4


def test_nothing_seen_and_heard_measures_nothing() -> None:
    assert Measurements().of_sound() == {}
    assert Measurements().of_face(0) == {}


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


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reliable visual measurement, one that is larger in genuine clips, and a useless one."""
    known = {
        "landmark_jitter": {"low": 1.0, "high": 5.0, "auc": 0.8, "auc_interval": [0.7, 0.9]},
        "flow_residual": {"low": 0.2, "high": 0.6, "auc": 0.85, "auc_interval": [0.8, 0.9]},
        "blink_rate": {"low": 0.0, "high": 30.0, "auc": 0.55, "auc_interval": [0.4, 0.7]},
    }
    clips = {"fitted_genuine": 90, "fitted_fakes": 70, "genuine": 50, "fakes": 40}
    full = {
        name: row | clips | {"larger_in_fakes": name != "flow_residual"}
        for name, row in known.items()
    }
    monkeypatch.setattr("pipelines.evidence.findings.known_ranges", lambda: full)


@pytest.mark.usefixtures("ranges")
def test_only_reliable_measurements_that_fired_make_sentences() -> None:
    rows = [
        finding("landmark_jitter", 9.0, 0), finding("flow_residual", 0.1, 0),
        finding("blink_rate", 90.0, 0), finding("roll_off", 4.0, None),
    ]  # fmt: skip
    assert [row["fired"] for row in rows] == [True, True, True, None]
    assert [row["reliable"] for row in rows] == [True, True, False, None]
    said = sentences(rows)
    assert len(said) == 2
    assert "landmark jitter of face 0, 9.0 ‰" in said[0]
    assert "below" in said[1]
    assert sentences([finding("landmark_jitter", 3.0, 0)]) == []


@pytest.mark.usefixtures("ranges")
def test_every_number_of_a_sentence_is_a_number_of_the_evidence() -> None:
    rows = [finding("landmark_jitter", 9.0, 0), finding("flow_residual", 0.1, 3)]
    numbers = set(re.findall(r"\d+(?:\.\d+)?", json.dumps(rows)))
    for sentence in sentences(rows):
        assert set(re.findall(r"\d+(?:\.\d+)?", sentence)) <= numbers


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize(
    ("verdict", "jitter", "disagree"),
    [("fake", 3.0, True), ("fake", 9.0, False), ("real", 9.0, True), ("real", 3.0, False)],
)
def test_a_verdict_that_the_measurements_do_not_bear_out_is_said_to_disagree(
    verdict: str, jitter: float, disagree: bool
) -> None:
    words = agreement({**RESULT, "verdict": verdict}, [finding("landmark_jitter", jitter, 0)])
    assert ("disagree" in words) == disagree


@pytest.mark.usefixtures("ranges")
def test_measurements_of_another_track_neither_support_nor_contradict() -> None:
    sound = {**RESULT, "visual_score": 0.1, "audio_score": 0.9}
    words = agreement(sound, [finding("landmark_jitter", 3.0, 0)])
    assert "rests on the networks alone" in words
    assert "neither support nor contradict" in agreement(RESULT, [])


def test_what_is_shipped_is_known_of_measurements_that_exist() -> None:
    for name, row in known_ranges().items():
        assert name in MEASURES
        assert row["low"] <= row["high"]
        assert row["auc_interval"][0] <= row["auc"] <= row["auc_interval"][1]


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
