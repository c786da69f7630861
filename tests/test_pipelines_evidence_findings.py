"""Sentences about measurements: only what is reliable and fired is said."""

from __future__ import annotations

import json
import re

import pytest

from pipelines.evidence.findings import agreement, by_networks, finding, known_ranges, sentences
from pipelines.evidence.measurements import MEASURES

RESULT = {"verdict": "fake", "visual_score": 0.9, "audio_score": 0.1, "sync_score": None}


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
    said = sentences(rows)
    assert len(said) == 2
    for sentence in said:
        assert set(re.findall(r"\d+(?:\.\d+)?", sentence)) <= numbers


@pytest.mark.usefixtures("ranges")
def test_weak_measurements_give_way_to_the_networks_probability() -> None:
    weak = [finding("blink_rate", 90.0, 0), finding("blink_rate", 9.0, 1)]
    heard = [finding("roll_off", 4.0, None), finding("lip_lag", 400.0, 0)]
    (picture, sound) = by_networks(RESULT, [*weak, *heard])  # of lips with sound there is no score
    assert "Of the picture no measurement is reliable" in picture
    assert picture.count("blinks") == 1
    assert picture.endswith("probability of a fake, 0.9: high.")
    assert sound.endswith("probability of a fake, 0.1: low.")
    between = by_networks({**RESULT, "visual_score": 0.5}, weak)
    assert between[0].endswith("0.5: neither high nor low.")
    assert by_networks(RESULT, [*weak, finding("landmark_jitter", 3.0, 0)]) == []
    numbers = set(re.findall(r"\d+(?:\.\d+)?", json.dumps(RESULT)))
    assert set(re.findall(r"\d+(?:\.\d+)?", picture + sound)) <= numbers


@pytest.mark.usefixtures("ranges")
def test_sentences_come_in_the_order_of_balanced_accuracy() -> None:
    jitter, flow = finding("landmark_jitter", 9.0, 0), finding("flow_residual", 0.1, 0)
    jitter["balanced_accuracy"], flow["balanced_accuracy"] = 0.7, 0.8
    assert "flow residual" in sentences([jitter, flow])[0]
    flow["balanced_accuracy"] = 0.6
    assert "landmark jitter" in sentences([jitter, flow])[0]


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
    known = known_ranges()
    assert known
    for name, row in known.items():
        assert name in MEASURES
        assert row["low"] <= row["high"]
        assert row["auc_interval"][0] <= row["auc"] <= row["auc_interval"][1]
