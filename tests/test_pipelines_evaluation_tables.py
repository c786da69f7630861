"""The report: what a reader needs to come to the same numbers, and tables that hold together."""

from __future__ import annotations

from typing import Any

from pipelines.evaluation.markdown import cell, line
from pipelines.evaluation.tables import report

NOISE = {
    "given": 4, "ratios": [0.5, 1.0], "ceiling": [0.638, 0.760], "bound": [0.7, 0.81],
    "visual": {
        "clips": 4, "sigma": 4.0, "auc": [0.6, 0.9], "auc_interval": [[0.5, 0.7], [0.8, 0.95]],
        "above": [False, True],
    },
    "audio": {"clips": 0, "sigma": 0.002},
}  # fmt: skip
POISON = {
    "given": 41,
    "genuine": {
        "pictures": 40, "p": 0.005, "energy": 2.0, "chance": 1.0, "canaries": 2, "canary_p": 0.1,
        "translation_discrepancy": 0.9,
    },
    "forged": {"pictures": 1},
}  # fmt: skip


def metrics(**more: Any) -> dict[str, Any]:
    place = {"protocol": "lavdf", "version": "1", "AP@0.5": 0.25, "challenge_score": None}
    return {"detection": {}, "localization": place, **more}


def test_the_head_names_protocol_model_and_command() -> None:
    model = {"name": "starter", "version": "3", "sha256": "abc"}
    text = report(metrics(models=[model], command="avdetect evaluate x"), ["roc.png"])
    assert "Protocol lavdf, version 1." in text
    assert "Model starter 3, SHA-256 `abc`." in text
    assert "Command: `avdetect evaluate x`" in text
    assert "| AP@0.5 | 0.250 |" in text
    assert "challenge_score" not in text  # this protocol has none
    assert "![roc](roc.png)" in text


def test_generators_with_too_few_fakes_are_told_in_one_sentence() -> None:
    rows = {"a": {"fakes": 5, "auc": 0.75, "auc_interval": (0.5, 1.0)}, "b|c": {"fakes": 2}}
    levels = {"c23": {"fakes": 5, "reals": 4, "auc": 0.7, "auc_interval": (0.5, 0.9)}}
    score = {"scored": 9, "given": 9, "fake": 7, "real": 2, "auc": 0.75}
    text = report(
        {**metrics(), "detection": {"score": {**score, "by_generator": rows, "by_quality": levels}}}
    )
    assert "| a | 5 | 0.750 (0.500–1.000) |" in text
    assert "Too few fakes to tell: b|c (2)." in text
    assert "| c23 | 5 | 4 | 0.700 (0.500–0.900) |" in text


def test_probes_have_a_table_each() -> None:
    text = report(metrics(noise=NOISE, poison=POISON))
    assert "| visual, sigma 4 of 255 | 0.5 | 4 | 0.600 (0.500–0.700) | 0.638 | 0.700 |" in text
    assert "| 0.900 (0.800–0.950) ABOVE the ceiling | 0.760 |" in text
    assert "audio, sigma" not in text
    assert "| genuine | 40 | 0.005 | 2.000 | 0.900 | 0.100 (2 of 40) |" in text
    assert "| forged | 1 | – | – | – | – |" in text


def test_no_word_ends_a_cell_or_a_line() -> None:
    assert line(["a|b", "c\nd"]) == "| a/b | c d |"
    assert cell({"auc": None}, "auc") == "–"
    assert cell({"auc": 0.5}, "auc") == "0.500"
