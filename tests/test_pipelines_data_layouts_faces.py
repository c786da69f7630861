"""Face data sets: what the makers' folders and lists say, on miniatures in their exact layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.data.catalogue import records_of
from pipelines.data.manifest import WHOLE, Record


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def text(root: Path, name: str, content: str) -> None:
    touch(root, name)
    (root / name).write_text(content, encoding="utf-8")


def found(name: str, root: Path) -> dict[str, Record]:
    return {record.path: record for record in records_of(name, root)}


def faceforensics(root: Path) -> None:
    for split, pair in (("train", ["000", "003"]), ("val", ["001", "870"]), ("test", ["5", "6"])):
        text(root, f"splits/{split}.json", json.dumps([pair]))
    touch(root, "original_sequences/youtube/c23/videos/000.mp4")
    touch(root, "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4")
    touch(root, "manipulated_sequences/NeuralTextures/c40/videos/003_000.mp4")
    touch(root, "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4")


def test_a_pair_of_faceforensics_is_two_originals_and_two_fakes_of_each_method(
    tmp_path: Path,
) -> None:
    faceforensics(tmp_path)
    records = found("faceforensics", tmp_path)
    assert len(records) == 6 + 2 * 6
    real = records["original_sequences/youtube/c23/videos/870.mp4"]
    assert (real.fake, real.split, real.persons, real.visual) == (False, "val", ("870",), ())
    fake = records["manipulated_sequences/NeuralTextures/c40/videos/000_003.mp4"]
    assert (fake.method, fake.forgery_type) == ("NeuralTextures", "reenactment")
    assert (fake.split, fake.persons, fake.groups) == ("train", ("000", "003"), {"quality": "c40"})
    assert (fake.visual, fake.audio) == (WHOLE, None)  # there is no sound
    assert "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4" in records


def test_actors_of_dfd_are_those_in_the_names(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "original_sequences/actors/c23/videos/01__kitchen_still.mp4",
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_20__meeting__YVGY8LOK.mp4",
        "manipulated_sequences/DeepFakeDetection/masks/videos/01_20__meeting__YVGY8LOK.mp4",
    )
    records = list(found("dfd", tmp_path).values())
    assert [r.persons for r in records] == [("01",), ("01", "20")]
    assert [r.fake for r in records] == [False, True]


def test_the_folder_of_celeb_df_decides_and_a_list_that_contradicts_is_doubted(
    tmp_path: Path,
) -> None:
    touch(
        tmp_path, "Celeb-real/id0_0000.mp4", "Celeb-real/id1_0001.mp4", "YouTube-real/00000.mp4",
        "Celeb-synthesis/id0_id16_0000.mp4", "Celeb-synthesis/id1_id0_0002.mp4",
    )  # fmt: skip
    listing = "1 Celeb-real/id0_0000.mp4\n0 Celeb-synthesis/id0_id16_0000.mp4\n"
    text(tmp_path, "List_of_testing_videos.txt", listing + "1 Celeb-synthesis/id9_id2_0000.mp4\n")
    records = found("celeb-df", tmp_path)
    assert [r.split for r in records.values()].count("test") == 3
    real = records["Celeb-real/id0_0000.mp4"]
    fake = records["Celeb-synthesis/id0_id16_0000.mp4"]
    assert (real.fake, real.split, real.persons) == (False, "test", ("id0",))
    assert (fake.fake, fake.split, fake.persons) == (True, "test", ("id0", "id16"))
    assert not real.doubt
    assert not fake.doubt
    assert "disagrees" in records["Celeb-synthesis/id9_id2_0000.mp4"].doubt  # is not there either
    assert records["YouTube-real/00000.mp4"].split == "train"


def test_dfdc_does_not_say_which_track_of_a_fake_is_forged(tmp_path: Path) -> None:
    part = {
        "a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
        "b.mp4": {"label": "REAL", "split": "train"},
        "c.mp4": {"label": "REAL", "split": "train", "original": None},
    }
    text(tmp_path, "dfdc_train_part_7/metadata.json", json.dumps(part))
    text(tmp_path, "test/labels.csv", "filename,label\nx.mp4,0\ny.mp4,1\n")
    records = found("dfdc", tmp_path)
    fake = records["dfdc_train_part_7/a.mp4"]
    assert (fake.fake, fake.visual, fake.audio, fake.sync) == (True, None, None, None)
    assert fake.persons == records["dfdc_train_part_7/b.mp4"].persons == ("b",)
    assert records["dfdc_train_part_7/c.mp4"].audio == ()
    assert [records[f"test/{n}.mp4"].fake for n in "xy"] == [False, True]
    assert records["test/y.mp4"].split == "test"


def test_the_preview_of_dfdc_has_one_list_of_paths(tmp_path: Path) -> None:
    rows = {
        "method_A/1/v.mp4": {"label": "fake", "set": "train"},
        "original_videos/1/o.mp4": {"label": "REAL", "set": "test"},
    }
    text(tmp_path, "dataset.json", json.dumps(rows))
    with pytest.raises(ValueError, match="unknown word 'fake'"):
        found("dfdc", tmp_path)
    rows["method_A/1/v.mp4"]["label"] = "FAKE"
    text(tmp_path, "dataset.json", json.dumps(rows))
    assert [r.split for r in found("dfdc", tmp_path).values()] == ["train", "test"]


def test_deepfaketimit_has_two_people_a_clip_and_sounds_beside(tmp_path: Path) -> None:
    touch(
        tmp_path, "higher_quality/fadg0/sa1-video-fram1.avi", "higher_quality/fadg0/sa1.wav",
        "lower_quality/mcem0/sx9-video-mdab0.avi",
    )  # fmt: skip
    first, second = found("deepfaketimit", tmp_path).values()
    assert (first.persons, first.groups["gender"]) == (("fadg0", "fram1"), "female")
    assert (second.groups["quality"], second.groups["gender"]) == ("lower_quality", "male")
    assert (first.fake, first.visual, first.audio) == (True, WHOLE, ())


def test_methods_of_df40_have_the_papers_names_and_families(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "DF40/danet/ff/frames/000_003/000.png",
        "DF40/danet/cdf/frames/id0_id1_0001/000.png",
        "DF40/heygen/real/frames/talk/1.png",
        "DF40/sd2.1/ff/picture.png",
        "DF40_train/uniface/ff/frames/001_870/5.png",
    )
    records = found("df40", tmp_path)
    dagan = records["DF40/danet/ff/frames/000_003"]
    assert (dagan.method, dagan.forgery_type, dagan.domain) == ("dagan", "reenactment", "ff")
    assert (dagan.persons, dagan.split) == (("000", "003"), "test")
    assert records["DF40/danet/cdf/frames/id0_id1_0001"].persons == ("id0", "id1")
    assert not records["DF40/heygen/real/frames/talk"].fake
    assert records["DF40/sd2.1/ff/picture.png"].forgery_type == "synthesis"
    assert records["DF40_train/uniface/ff/frames/001_870"].split == "train"


def test_df40_is_read_by_its_lists_of_frames_where_it_has_them(tmp_path: Path) -> None:
    frames = {"label": "x", "frames": ["DF40\\uniface\\ff\\000_003\\000.png"]}
    lists = {
        "uniface_ff": {
            "uniface_Fake": {"test": {"c23": {"000_003": frames}}},
            "uniface_Real": {"train": {"000": {"label": "x", "frames": ["r/000/1.png"]}}},
        }
    }
    text(tmp_path, "dataset_json/uniface_ff.json", json.dumps(lists))
    fake, real = found("df40", tmp_path).values()
    assert (fake.path, fake.method, fake.domain) == ("DF40/uniface/ff/000_003", "uniface", "ff")
    assert (fake.groups, fake.split) == ({"quality": "c23"}, "test")
    assert (real.fake, real.path, real.groups) == (False, "r/000", {})
    text(tmp_path, "dataset_json/uniface_ff.json", json.dumps({"a_ff": {"a_genuine": {}}}))
    with pytest.raises(ValueError, match="neither in Real nor in Fake"):
        found("df40", tmp_path)
