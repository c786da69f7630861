"""Data sets of generated scenes and of genuine people, on miniatures in their exact layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.data.catalogue import records_of
from pipelines.data.manifest import WHOLE, Record


def text(root: Path, name: str, content: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def found(name: str, root: Path) -> dict[str, Record]:
    return {record.path: record for record in records_of(name, root)}


def test_folders_of_genvideo_name_the_generators(tmp_path: Path) -> None:
    text(tmp_path, "GenVideo-Val/Real/1.mp4")
    text(tmp_path, "GenVideo-Val/Fake/Sora/2.mp4")
    text(tmp_path, "GenVideo-Val/Fake/Show_1/3.mp4")
    real, *fakes = found("genvideo", tmp_path).values()
    assert (real.fake, real.visual, real.audio, real.split) == (False, (), None, "test")
    assert [(r.method, r.visual) for r in fakes] == [("Show_1", WHOLE), ("Sora", WHOLE)]


def test_frame_lists_of_genvideo_are_read_as_literals_alone(tmp_path: Path) -> None:
    head = "content_path,image_path,type_id,label,frame_len,frame_seq\n"
    rows = 'v/1,i/1,Sora,1,2,"[0, 4]"\nv/2,i/2,MSR,0,3,"[0, 4]"\n'
    text(tmp_path, "index.csv", head + rows)
    fake, real = found("genvideo", tmp_path).values()
    assert (fake.fake, fake.method, fake.doubt) == (True, "Sora", "")
    assert (real.method, real.doubt) == ("real", "frame_len and frame_seq disagree")
    text(tmp_path, "index.csv", head + "v/1,i/1,Sora,1,2,\"__import__('os').getcwd()\"\n")
    with pytest.raises(ValueError, match="frame_seq is no list"):
        found("genvideo", tmp_path)


def test_a_genuine_source_of_genvidbench_under_a_fake_label_is_doubted(tmp_path: Path) -> None:
    lines = "Pair1/Pika/1.mp4 1\nPair1/Vript/2.mp4 0\nPair1/Vript/3.mp4 1\n"
    text(tmp_path, "data/GenVidBench/label/fake_real_label/test.txt", lines)
    fake, real, odd = found("genvidbench", tmp_path).values()
    assert (fake.path, fake.method) == ("data/GenVidBench/Pair1/Pika/1.mp4", "Pika")
    assert (real.fake, real.split, real.doubt) == (False, "test", "")
    assert odd.doubt == "source and label disagree"


def test_frames_of_forgerynet_become_seconds_by_the_rate_of_the_file(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    lines = "1 a/1.mp4 12 24 1 1 2 9\n0 a/2.mp4 0 0 0\n1 a/gone.mp4 3 5 1 1 1 4\n"
    text(tmp_path, "Training/video_list.txt", f"{lines}1 a/3.mp4 0 12 1 0 0 0\n")
    (tmp_path / "Training/video/a").mkdir(parents=True)
    for name, fps in (("1.mp4", 24.0), ("2.mp4", 25.0), ("3.mp4", 12.0)):
        shutil.move(
            make_clip(seconds=2.0, fps=fps, sound=False), tmp_path / "Training/video/a" / name
        )
    fake, real, gone, odd = found("forgerynet", tmp_path).values()
    assert fake.path == "Training/video/a/1.mp4"
    assert fake.visual == ((0.5, 1.5),)
    assert (fake.forgery_type, fake.method, fake.fps) == ("identity-remained", "class 9", 24.0)
    assert (real.fake, real.visual, real.split) == (False, (), "train")
    assert (gone.fake, gone.visual) == (True, None)
    assert odd.doubt == "labels and segments disagree"


def test_casual_conversations_tell_groups_and_light(tmp_path: Path) -> None:
    label = {"age": "33", "gender": "Female", "skin-type": "5"}
    people = {
        "1140": {
            "files": [f"CasualConversationsA/1140/1140_0{i}.MP4" for i in range(2)],
            "dark_files": ["CasualConversationsA/1140/1140_01.MP4"], "label": label,
        },
        "7": {"files": ["CasualConversationsB/0007/0007_00.MP4"], "dark_files": [],
              "label": {**label, "age": "N/A"}},
    }  # fmt: skip
    text(tmp_path, "CC_annotations/CasualConversations.json", json.dumps(people))
    bright, dark, ageless = found("casual-conversations", tmp_path).values()
    assert bright.groups == {
        "age": "31-45", "gender": "female", "skin_type": "5", "lighting": "bright",
    }  # fmt: skip
    assert (dark.groups["lighting"], dark.persons, dark.fake) == ("dark", ("1140",), False)
    assert "age" not in ageless.groups
