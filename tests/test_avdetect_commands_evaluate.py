"""The verb: a table in percent for people, JSON for programs, one sentence for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avdetect import cli
from avdetect.commands.evaluate import PROTOCOLS

SCORES = {"r1": 0.1, "r2": 0.3, "r3": 0.6, "f1": 0.9, "f2": 0.5, "f3": 0.7}  # AUC 8/9
NAMES = [f"test/{number:06d}.mp4" for number in range(10)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{name}.mp4,{'fake' if name[0] == 'f' else 0}\n" for name in SCORES)
    Path("truth.csv").write_text(f"path,label\n{rows}")
    lines = "".join(f"/elsewhere/{name}.mp4\t{score}\n" for name, score in SCORES.items())
    Path("own.tsv").write_text(f"filename\tprediction\n{lines}")
    metadata = [{"file": n, "fake_periods": [[1.0, 2.0]], "duration": 5.0} for n in NAMES]
    Path("metadata.json").write_text(json.dumps(metadata))
    cells = "".join(f'{name},fake,"[[1.0, 2.0]]"\n' for name in NAMES)
    Path("manifest.csv").write_text(f"path,label,visual_segments\n{cells}")
    return tmp_path


def proposals(*rows: list[float], names: list[str] = NAMES) -> str:
    Path("p.json").write_text(json.dumps(dict.fromkeys(names, rows)))
    return "p.json"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["evaluate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_own_scores_under_own_names_are_a_table_in_percent_with_intervals(capsys) -> None:
    mapping = "path=filename,score=prediction"
    assert cli.main(["evaluate", "own.tsv", "--truth", "truth.csv", "--columns", mapping]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if line.startswith("AUC "))
    assert line.split()[1] == "88.9"
    assert line.split()[2].startswith("(")
    assert "6 of 6" in out
    assert "segments: the truth has no forged seconds" in out


def test_json_has_all_and_may_go_to_a_file_beside_the_table(capsys) -> None:
    arguments = ["own.tsv", "--truth", "truth.csv", "--columns", "path=filename,score=prediction"]
    metrics = measured(capsys, *arguments)
    assert metrics["detection"]["score"]["auc"] == pytest.approx(8 / 9)
    assert metrics["unmatched"] == 0
    assert cli.main(["evaluate", *arguments, "--json", "m.json"]) == 0
    assert json.loads(Path("m.json").read_text())["detection"] == metrics["detection"]
    assert "AUC" in capsys.readouterr().out


@pytest.mark.parametrize("truth", ["metadata.json", "manifest.csv"])
def test_the_rules_of_lavdf_imply_its_frame_rate_whatever_the_truth_is(truth, capsys) -> None:
    frames = proposals([0.9, 25.0, 50.0], [0.2, 80.0, 90.0])
    place = measured(capsys, frames, "--truth", truth, "--protocol", "lavdf")["localization"]
    assert place["AR@10"] == 1.0
    assert place["AP@0.95"] == pytest.approx(0.9)  # its rules lose the first step of recall
    low, high = place["AR@10_interval"]
    assert (low, high) == (1.0, 1.0)


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "lavdf"])
def test_frames_that_are_taken_for_seconds_are_refused_by_name(protocol, capsys) -> None:
    frames = proposals([0.9, 25.0, 50.0])
    said = refused(capsys, frames, "--truth", "metadata.json", "--protocol", protocol)
    assert "p.json: the best proposal of test/000000.mp4 ends at 50 s, the video at 5 s" in said
    assert "--fps 25" in said
    arguments = "--truth", "metadata.json", "--protocol", protocol, "--fps", "25"
    recall = "AR@5" if protocol == "forgerynet" else "AR@10"
    assert measured(capsys, frames, *arguments)["localization"][recall] == 1.0


def test_frames_are_noticed_by_the_forged_seconds_where_no_duration_is_known(capsys) -> None:
    frames = proposals([0.9, 25.0, 50.0], [0.2, 80.0, 90.0])
    said = refused(capsys, frames, "--truth", "manifest.csv")
    assert "no video's best proposal touches its forged seconds" in said
    assert "in frames 10 of 10 would (test/000000.mp4: 25 to 50); --fps 25" in said
    wrong = proposals([0.9, 3.0, 4.0], [0.2, 0.1, 0.2])  # in either unit it finds nothing
    metrics = measured(capsys, wrong, "--truth", "manifest.csv")
    assert metrics["localization"]["AP@0.5"] == 0.0


def test_a_video_that_the_truth_does_not_know_is_refused_by_name(capsys) -> None:
    seconds = proposals([0.9, 1.0, 2.0], names=[*NAMES, "test/unknown.mp4"])
    said = refused(capsys, seconds, "--truth", "manifest.csv")
    assert "p.json: the predictions have ['test/unknown.mp4'], which the truth does not" in said


def test_seconds_that_are_taken_for_frames_are_refused_by_name(capsys) -> None:
    seconds = proposals([0.9, 1.0, 2.0], [0.2, 3.2, 3.6])
    said = refused(capsys, seconds, "--truth", "metadata.json", "--protocol", "lavdf")
    assert "--fps 1 takes them for seconds" in said


@pytest.mark.parametrize("row", [[25.0, 50.0, 0.9], [0.9, 50.0, 25.0], [25.0, 0.9, 50.0]])
def test_swapped_columns_are_noticed(row, capsys) -> None:
    said = refused(capsys, proposals(row), "--truth", "metadata.json", "--protocol", "lavdf")
    assert "p.json: no file of proposed segments: expected rows (score, start, end)" in said


@pytest.mark.parametrize("truth", ["metadata.json", "manifest.csv"])
def test_where_only_the_folders_differ_it_is_said(truth, capsys) -> None:
    bare = proposals([0.9, 25.0, 50.0], names=[Path(name).name for name in NAMES])
    said = refused(capsys, bare, "--truth", truth, "--protocol", "lavdf")
    assert f"p.json: only the folders differ from {truth}, in 10 names: 000000.mp4" in said


def test_predictions_of_other_clips_are_refused(capsys) -> None:
    Path("other.csv").write_text("path,score\nx.mp4,0.5\n")
    said = refused(capsys, "other.csv", "--truth", "truth.csv")
    assert "other.csv: has none of the 6 videos of truth.csv: x.mp4 is not there" in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: expected columns score and video or frame, got none"),
        ("a.csv", "path,score\nr1.mp4,high\n", "a.csv: line 2: expected scores from 0 to 1"),
        ("a.csv", "path,label\nr1.mp4,1\n", "a.csv: has no column 'score'; found path, label"),
        ("a.jsonl", "[1]\n", "a.jsonl: line 1 is no result: expected a JSON object"),
        ("a.jsonl", '{"a": 1}\n', "a.jsonl: line 1 is no result: has no 'path'"),
        ("a.jsonl", '{"path": "r1.mp4", "segments": 5}\n', "segments is no list: 5"),
        ("a.jsonl", '{"path": "r1.mp4", "media": 5}\n', "media is no object: 5"),
        ("a.jsonl", "", "a.jsonl: holds no result"),
        ("a.jsonl", "\udcff", "a.jsonl: is no text in UTF-8"),
        ("a.json", "[1]", "a.json: no file of proposed segments: expected a JSON object"),
        ("a.json", '{"r1.mp4": [{"x": 1}]}', "no file of proposed segments: has no 'score'"),
    ],
)
def test_predictions_that_cannot_be_read_are_one_sentence(name, content, message, capsys) -> None:
    Path(name).write_text(content, errors="surrogateescape")
    assert message in refused(capsys, name, "--truth", "truth.csv")


def test_folders_and_files_that_are_not_there_are_one_sentence(folder, capsys) -> None:
    (folder / "empty").mkdir()
    assert "gone.jsonl: No such file" in refused(capsys, "gone.jsonl", "--truth", "truth.csv")
    assert "found none" in refused(capsys, "empty", "--truth", "truth.csv")
    assert "gone.csv: No such file" in refused(capsys, "truth.csv", "--truth", "gone.csv")
    said = refused(capsys, "own.tsv", "--truth", "truth.csv", "--out", "truth.csv")
    assert said.startswith("avdetect: own.tsv: expected columns score")
