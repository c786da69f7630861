"""No number of the model card goes without a word on where it comes from."""

from __future__ import annotations

from avdetect.model_card import CARD
from pipelines.evaluation.card_numbers import UNTOLD, accounted, numbers_table

CARD_TEXT = """# Starter weights, version 12

## Development clips

Of 112 clips 4 are called fake. Version 11 had 7.

| | batch 1 |
|---|---|
| picture: AUC | 0.94; 98 / 209 |
| **all**, version 11 | 0.37 |
| sound: AUC | 0.99 |

## Gossip

Somebody says 42.
"""


def test_rows_that_were_made_again_stand_beside_the_card_s() -> None:
    made = {"Clips": ["| | 1 |", "|---|---|", "| picture: AUC | 0.90; 98 / 209 |",
                      "| sound: AUC | 0.99 |"]}  # fmt: skip
    now = {entry.words: entry.now for entry in accounted(CARD_TEXT, made)}
    assert now["picture: AUC"] == "0.90; 98 / 209"
    assert now["sound: AUC"] == "the same"
    assert "older weights" in now["all**, version 11"]
    assert "Clips with picture" in now["Of 112 clips 4 are called fake."]
    assert "older weights" in now["Version 11 had 7."]
    assert now["Somebody says 42."] == UNTOLD


def test_rows_without_a_manifest_are_said_to_be_missing() -> None:
    entries = accounted(CARD_TEXT, {})
    (row,) = [entry for entry in entries if entry.words == "sound: AUC"]
    assert row.now == "not made: no manifest of these clips was given"
    assert row.numbers == ("0.99",)
    assert numbers_table([row])[-1].startswith("| Development clips | sound: AUC | 0.99 | not made")


def test_every_number_of_the_shipped_card_is_accounted_for() -> None:
    entries = accounted(CARD.read_text(encoding="utf-8"), {})
    assert len(entries) > 100
    assert [entry.words for entry in entries if entry.now == UNTOLD] == []
