"""Calls: nonces serve once, the sum does not depend on the order, files come back as they were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random

import pytest

from extractors.errors import InputError
from pipelines.challenge.call import Call, rates_from, read_call, to_plain, write_call
from pipelines.challenge.compliance import BASELINE, CHALLENGES
from pipelines.challenge.sequential import Rates, TrialConfig
from pipelines.challenge.voice_measures import VoiceMeasures

PLAIN = VoiceMeasures(pitch=120.0, voiced=0.7, centroid=700.0, movement=0.6, rate=4.0, tilt=10.0,
                      onsets=0)  # fmt: skip
WIDE = TrialConfig(alpha=1e-9, beta=1e-9)  # never decided


def begun(config: TrialConfig = WIDE, seed: int = 0) -> Call:
    """A call whose plain sentence was said."""
    call, asked = Call(config).ask(0.0, Random(seed))
    return call.answered(asked, "0" * 64, PLAIN, None)


def tried(call: Call, seed: int, measures: VoiceMeasures = PLAIN) -> Call:
    call, asked = call.ask(0.0, Random(seed))
    return call.answered(asked, f"{len(call.asked):064}", measures, 0.6)


def test_the_plain_sentence_comes_first_and_each_challenge_once() -> None:
    call = begun()
    for seed in range(8):
        call = tried(call, seed)
    names = [asked.challenge for asked in call.asked]
    assert names[0] == BASELINE
    assert sorted(names) == sorted(CHALLENGES)
    with pytest.raises(InputError, match="the decision is the listener's"):
        call.ask(0.0)


def test_a_nonce_makes_its_own_sentence() -> None:
    sentences = {Call().ask(0.0)[1].words for _ in range(20)}
    assert len(sentences) == 20
    assert Call().ask(0.0, Random(1)) == Call().ask(0.0, Random(1))


def test_a_replayed_an_unknown_an_old_and_a_replaced_nonce_are_refused() -> None:
    call, asked = begun().ask(100.0)
    assert call.open_challenge(asked.nonce, "1" * 64, 219.0) is asked
    with pytest.raises(InputError, match="within 120 s"):
        call.open_challenge(asked.nonce, "1" * 64, 221.0)
    for stranger in ("0" * 16, "", "é"):
        with pytest.raises(InputError, match="of no challenge"):
            call.open_challenge(stranger, "1" * 64, 101.0)
    with pytest.raises(InputError, match="this recording answered an earlier challenge"):
        call.open_challenge(asked.nonce, "0" * 64, 101.0)
    done = call.answered(asked, "1" * 64, PLAIN, None)
    with pytest.raises(InputError, match="answered once"):
        done.open_challenge(asked.nonce, "2" * 64, 101.0)
    later, _ = call.ask(102.0)
    with pytest.raises(InputError, match="replaced"):
        later.open_challenge(asked.nonce, "1" * 64, 103.0)


def test_a_challenge_left_unanswered_is_not_put_again_but_the_plain_sentence_is() -> None:
    call, first = Call(WIDE).ask(0.0)
    call, second = call.ask(1.0)
    assert first.challenge == second.challenge == BASELINE
    call = call.answered(second, "0" * 64, PLAIN, None)
    for _ in range(8):
        call, _ = call.ask(2.0)
    assert len({asked.challenge for asked in call.asked}) == 9
    with pytest.raises(InputError, match="all challenges were put"):
        call.ask(3.0)


def test_the_evidence_is_the_sum_of_its_increments_in_any_order() -> None:
    call = begun()
    for seed in range(4):
        call = tried(call, seed)
    increments = [answer.increment for _, answer in call.answers]
    rates = Rates()
    each = rates.increment(False) + 0.125 * 0.4054651081
    assert increments[1:] == pytest.approx([each] * 4)
    for asked in permutations(call.asked):
        assert replace(call, asked=asked).evidence == call.evidence
    assert call.evidence == pytest.approx(4 * each)


def test_a_call_ends_as_soon_as_the_evidence_suffices() -> None:
    call = begun(TrialConfig())
    call = tried(tried(call, 0), 1)  # a plain voice that does nothing it is asked: 2 * log 5 + ...
    assert call.standing == "forged"
    with pytest.raises(InputError, match="the call is decided: forged"):
        call.ask(0.0)


def test_a_decision_against_the_tag_is_a_disagreement() -> None:
    call = tried(begun(), 0)
    assert call.tagged
    assert replace(call, human="genuine").disagreed
    assert not replace(call, human="forged").disagreed
    assert not call.disagreed


def test_a_call_comes_back_from_its_file(tmp_path: Path) -> None:
    call = replace(tried(begun(), 3, replace(PLAIN, pitch=None, movement=None)), human="forged")
    call, _ = call.ask(7.0)
    write_call(tmp_path / "c.json", call)
    assert read_call(tmp_path / "c.json") == call
    assert json.loads((tmp_path / "c.json").read_text())["standing"] == "undecided"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "avdetect call 1", "asked": 3}', "\xff\xfe",
                '{"format": "avdetect call 1", "human": "perhaps"}']
)  # fmt: skip
def test_a_file_that_holds_no_call_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"c\.json: holds no call"):
        read_call(path)


def test_a_file_without_a_plain_sentence_is_refused_where_it_is_needed() -> None:
    call, asked = begun().ask(0.0)
    with pytest.raises(InputError, match="no plain sentence"):
        replace(call, asked=call.asked[1:]).answered(asked, "1" * 64, PLAIN, None)


def test_rates_are_counted_over_calls_of_known_truth() -> None:
    def complying(count: int, seeds: Sequence[int], measures: VoiceMeasures) -> list[Call]:
        config = replace(WIDE, rates={"whisper": Rates(0.999, 0.001)})  # which is put first
        return [tried(begun(config, seed), seed, measures) for seed in seeds][:count]

    whispered = replace(PLAIN, voiced=0.0)
    rates = rates_from(complying(8, range(8), whispered), complying(2, range(2), PLAIN))
    assert rates == {"whisper": Rates(0.9, 0.25)}
    assert "asked" in to_plain(begun())
