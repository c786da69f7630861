"""The verb: each protocol's table for people, JSON for programs, one sentence for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avdetect import cli

TRUTH = """path,label,method,forgery_type,domain,aspect
r1.mp4,real,,,FF,
r2.mp4,real,,,FF,
a1.mp4,fake,DF,swap,FF,action
b1.mp4,fake,FS,swap,FF,
r3.mp4,real,,,CDF,
c1.mp4,fake,CDF,swap,CDF,action
"""
SCORES = {"r1": 0.1, "r2": 0.4, "a1": 0.9, "b1": 0.3, "r3": 0.6, "c1": 0.2}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("truth.csv").write_text(TRUTH)
    rows = "".join(f"/elsewhere/{name}.mp4,{score}\n" for name, score in SCORES.items())
    Path("r.csv").write_text(f"path,score\n{rows}")
    Path("frames.csv").write_text(
        "video,score\n" + "".join(f"{n},{s}\n" for n, s in SCORES.items())
    )
    Path("raters.csv").write_text("automatic,manual\n100,80\n0,20\n")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["protocol", *words, "--truth", "truth.csv"]) == 0
    return capsys.readouterr().out


def test_every_protocol_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    crossed = run(capsys, "cross-set", "r.csv", "--within", "FF", "--frames", "frames.csv")
    assert "| FF: DF | 1 | 2 | 3 | 1.000 | 1.000 |" in crossed
    assert "| CDF | 1 | 1 | 2 | 0.000 |" in crossed
    matrix = run(capsys, "one-vs-all", "DF=r.csv", "FS=r.csv")
    assert "| DF | 0.333 | **1.000** | 0.333 |" in matrix
    fine = run(capsys, "fine-labels", "r.csv", "--left-out", "CDF=r.csv")
    assert "| CDF | yes | 1 | 1 | 0.000 |" in fine
    aspects = run(capsys, "aspects", "r.csv", "--raters", "raters.csv")
    assert "| action | 2 | 0.500" in aspects
    assert "kappa 1.000" in aspects


def test_json_is_printed_alone_or_written_beside_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = json.loads(run(capsys, "cross-set", "r.csv", "--within", "FF", "--json", "-"))
    assert found["mean_cross"]["auc"] == 0.0
    assert "mean cross" in run(capsys, "cross-set", "r.csv", "--within", "FF", "--json", "m.json")
    assert json.loads(Path("m.json").read_text()) == found


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["one-vs-all", "r.csv"], "expected NAME=RESULTS"),
        (["cross-set", "r.csv"], "no clip is of 'FaceForensics++'"),
        (["quality", "r.csv"], "three fakes or more"),
        (["cross-set", "nothing.csv"], "nothing.csv: No such file"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert cli.main(["protocol", *words, "--truth", "truth.csv"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
