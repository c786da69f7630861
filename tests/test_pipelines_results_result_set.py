"""Result sets: whole or absent, resumed without loss or repetition, never mixed."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipelines.results.result_set as results_module
from pipelines.results.result_set import ResultError, ResultSet, set_name
from pipelines.results.row_schema import flat_row
from pipelines.scan.corpus import open_results
from pipelines.scan.loop import Progress
from pipelines.scan.summary import summarise, write_summary
from pipelines.storage.sources import videos_of

IDENTITY: dict[str, Any] = {"model": {"name": "tiny", "sha256": "ab"}, "config": {"a": 1}}
LONG = {**IDENTITY, "timelines": True}
RESULT: dict[str, Any] = {
    "schema": 1,
    "status": "ok",
    "error": None,
    "sha256": "00",
    "verdict": "fake",
    "score": 0.93,
    "visual_score": 0.12,
    "audio_score": 0.95,
    "sync_score": None,
    "not_judged": {"visual": None, "audio": None, "sync": "no face was found"},
    "segments": [{"start": 4.36, "end": 5.08, "score": 0.61, "modality": "audio"}],
    "timeline": {"rate": 25.0, "visual": [0.1, 0.2], "audio": [0.9, 0.9], "sync": [None, None]},
    "streams": {"appearance": True, "lips": False, "mel": True},
    "faces": [{"track": 0, "start": 0.0, "end": 5.2, "score": 0.12}],
    "crowd": {"seen": 1, "judged": 1, "time": 0.0},
    "media": {
        "duration": 5.2,
        "width": 640,
        "height": 360,
        "fps": 25.0,
        "video_codec": "h264",
        "audio_codec": "aac",
        "sample_rate": 44100,
        "video_bit_rate": 300_000,
        "credentials": None,
        "video_span": [0.0, 5.2],
        "audio_tracks": ["1 (aac)"],
        "audio_spans": [[0.0, 5.2]],
    },
    "warnings": ["a face is small"],
    "model": {"name": "tiny", "version": "1", "sha256": "ab"},
    "elapsed": {"decode": 0.8, "extract": 1.9, "judge": 0.6, "total": 3.4},
    "seconds": 3.5,
    "tries": 1,
    "judged_at": datetime(2026, 1, 2, tzinfo=UTC),
}


def row(path: str, **extra: Any) -> dict[str, Any]:
    return flat_row({**RESULT, "path": path}, extra)


def error_row(path: str, message: str = "is empty") -> dict[str, Any]:
    error = {"type": "MediaError", "message": f"{path} {message}"}
    return flat_row({"path": path, "status": "error", "error": error, "seconds": 0.1}, {})


def kept(folder: Path, kind: str = "results") -> list[dict[str, Any]]:
    parts = sorted((folder / kind).glob("*.parquet"))
    return [r for part in parts for r in pq.read_table(part).to_pylist()]


def killed(results: ResultSet) -> None:
    """Leave the set as a process that is killed would."""
    results._journal._file.close()
    results._unlock()


def test_a_row_comes_back_as_it_went_in(tmp_path):
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
        results.add(error_row("b.mp4"))
    first, second = kept(results.folder)
    for name in ("verdict", "score", "sync_score", "segments", "faces", "media", "warnings"):
        assert first[name] == RESULT[name], name
    assert first["streams"] == ["appearance", "mel"]
    assert first["judged_at"] == RESULT["judged_at"]
    assert first["error_type"] is None
    assert second["status"] == "error"
    assert (second["error_type"], second["error_message"]) == ("MediaError", "b.mp4 is empty")
    assert second["verdict"] is None


def test_every_part_says_its_schema_version(tmp_path):
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
    (part,) = (results.folder / "results").iterdir()
    assert pq.read_schema(part).metadata[b"avdetect.schema"] == b"1"


@pytest.mark.parametrize("library", ["pandas", "polars", "duckdb"])
def test_other_libraries_read_the_parts(tmp_path, library):
    module = pytest.importorskip(library)
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
        results.add(error_row("b.mp4"))
    files = results.folder / "results"
    names = ["path", "score", "segments"]
    if library == "pandas":
        table = module.read_parquet(files).sort_values("path")
        rows = list(table[names].itertuples(index=False, name=None))
    elif library == "polars":
        rows = module.read_parquet(files / "*.parquet").select(names).rows()
    else:
        query = f"SELECT {', '.join(names)} FROM '{files}/*.parquet' ORDER BY path"
        rows = module.sql(query).fetchall()
    (path, score, segments), (broken, none, _) = rows
    assert (path, score, broken) == ("a.mp4", 0.93, "b.mp4")
    assert none is None or none != none
    assert [dict(segment) for segment in segments] == RESULT["segments"]


def test_a_path_is_kept_once(tmp_path):
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
        results.add(row("a.mp4"))
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
        assert len(results) == 1
    assert len(kept(results.folder)) == 1


def test_a_name_that_is_no_text_is_kept_and_known_again(tmp_path):
    name = "caf\udce9.mp4"  # Latin-1, as Python reads it
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(error_row(name))
    assert kept(results.folder)[0]["path"] == r"caf\xe9.mp4"
    with ResultSet(tmp_path, IDENTITY) as results:
        assert name in results


def test_a_killed_scan_loses_no_finished_row(tmp_path):
    results = ResultSet(tmp_path, IDENTITY)
    results.add(row("a.mp4"))
    results.add(error_row("b.mp4"))
    killed(results)
    assert kept(results.folder) == []
    with ResultSet(tmp_path, IDENTITY) as results:
        assert "a.mp4" in results
        assert "b.mp4" in results
        assert "c.mp4" not in results
        assert [r["path"] for r in kept(results.folder)] == ["a.mp4", "b.mp4"]


def test_a_row_that_was_half_written_is_judged_again(tmp_path):
    results = ResultSet(tmp_path, IDENTITY)
    results.add(row("a.mp4"))
    whole = results.pending.stat().st_size
    results.add(row("b.mp4"))
    killed(results)
    content = results.pending.read_bytes()
    for cut in range(whole, len(content), 97):
        results.pending.write_bytes(content[:cut])
        with ResultSet(tmp_path, IDENTITY) as again:
            assert "a.mp4" in again, cut
            assert "b.mp4" not in again, cut
        for part in (again.folder / "results").iterdir():
            part.unlink()


def test_a_kill_between_part_and_journal_does_not_double_rows(tmp_path):
    results = ResultSet(tmp_path, IDENTITY)
    results.add(row("a.mp4"))
    results._write_rows()
    killed(results)
    with ResultSet(tmp_path, IDENTITY) as results:
        assert len(results) == 1
    assert len(kept(results.folder)) == 1


def test_a_kill_while_a_part_is_written_leaves_no_half(tmp_path, monkeypatch):
    results = ResultSet(tmp_path, LONG)
    results.add(row("a.mp4"))
    results._write_table("timelines", "part-1.parquet", results._waiting, results.schema)
    (results.folder / "results" / ".part-1.parquet.partial").write_bytes(b"PAR1")
    killed(results)
    with ResultSet(tmp_path, LONG) as results:
        pass
    assert len(kept(results.folder)) == len(kept(results.folder, "timelines")) == 1
    assert not list(results.folder.rglob("*.partial"))


def test_timelines_go_to_a_dataset_of_their_own_if_asked_for(tmp_path):
    with ResultSet(tmp_path, LONG) as results:
        results.add(row("a.mp4"))
        results.add(error_row("b.mp4"))
    (timeline,) = kept(results.folder, "timelines")
    assert timeline["visual"] == pytest.approx([0.1, 0.2])
    assert timeline["sync"] == [None, None]
    assert "visual" not in kept(results.folder)[0]
    with ResultSet(tmp_path, IDENTITY) as other:
        other.add(row("a.mp4"))
    assert not (other.folder / "timelines").exists()


def test_a_part_is_written_when_enough_rows_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(results_module, "PART_ROWS", 2)
    with ResultSet(tmp_path, IDENTITY) as results:
        for name in "abc":
            results.add(row(name))
        assert len(kept(results.folder)) == 2
        monkeypatch.setattr(results_module, "PART_SECONDS", 0.0)
        results.add(row("d"))
        assert len(kept(results.folder)) == 4


def test_another_model_or_configuration_has_a_set_of_its_own(tmp_path):
    others = [
        {**IDENTITY, "model": {"name": "tiny", "sha256": "cd"}},
        {**IDENTITY, "config": {"a": 2}},
        LONG,
    ]
    assert len({set_name(identity) for identity in (IDENTITY, *others)}) == 4
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
    with ResultSet(tmp_path, others[1]) as other:
        assert "a.mp4" not in other
        assert json.loads((other.folder / "set.json").read_text()) == others[1]


def test_a_manifests_columns_are_the_results_own(tmp_path):
    extra = [("label", pa.string()), ("views", pa.int64()), ("score", pa.string())]
    with ResultSet(tmp_path, IDENTITY, extra) as results:
        results.add(row("a.mp4", label="fake", views=12, score="high"))
    (line,) = kept(results.folder)
    assert (line["label"], line["views"], line["manifest_score"]) == ("fake", 12, "high")
    assert line["score"] == 0.93
    with ResultSet(tmp_path, IDENTITY) as results:  # a source without them
        results.add(row("b.mp4"))
    assert kept(results.folder)[1]["label"] is None
    with pytest.raises(ResultError, match=r"has no column colour \(string\)"):
        ResultSet(tmp_path, IDENTITY, [("colour", pa.string())])
    ResultSet(tmp_path, IDENTITY).close()  # the refusal has let go of the set


def test_a_manifests_columns_of_other_kinds_are_kept_as_text(tmp_path):
    manifest = tmp_path / "m.parquet"
    tags = pa.array([["a", "b"]], pa.list_(pa.string()))
    kind = pa.array(["cat"]).dictionary_encode()
    pq.write_table(pa.table({"path": ["a.mp4"], "tags": tags, "kind": kind}), manifest)
    (video,) = videos_of(str(manifest))
    with open_results(str(manifest), tmp_path, IDENTITY, fresh=False) as results:
        results.add(row(video.path, **video.extra))
    (line,) = kept(results.folder)
    assert (line["tags"], line["kind"]) == ("['a', 'b']", "cat")


def test_fresh_forgets_this_set_alone(tmp_path):
    for identity in (IDENTITY, LONG):
        with ResultSet(tmp_path, identity) as results:
            results.add(row("a.mp4"))
    with open_results(str(tmp_path), tmp_path, IDENTITY, fresh=True) as results:
        assert len(results) == 0
    with open_results(str(tmp_path), tmp_path, LONG, fresh=False) as results:
        assert len(results) == 1


def test_two_scans_do_not_write_to_one_set(tmp_path):
    with ResultSet(tmp_path, IDENTITY), pytest.raises(ResultError, match="another scan"):
        ResultSet(tmp_path, IDENTITY)


def test_a_place_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match="cannot be written"):
        ResultSet(tmp_path / "file", IDENTITY)


def test_a_full_disk_is_one_error_and_leaves_the_parts_readable(tmp_path, monkeypatch):
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
    results = ResultSet(tmp_path, IDENTITY)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(results_module, "write_whole", full)
        results.add(row("b.mp4"))
        with pytest.raises(ResultError, match="No space left on device"):
            results.close()
    assert [r["path"] for r in kept(results.folder)] == ["a.mp4"]
    with ResultSet(tmp_path, IDENTITY) as results:
        assert "b.mp4" in results  # from the journal


def test_a_disk_that_fills_up_between_two_rows_loses_only_what_it_did_not_take(tmp_path):
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("first.mp4"))
    results = ResultSet(tmp_path, IDENTITY)
    taken = ["first.mp4"]

    def fill() -> None:
        for number in range(1000):
            results.add(row(f"{number}.mp4"))
            taken.append(f"{number}.mp4")

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # bytes of a file
    try:
        with pytest.raises(ResultError, match=f"^{results.folder}: .* cannot be written"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [r["path"] for r in kept(results.folder)] == ["first.mp4"]
    killed(results)
    ResultSet(tmp_path, IDENTITY).close()
    paths = [r["path"] for r in kept(results.folder)]
    assert len(paths) == len(set(paths))
    assert set(paths) >= set(taken)
    assert len(taken) > 10


def test_the_summary_counts_verdicts_and_causes(tmp_path):
    with ResultSet(tmp_path, IDENTITY) as results:
        results.add(row("a.mp4"))
        results.add(error_row("b.mp4"))
        results.add(error_row("c.mp4"))
        results.add(error_row("d.mp4", "cannot be opened"))
        results.finish()
        summary = summarise(results, Progress(total=4, done=4, failed=3, seconds=2.0))
        write_summary(results.folder, summary)
    assert json.loads((results.folder / "summary.json").read_text()) == summary
    assert (summary["videos"], summary["judged"], summary["failed"]) == (4, 1, 3)
    assert summary["verdicts"] == {"fake": 1}
    assert summary["causes"] == {"MediaError: is empty": 2, "MediaError: cannot be opened": 1}
    assert summary["media_seconds"] == 5.2
    assert summary["run"]["videos_per_hour"] == 7200.0
