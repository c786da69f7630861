"""Files of results: lines and Parquet say the same, and every file finds its own result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.evaluation.evaluate import evaluate
from pipelines.results import row_schema
from pipelines.results.reading import models, read_results, results_of
from pipelines.results.result_set import ResultError, ResultSet
from pipelines.results.row_schema import flat_row

MODEL = {"name": "tiny", "version": "1", "sha256": "ab"}


def result(path: str, score: float) -> dict[str, Any]:
    return {
        "path": path, "status": "ok", "verdict": "fake", "score": score, "visual_score": score,
        "audio_score": None, "sync_score": None, "media": {"duration": 1.0}, "model": MODEL,
        "segments": [{"start": 0.2, "end": 0.6, "score": score, "modality": "visual"}],
        "timeline": {"rate": 25.0, "visual": [score, 0.5], "audio": None, "sync": [None, 0.25]},
    }  # fmt: skip


def as_lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "results.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def as_set(folder: Path, rows: list[dict[str, Any]]) -> Path:
    with ResultSet(folder / "scan", {"model": MODEL, "timelines": True}) as results:
        for number, row in enumerate(rows):
            results.add(flat_row(row, {}))
            if number == 0:
                results.finish()  # two parts
    return folder / "scan"


ROWS = [result("/x/a.mp4", 0.75), result("/x/b.mp4", 0.125)]
FAILED = {"path": "/x/c.mp4", "status": "error", "error": {"type": "MediaError", "message": "m"}}


def test_lines_and_a_scan_give_the_same_results(tmp_path: Path) -> None:
    places = as_lines(tmp_path, [*ROWS, FAILED]), as_set(tmp_path, [*ROWS, FAILED])
    first, second = (read_results(place, timelines=True) for place in places)
    assert list(first) == list(second) == ["/x/a.mp4", "/x/b.mp4", "/x/c.mp4"]
    for name, row in first.items():
        other = second[name]
        assert (row["status"], row.get("score")) == (other["status"], other["score"])
        assert (row.get("segments") or None) == (other["segments"] or None)
    for results in (first, second):
        curve = results["/x/a.mp4"]["timeline"]
        assert np.array_equal(curve, [[0.75, np.nan, np.nan], [0.5, np.nan, 0.25]], equal_nan=True)
        assert models(results) == [MODEL]
    assert "timeline" not in read_results(places[1])["/x/a.mp4"]


def test_a_scan_is_measured_as_its_lines_are(tmp_path: Path) -> None:
    rows = [result(f"/elsewhere/{name}.mp4", 0.1 * i) for i, name in enumerate("abcdef")]
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "path,label,visual_segments\n"
        + "".join(f"{n}.mp4,fake,whole\n" if n > "c" else f"{n}.mp4,real,[]\n" for n in "abcdef")
    )
    found = [evaluate(place, truth) for place in (as_lines(tmp_path, rows), as_set(tmp_path, rows))]
    assert found[0]["detection"] == found[1]["detection"]
    assert found[0]["localization"] == found[1]["localization"]
    assert found[0]["detection"]["score"]["auc"] == 1.0


def claiming(name: str, *claims: tuple[float, float, float]) -> dict[str, Any]:
    """Return a result that reports nothing; its candidates are (score, start, end)."""
    ranked = [{"start": a, "end": b, "score": s, "modality": "visual"} for s, a, b in claims]
    return {**result(f"/x/{name}.mp4", 0.5), "segments": [], "candidates": ranked}


CLAIMS = [claiming("a", (0.9, 0.1, 0.5)), claiming("b", (0.8, 0.2, 1.0)), claiming("c")]
FORGED = (
    "path,label,visual_segments\n"
    'a.mp4,fake,"[[0.1, 0.5]]"\nb.mp4,fake,"[[0.2, 1.0]]"\nc.mp4,real,[]\n'
)


def test_candidates_of_a_scan_are_ranked_as_those_of_its_lines(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(FORGED)
    for place in (as_lines(tmp_path, CLAIMS), as_set(tmp_path, CLAIMS)):
        measured = evaluate(place, tmp_path / "truth.csv")["localization"]
        assert measured["AP@0.5"] == 1.0
        assert "without_candidates" not in measured
        assert [len(row["candidates"]) for row in read_results(place).values()] == [1, 1, 0]


def test_a_scan_of_an_older_avdetect_is_read_and_what_it_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "truth.csv").write_text(FORGED)
    with monkeypatch.context() as past:
        for name in ("candidates", "uncertain"):
            past.delitem(row_schema.FIELDS, name)
        old = as_set(tmp_path, [*CLAIMS[:2], FAILED])
    measured = evaluate(old, tmp_path / "truth.csv")["localization"]
    assert (measured["AP@0.5"], measured["without_candidates"]) == (0.0, 2)
    assert "scan: 2 results have no candidates" in caplog.text
    with ResultSet(old, {"model": MODEL, "timelines": True}) as results:  # goes on as it began
        results.add(flat_row(CLAIMS[2], {}))
    assert set(read_results(old)) == {"/x/a.mp4", "/x/b.mp4", "/x/c.mp4"}
    with pytest.raises(ResultError, match=r"has no column person \(string\)"):
        ResultSet(old, {"model": MODEL, "timelines": True}, [("person", pa.string())])


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    paths = [Path("/truth/id1/real.mp4"), Path("/truth/id2/real.mp4"), Path("/truth/id3/x.mp4")]
    results = {
        f"/cluster/data/{name}": {"path": name}
        for name in ("id2/real.mp4", "id1/real.mp4", "x.mp4")
    }
    found = results_of(paths, results)
    assert {name: row["path"] for name, row in found.items()} == {
        "/truth/id1/real.mp4": "id1/real.mp4", "/truth/id2/real.mp4": "id2/real.mp4",
        "/truth/id3/x.mp4": "x.mp4",
    }  # fmt: skip


def test_no_file_is_given_the_result_of_another_of_its_name() -> None:
    results = {"/d/id2/real.mp4": {}, "/d/id4/real.mp4": {}}
    assert results_of([Path("/t/id1/real.mp4"), Path("/t/id2/real.mp4")], results) == {
        "/t/id2/real.mp4": {}
    }
    assert results_of([Path("/t/id1/real.mp4")], results) == {}
    assert results_of([], results) == {}


def test_what_is_no_result_set_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one result set, found none"):
        read_results(tmp_path)
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(ValueError, match=r"x\.parquet: not a Parquet file"):
        read_results(tmp_path / "x.parquet")
    as_set(tmp_path, ROWS)
    with ResultSet(tmp_path / "scan", {"model": {"name": "other"}}) as other:
        other.add(flat_row(ROWS[0], {}))
    with pytest.raises(ValueError, match=r"found .*other-.*, .*tiny-"):
        read_results(tmp_path / "scan")
