"""Faces by DeepfakeBench's contract: how many, how large, and lists that its reader reads again."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avdetect import cli
from extractors.errors import InputError
from extractors.faces import track_faces
from extractors.media import MediaError, write_clip
from pipelines.data.catalogue import records_of
from pipelines.data.manifest import WHOLE, Record, read_records, write_records
from pipelines.features.face_frames import face_frames, write_face_frames


def test_faces_are_spread_over_the_clip_upright_and_fill_the_square_by_the_margin(
    face_clip: Path,
) -> None:
    faces = face_frames(face_clip, frames=4)
    assert faces.shape == (4, 256, 256, 3)
    (track,) = track_faces(np.repeat(faces[1:2], 5, axis=0))
    face = track.landmarks[2]
    assert np.ptp(face[:, 1]) * 1.3 == pytest.approx(256, rel=0.15)
    assert face[:, :2].mean(axis=0) == pytest.approx([128, 128], abs=20)
    left, right = face[33, :2], face[263, :2]
    assert abs(np.arctan2(*(right - left)[::-1])) < 0.05  # radians: the eyes are level
    with pytest.raises(MediaError):
        face_frames(face_clip.parent / "nothing.mp4")


def test_written_lists_are_read_again_and_their_frames_are_clips_that_can_be_judged(
    face_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blank = tmp_path / "blank.mp4"
    write_clip(blank, np.full((6, 96, 96, 3), 90, np.uint8), None)
    records = [
        Record(str(face_clip), True, WHOLE, None, None, "simswap", domain="set/one", split="test"),
        Record(str(blank), False, (), None, None, domain="set/one"),
        Record("gone.mp4", False, (), None, None, domain="set/one"),
    ]
    manifest, out = tmp_path / "m.csv", tmp_path / "faces"
    write_records(manifest, records, Path("/"))
    assert cli.main(["datasets", "frames", str(manifest), "--out", str(out)]) == 1
    counts = json.loads(capsys.readouterr().out)
    assert counts == {"videos": 1, "frames": 32, "without a face": 1, "unreadable": 1}
    (record,) = records_of("deepfakebench", out)
    assert (record.method, record.fake, record.domain) == ("simswap", True, "set/one")
    pictures = sorted((out / record.path).glob("*.png"))
    assert len(pictures) == 32
    assert cv2.imread(str(pictures[0])).shape == (256, 256, 3)
    face_clip_twice = write_face_frames(records[:1], Path("/"), out)  # from what was written
    assert face_clip_twice["frames"] == 32

    listed, clips = tmp_path / "listed.csv", tmp_path / "clips"
    write_records(listed, [record], out)
    assert cli.main(["datasets", "clips", str(listed), "--out", str(clips)]) == 0
    (clip,) = read_records(clips / "manifest.csv")
    assert (clips / clip.path).suffix == ".mp4"
    assert (clips / clip.path).exists()
    with pytest.raises(InputError, match="none of 1 videos gave a face"):
        write_face_frames(records[1:2], Path("/"), tmp_path / "none")
