"""Segments in the formats of players, spreadsheets and Audacity, and drawn into the picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extractors.media import read_clip
from pipelines.report.annotated_video import annotated, burn_in
from pipelines.report.exports import audacity, table, webvtt, write_export

RESULT: dict[str, Any] = {
    "segments": [
        {"start": 64.5, "end": 65.0, "score": 0.93, "modality": "visual"},
        {"start": 4.36, "end": 5.08, "score": 0.61, "modality": "audio"},
    ],
    "faces": [{"track": 0, "start": 0.0, "end": 1.0, "score": 0.9}],
    "timeline": {
        "rate": 25.0, "visual": [0.0] * 12 + [1.0] * 13, "audio": [None] * 25, "sync": [None] * 25,
    },
    "media": {"video_codec": "h264"},
}  # fmt: skip


def test_webvtt_has_a_cue_a_segment_in_order() -> None:
    assert webvtt(RESULT) == (
        "WEBVTT\n\n"
        "00:00:04.360 --> 00:00:05.080\nsound: fake, score 0.61\n\n"
        "00:01:04.500 --> 00:01:05.000\npicture: fake, score 0.93\n"
    )


def test_csv_reads_back_as_the_segments() -> None:
    rows = list(csv.DictReader(io.StringIO(table(RESULT))))
    assert [float(row["start"]) for row in rows] == [4.36, 64.5]
    assert rows[1] == {"start": "64.500", "end": "65.000", "score": "0.93", "modality": "visual"}


def test_labels_are_start_end_and_text_between_tabs() -> None:
    lines = audacity(RESULT).splitlines()
    assert lines[0].split("\t") == ["4.360000", "5.080000", "sound: fake, score 0.61"]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("kind", "score", "text"),
    [
        ("csv", 0.04, "start,end,score,modality\n"),
        ("vtt", 0.04, "WEBVTT\n\nNOTE The file is real, score 0.04; no stretch looks fake surely "
                      "enough to be named.\n"),
        ("vtt", None, "WEBVTT\n\nNOTE Nothing in the file could be judged, so no stretch is "
                      "named.\n"),
    ],
)  # fmt: skip
def test_a_file_without_segments_is_exported_too(
    kind: str, score: float | None, text: str, tmp_path: Path
) -> None:
    result = {"segments": [], "verdict": "real", "score": score}
    path = write_export(kind, result, tmp_path / "new", "a")
    assert path == tmp_path / "new" / f"a.{kind}"
    assert path.read_text() == text


def test_a_file_without_segments_gets_no_label_track(tmp_path: Path) -> None:
    assert write_export("labels", RESULT, tmp_path, "a") == tmp_path / "a.txt"
    assert write_export("labels", {"segments": []}, tmp_path, "a") is None
    assert list(tmp_path.iterdir()) == []


def test_a_box_is_drawn_where_the_face_is_and_the_bar_is_as_high_as_the_score() -> None:
    frame = np.full((180, 320, 3), 100, np.uint8)
    square = np.array([[0.5, 0.25, 0.25, 0.0]], np.float32)  # 80 pixels around (160, 80)
    curve = np.r_[np.zeros(5), np.ones(5)]
    result = {**RESULT, "segments": []}
    drawn = annotated(frame.copy(), 3, result, {0: (3, square)}, curve)
    assert (drawn[40:120:4, 120] > 200).mean() > 0.9  # the left side, white
    assert (drawn[60:100, 140:180] == 100).all()  # nothing on the face itself
    assert tuple(drawn[175, 300]) == (214, 39, 40)
    assert tuple(drawn[175, 20]) == (33, 33, 33)
    other = annotated(frame.copy(), 4, result, {0: (3, square)}, curve)
    assert (other[40:120:4, 120] == 100).all()  # the face is gone


def test_the_annotated_copy_is_as_long_as_the_file_and_sounds_like_it(
    face_clip: Path, tmp_path: Path
) -> None:
    result = {**RESULT, "segments": [{"start": 0, "end": 9, "score": 0.5, "modality": "sync"}]}
    burn_in(result, face_clip, {}, tmp_path / "out.mp4")
    before, after = read_clip(face_clip), read_clip(tmp_path / "out.mp4")
    assert after.steps == before.steps
    assert after.frames is not None
    assert before.frames is not None
    assert after.frames.shape == before.frames.shape
    assert before.waveform is not None
    assert after.waveform is not None
    assert np.corrcoef(before.waveform, after.waveform)[0, 1] > 0.9
    assert not list(tmp_path.glob("*.partial"))
