"""Segment files: each format as its makers write it, and none taken for another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extractors.clip import Doubles
from pipelines.data.segment_truth import read_segments
from pipelines.metrics.segments import localization
from pipelines.results.segment_files import matched, read_proposals, read_reported

TRUTH = {"a.mp4": [[1, 2], [5, 6]], "b.mp4": [[0, 1]], "c.mp4": []}
ROWS = {
    "a.mp4": [[0.9, 1, 2], [0.8, 5, 5.92], [0.1, 3, 4]],
    "b.mp4": [[0.7, 0, 0.5]],
    "c.mp4": [[0.85, 0, 1]],
}


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
    return path


def plain(videos: dict[str, Doubles]) -> dict[str, list[list[float]]]:
    return {name: rows.tolist() for name, rows in videos.items()}


def test_proposals_of_lavdf_and_av1m_are_read_as_they_are(tmp_path: Path) -> None:
    assert plain(read_proposals(write(tmp_path / "prediction.json", ROWS))) == ROWS
    assert read_proposals(write(tmp_path / "none.json", "{}")) == {}


def test_proposals_of_activitynet_leave_the_rest_of_the_file_alone(tmp_path: Path) -> None:
    results = {
        name: [{"label": "fake", "score": s, "segment": [b, e]} for s, b, e in rows]
        for name, rows in ROWS.items()
    }
    data = {"version": "VERSION 1.3", "external_data": {"used": False}, "results": results}
    assert plain(read_proposals(write(tmp_path / "result.json", data))) == ROWS


def test_own_results_are_proposals_and_a_failed_one_has_none(tmp_path: Path) -> None:
    lines = [
        {
            "path": f"/x/{name}", "status": "ok",
            "segments": [{"score": s, "start": b, "end": e, "modality": "audio"} for s, b, e in r],
        }
        for name, r in ROWS.items()
    ]  # fmt: skip
    lines.append({"path": "/x/d.mp4", "status": "error", "error": {}})
    path = write(tmp_path / "r.jsonl", "\n".join(map(json.dumps, lines)))
    read = read_proposals(path)
    assert read["/x/d.mp4"].shape == (0, 3)
    assert plain(matched(read, {k: np.array(v) for k, v in TRUTH.items()})) == {
        **ROWS, "/x/d.mp4": [],
    }  # fmt: skip


def test_candidates_are_proposals_and_segments_are_what_was_reported(tmp_path: Path) -> None:
    strong = {"score": 0.9, "start": 1.0, "end": 2.0, "modality": "audio"}
    weak = {"score": 0.1, "start": 4.0, "end": 5.0, "modality": "visual"}
    row = {"path": "a.mp4", "status": "ok", "segments": [strong], "candidates": [strong, weak]}
    path = write(tmp_path / "r.jsonl", json.dumps(row))
    assert plain(read_proposals(path)) == {"a.mp4": [[0.9, 1, 2], [0.1, 4, 5]]}
    reported = read_reported(path)
    assert reported is not None
    assert plain(reported) == {"a.mp4": [[0.9, 1, 2]]}
    assert read_reported(write(tmp_path / "prediction.json", ROWS)) is None


def test_metadata_of_every_kind_gives_the_same_seconds(tmp_path: Path) -> None:
    lavdf = [{"file": n, "fake_periods": s, "duration": 9.0} for n, s in TRUTH.items()]
    av1m = [
        {"file": n, "fake_segments": s, "visual_fake_segments": [[7, 8]]} for n, s in TRUTH.items()
    ]
    activitynet = {
        "database": {
            n: {"subset": "test", "annotations": [{"segment": x, "label": "fake"} for x in s]}
            for n, s in TRUTH.items()
        }
    }
    expected = {name: [[float(x) for x in span] for span in s] for name, s in TRUTH.items()}
    segments, lengths = read_segments(write(tmp_path / "metadata.json", lavdf))
    assert plain(segments) == expected
    assert lengths == {"a.mp4": 9.0, "b.mp4": 9.0, "c.mp4": 9.0}
    for data in (av1m, activitynet):
        segments, lengths = read_segments(write(tmp_path / "other.json", data))
        assert plain(segments) == expected
        assert lengths == {}


def test_forgerynet_counts_frames_and_labels_the_genuine_ones_too(tmp_path: Path) -> None:
    lines = "3 a.mp4 0 25 0 25 25 1 50 10 1 1 2 7\n1 b.mp4 0 60 0 0 0 0\n"
    segments, _ = read_segments(write(tmp_path / "list.txt", lines), fps=25)
    assert plain(segments) == {"a.mp4": [[1, 2], [2, 2.4]], "b.mp4": []}
    with pytest.raises(ValueError, match=r"bad\.txt: line 1"):
        read_segments(write(tmp_path / "bad.txt", "2 a.mp4 0 25 0\n"))


def test_golden_numbers_come_out_of_the_files(tmp_path: Path) -> None:
    metadata = [{"file": n, "fake_segments": s} for n, s in TRUTH.items()]
    truth, _ = read_segments(write(tmp_path / "m.json", metadata))
    frames = {n: [[s, 25 * b, 25 * e] for s, b, e in rows] for n, rows in ROWS.items()}
    seconds = read_proposals(write(tmp_path / "p.json", ROWS))
    assert localization(seconds, truth, "av1m").average_precision[0.5] == pytest.approx(2 / 9)
    result = localization(
        read_proposals(write(tmp_path / "f.json", frames)), truth, "lavdf", fps=25
    )
    assert result.average_precision[0.5] == pytest.approx(2 / 9)


def test_longer_names_win_over_shorter_and_suffixes_may_be_left_out() -> None:
    truth = {"id1/v/real.mp4": np.empty((0, 2)), "id2/v/real.mp4": np.empty((0, 2))}
    rows = np.array([[0.5, 0, 1]])
    found = matched({"/data/id2/v/real.mp4": rows, "id1/v/real": rows}, truth)
    assert set(found) == set(truth)
    with pytest.raises(ValueError, match="two predictions for id2/v/real"):
        matched({"/x/id2/v/real.mp4": rows, "/y/id2/v/real.mp4": rows}, truth)


@pytest.mark.parametrize(
    "text", ["[1, 2]", '{"a": [[1, 2]]}', '{"a": [[0.5, 0, 1]]', '{"a": oops}']
)
def test_what_is_no_file_of_proposals_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"x\.json: no file of proposed segments"):
        read_proposals(write(tmp_path / "x.json", text))


def test_what_is_no_metadata_is_an_error_that_names_it(tmp_path: Path) -> None:
    for data in ([{"name": "a"}], {"a": 1}, [{"file": "a", "fake_periods": []}] * 2):
        with pytest.raises(ValueError, match=r"x\.json: no file of true segments"):
            read_segments(write(tmp_path / "x.json", data))


def test_a_video_that_is_proposed_for_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"a.mp4": [[0.9, 1, 2]], "a.mp4": [[0.8, 1, 2]]}')
    with pytest.raises(ValueError, match=r"p\.json: .*a second entry for a\.mp4"):
        read_proposals(tmp_path / "p.json")
