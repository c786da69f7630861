"""Data sets with sound: what the makers' tables say, on miniatures in their exact layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.data.catalogue import records_of
from pipelines.data.manifest import WHOLE, Record


def text(root: Path, name: str, content: str, encoding: str = "utf-8") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding=encoding)


def found(name: str, root: Path) -> dict[str, Record]:
    return {record.path: record for record in records_of(name, root)}


FAKEAVCELEB = """source,target1,target2,method,category,type,race,gender,path,
id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,\
FakeAVCeleb/RealVideo-RealAudio/African/men/id00076
id00003,id10001,4,wav2lip,D,FakeVideo-FakeAudio,African,women,00003_4_id10001_wavtolip.mp4,\
FakeAVCeleb/FakeVideo-FakeAudio/African/women/id00003
id00004,-,-,rtvc,C,RealVideo-FakeAudio,Asian (East),men,00001_fake.mp4,\
FakeAVCeleb/RealVideo-FakeAudio/Asian (East)/men/id00004
"""


def test_the_unnamed_column_of_fakeavceleb_is_the_folder(tmp_path: Path) -> None:
    text(tmp_path, "meta_data.csv", FAKEAVCELEB)
    real, both, voice = found("fakeavceleb", tmp_path).values()
    assert real.path == "RealVideo-RealAudio/African/men/id00076/00109.mp4"
    assert (real.visual, real.audio, real.sync) == ((), (), ())
    assert (both.visual, both.audio, both.sync) == (WHOLE, WHOLE, None)
    assert (both.persons, both.method) == (("id00003", "id10001"), "wav2lip")
    assert both.groups == {"race": "African", "gender": "female"}
    assert (voice.visual, voice.audio) == ((), WHOLE)
    assert voice.doubt == "category and type disagree"
    text(tmp_path, "meta_data.csv", FAKEAVCELEB.replace(",path,", ",path"))
    with pytest.raises(ValueError, match=r"meta_data\.csv: has no column"):
        found("fakeavceleb", tmp_path)


def lavdf_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "file": f"test/{number:06d}.mp4", "n_fakes": 1, "fake_periods": [[1.0, 1.5]],
        "duration": 4.224, "original": "test/000009.mp4", "modify_video": True,
        "modify_audio": False, "split": "test", "video_frames": 103, "audio_channels": 1,
        "audio_frames": 65536, **changes,
    }  # fmt: skip


def test_periods_of_lavdf_belong_to_the_modified_tracks(tmp_path: Path) -> None:
    rows = [
        lavdf_row(1), lavdf_row(2, modify_audio=True),
        lavdf_row(9, n_fakes=0, fake_periods=[], modify_video=False, original=None),
        lavdf_row(3, n_fakes=2), lavdf_row(4, fake_periods=[[4.0, 4.5]]),
        lavdf_row(5, modify_video=False), lavdf_row(6, split="dev"),
    ]  # fmt: skip
    text(tmp_path, "metadata.min.json", json.dumps(rows))
    picture, both, real, *doubtful = found("lav-df", tmp_path).values()
    assert (picture.visual, picture.audio, picture.method) == (((1.0, 1.5),), (), "visual_modified")
    assert (both.visual, both.audio) == (((1.0, 1.5),), ((1.0, 1.5),))
    assert (real.fake, real.sync, real.persons) == (False, (), picture.persons)
    assert [record.doubt for record in doubtful] == [
        "n_fakes and fake_periods disagree", "a segment ends after the clip",
        "fake_periods and modified tracks disagree", "the file is in another split",
    ]  # fmt: skip
    assert not any(record.doubt for record in (picture, both, real))


def av1m_row(name: str, kind: str, visual: Any = (), audio: Any = (), **more: Any) -> Any:
    return {
        "file": f"id01591/q7LU/{name}.mp4", "modify_type": kind, "split": "val",
        "fake_segments": [*visual, *audio], "visual_fake_segments": visual,
        "audio_fake_segments": audio, "video_frames": 100, **more,
    }  # fmt: skip


def test_av_deepfake1m_means_the_same_by_a_hyphen_as_by_an_underscore(tmp_path: Path) -> None:
    rows = [
        av1m_row("both", "both-modified", [[1, 2]], [[1, 2]], audio_model="vits"),
        av1m_row("fake_video", "visual_modified", [[0.5, 1]], video_model="t", split="train"),
        av1m_row("late", "audio_modified", [], [[3, 5]]),
        av1m_row("wrong", "audio_modified", [[1, 2]]),
    ]
    text(tmp_path, "val_metadata.json", json.dumps(rows))
    both, picture, late, wrong = found("av-deepfake1m", tmp_path).values()
    assert both.path == "val/id01591/q7LU/both.mp4"
    assert (both.visual, both.audio, both.method) == (((1.0, 2.0),), ((1.0, 2.0),), "vits")
    assert (both.persons, both.split, both.doubt) == (("id01591",), "val", "")
    assert (picture.audio, picture.doubt) == ((), "the metadata name another split")
    assert late.doubt == "a segment ends after the clip"
    assert wrong.doubt == "modify_type and segments disagree"
    text(tmp_path, "val_metadata.json", json.dumps([av1m_row("x", "modified")]))
    with pytest.raises(ValueError, match="unknown modify_type 'modified'"):
        found("av-deepfake1m", tmp_path)


def test_av_deepfake1m_is_read_by_a_json_a_video_too(tmp_path: Path) -> None:
    row = av1m_row("real", "real", split="train")
    text(tmp_path, "train/id01591/q7LU/real.json", json.dumps(row))  # ++: beside the clip
    assert list(found("av-deepfake1m", tmp_path)) == ["train/id01591/q7LU/real.mp4"]
    text(tmp_path, "train_metadata/id01591/q7LU/other.json", json.dumps(row))  # 1M: apart
    (record,) = found("av-deepfake1m", tmp_path).values()
    assert (record.fake, record.sync) == (False, ())


def test_clips_of_av_deepfake1m_may_lie_in_a_folder_data(tmp_path: Path) -> None:
    text(tmp_path, "val_metadata.json", json.dumps([av1m_row("real", "real")]))
    text(tmp_path, "data/id01591/q7LU/real.mp4", "")
    (record,) = found("av-deepfake1m", tmp_path).values()
    assert record.path == "data/id01591/q7LU/real.mp4"
    assert record.persons == ("id01591",)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949"])
def test_kodf_is_read_in_every_encoding_and_its_files_found_by_name(
    tmp_path: Path, encoding: str
) -> None:
    tables = "라벨링데이터/train_meta_data/"
    real, fake = (
        "UUID,영상ID,인물성별\nu1,a.mp4,남성\n",
        "영상ID,변조모델,소스UUID,타겟UUID,인물성별\n",
    )
    text(tmp_path, f"{tables}원본영상_training_메타데이터.csv", real, encoding)
    rows = "b.mp4,dffs,u2,u1,여\nc.mp4,fsgan,u2,u3,여\n"
    text(tmp_path, f"{tables}변조영상_validation_메타데이터.csv", fake + rows, encoding)
    text(tmp_path, "원천데이터/train_변조/dffs/u1/b.mp4", "")
    a, b, c = found("kodf", tmp_path).values()
    assert (a.fake, a.persons, a.groups["gender"], a.split) == (False, ("u1",), "male", "train")
    assert (b.path, b.persons) == ("원천데이터/train_변조/dffs/u1/b.mp4", ("u1", "u2"))
    assert (b.audio, c.audio, c.path) == ((), None, "c.mp4")  # fsgan's clips have no sound
    assert (b.split, b.groups) == ("val", {"language": "Korean", "gender": "female"})
    text(
        tmp_path,
        f"{tables}변조영상_validation_메타데이터.csv",
        fake + "d.mp4,new,u,v,여\n",
        encoding,
    )
    with pytest.raises(ValueError, match="unknown method 'new'"):
        found("kodf", tmp_path)


VIDEO = """Filename,Video Ground Truth,Audio Ground Truth,Finetuning Set,Date,Media
a.webm,Real,real,Test,2024,x
b.mp4,fake,Real,train,2024,x
c.mp4,Real,Unknown,test,2024,x
d.mp4,Fake,Unknown,test,2024,x
"""


def test_unknown_rows_of_deepfake_eval_are_dropped_and_not_taken_for_real(tmp_path: Path) -> None:
    text(tmp_path, "video-metadata-publish-with-links.csv", VIDEO)
    sounds = "Filename,Date,Ground Truth,Finetuning Set\ne.m4a,2024,FAKE,TEST\n"
    text(tmp_path, "audio-metadata-publish.csv", sounds)
    records = found("deepfake-eval-2024", tmp_path)
    assert list(records) == [
        "video-data/a.webm", "video-data/b.mp4", "video-data/d.mp4", "audio-data/e.m4a",
    ]  # fmt: skip
    a, b, d, e = records.values()
    assert (a.fake, a.split, a.sync) == (False, "test", ())
    assert (b.visual, b.audio, b.split) == (WHOLE, (), "train")
    assert (d.fake, d.visual, d.audio) == (True, WHOLE, None)
    assert (e.visual, e.audio, e.licence) == (None, WHOLE, "CC BY-SA 4.0")
