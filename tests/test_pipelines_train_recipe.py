"""The clips of a recipe: any manifest will do, and what is wrong with one is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avdetect import cli
from pipelines.config import ConfigError
from pipelines.data.manifest import WHOLE, Record, write_records
from pipelines.train.fit import Run
from pipelines.train.recipe import DataConfig, load_clips, read_samples

FORGED = {
    "file": "x.mp4", "original": "unheard-of.mp4", "n_fakes": 1, "method": "m", "person": "p",
    "video_frames": 9, "audio_channels": 1, "visual_fake_segments": [],
    "audio_fake_segments": [], "sync_fake_segments": [],
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("splits.yaml").write_text("val: []\n")
    Path("plain.csv").write_text("path,label\na.mp4,fake\nb.mp4,real\n")
    return tmp_path


def test_a_manifest_of_a_data_set_trains_as_clips_and_as_speech(folder: Path) -> None:
    records = [
        Record("a.mp4", True, WHOLE, (), None, "swap", split="train"),
        Record("b.wav", True, None, WHOLE, None, "TTS", split="test"),
    ]
    write_records(folder / "m.csv", records, folder)
    clip, speech = read_samples(DataConfig(videos="m.csv", splits="splits.yaml"))
    assert (clip.path, clip.split, clip.visual, clip.audio) == (Path("a.mp4"), "train", WHOLE, ())
    assert (speech.split, speech.visual, speech.audio) == ("dev", None, WHOLE)
    _, speech = read_samples(DataConfig(sounds="m.csv", splits="splits.yaml"))
    assert (speech.visual, speech.audio) == (None, WHOLE)


def test_what_is_forged_of_a_sound_is_the_sound(folder: Path) -> None:
    Path("s.csv").write_text("clip,y\na.wav,1\nb.wav,0\n")
    mapping = {"path": "clip", "label": "y"}
    config = DataConfig(sounds="s.csv", splits="splits.yaml", columns=mapping)
    fake, real = read_samples(config)
    assert (fake.visual, fake.audio, fake.split) == (None, WHOLE, "train")
    assert (real.visual, real.audio) == (None, ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{videos: plain.csv, splits: wrong.yaml}", "wrong.yaml: unknown key ['validation']"),
        ("{videos: plain.csv, splits: nowhere.yaml}", "nowhere.yaml"),
        ("{videos: wrong.csv, splits: splits.yaml}", "wrong.csv: has no column 'path'"),
        ("{videos: nowhere.csv, splits: splits.yaml}", "nowhere.csv: No such file"),
        ("{splits: splits.yaml}", "data: names no clip"),
        (
            "{videos: plain.csv, splits: splits.yaml, forged: [metadata.json]}",
            "metadata.json: entry 0: x.mp4 was made of unheard-of.mp4, which no manifest has",
        ),
    ],
)
def test_a_training_that_cannot_begin_says_why_in_one_sentence(
    data: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text("validation: [a]\n")
    Path("wrong.csv").write_text("name,label\na.mp4,fake\n")
    Path("metadata.json").write_text(json.dumps([FORGED]))
    Path("train.yaml").write_text(f"data: {data}\n")
    assert cli.main(["train", "train.yaml"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_training_of_which_no_clip_can_be_used_says_so(folder: Path) -> None:
    config = DataConfig(videos="plain.csv", splits="splits.yaml")
    failed = {Path("a.mp4"): "a.mp4 is gone", Path("b.mp4"): "b.mp4 is gone"}
    run = Run(folder / "run", 0, "cpu", "float32")
    with pytest.raises(ConfigError, match=r"no clip of the split train .*a\.mp4 is gone"):
        load_clips(config, failed, run)


def test_a_manifest_without_val_says_how_to_make_one(
    folder: Path, make_clip: Callable[..., Path]
) -> None:
    make_clip("a.wav", 1.0, picture=False)
    write_records(folder / "m.csv", [Record("a.wav", True, None, WHOLE, None)], folder)
    config = DataConfig(videos="m.csv", splits="splits.yaml")
    run = Run(folder / "run", 0, "cpu", "float32")
    with pytest.raises(ConfigError, match=r"no clip of the split val.*avdetect datasets split"):
        load_clips(config, {}, run)
