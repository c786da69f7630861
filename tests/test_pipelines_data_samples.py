"""Manifests: who goes where, what is forged in which steps, and a cache that asks once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from extractors.media import MediaError
from pipelines.data.samples import (
    WHOLE,
    Sample,
    Splits,
    genuine_clips,
    read_manifest,
    read_splits,
)
from pipelines.data.truth import read_forged
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.fill_cache import fill_cache

VIDEO = """file,label,modality,method,audio,split,person,repo,notes
a.mp4,real,none,none,1,train,ann,lab/one,
b.mp4,fake,video,Gen,1,train,bob,lab/two,
c.mp4,fake,audio,TTS,1,dev,cat,lab/one,
d.mp4,fake,both,Dub,1,train,dan,lab/three,
e.mp4,real,none,none,0,train,eve,lab/one,
f.mp4,real,none,none,1,train,fay,lab/one,unverified sync
"""
AUDIO = """file,label,method,repo,speaker,pair
a.m4a,real,none,lab/one,ann,1
b.m4a,fake,HiFi-GAN,lab/two,ann,1
"""


def sample(**spans: object) -> Sample:
    values = {"visual": (), "audio": (), "sync": (), **spans}
    return Sample(Path("x.mp4"), "train", "m", "s", "p", **values)  # type: ignore[arg-type]


def test_a_step_is_forged_where_its_middle_is() -> None:
    targets = sample(visual=((0.11, 0.22),), audio=None).targets(0, 8)
    assert targets[:, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert targets[:, 1].tolist() == [-1] * 8
    assert sample(visual=((0.11, 0.22),)).targets(3, 3)[:, 0].tolist() == [1, 1, 0]
    assert sample(visual=WHOLE).targets(0, 4)[:, 0].tolist() == [1, 1, 1, 1]


def test_a_manifest_of_clips_says_what_is_known_of_each_track(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(VIDEO)
    samples = read_manifest(tmp_path / "m.csv", Splits(calibration=("lab/three",)))
    a, b, c, d, e, f = samples
    assert (a.visual, a.audio, a.sync) == ((), (), ())
    assert (b.visual, b.audio, b.sync) == (WHOLE, (), None)
    assert (c.visual, c.audio, c.sync) == ((), WHOLE, None)
    assert (d.visual, d.audio, d.sync) == (WHOLE, WHOLE, None)
    assert (e.visual, e.audio, e.sync) == ((), None, None)
    assert f.sync is None
    assert [s.split for s in samples] == ["train", "train", "dev", "calibration", "train", "train"]
    assert [s.fake for s in samples] == [False, True, True, True, False, False]


def test_forging_takes_the_genuine_clips_of_one_split(tmp_path: Path) -> None:
    manifest, splits = tmp_path / "m.csv", tmp_path / "splits.yaml"
    manifest.write_text(VIDEO)
    splits.write_text("calibration: [lab/one]\n")
    chosen = genuine_clips(manifest, splits, "calibration")
    assert chosen == {
        tmp_path / f"{clip}.mp4": who
        for clip, who in zip("aef", ("ann", "eve", "fay"), strict=True)
    }
    assert len(genuine_clips(manifest, None, "train")) == 3
    with pytest.raises(ValueError, match="no genuine clips in the split 'train'"):
        genuine_clips(manifest, splits, "train")


def test_a_manifest_of_speech_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(AUDIO)
    real, fake = read_manifest(tmp_path / "m.csv", Splits(dev=("lab/two",)))
    assert (real.visual, real.audio, real.split) == (None, (), "train")
    assert (fake.visual, fake.audio, fake.split, fake.method) == (None, WHOLE, "dev", "HiFi-GAN")


def test_pairs_of_speech_share_a_name_and_edits_say_where(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "file,label,method,split,partial,repo,speaker,pair\n"
        "a.m4a,fake,codec,train,no,lab/one,ann,one:7\n"
        "b.m4a,real,none,train,no,lab/one,ann,one:7\n"
        "c.m4a,real,none,train,no,lab/one,ann,one:7\n"
        "d.m4a,fake,TTS,dev,no,lab/one,ann,one:8\n"
        "e.m4a,fake,edit,train,yes:1.25-2.5,lab/one,ann,\n"
        "f.m4a,fake,edit,train,yes,lab/one,ann,\n"
    )
    a, b, c, d, e, f = read_manifest(tmp_path / "m.csv", Splits())
    assert a.pair == tmp_path / "b.m4a"
    assert [s.pair for s in (b, c, d, e, f)] == [None] * 5
    assert [s.split for s in (a, d)] == ["train", "dev"]
    assert (e.audio, f.audio) == (((1.25, 2.5),), None)
    assert e.fake
    assert f.fake


def test_a_forgery_is_in_the_split_of_its_origin(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(VIDEO)
    origins = {s.path.name: s for s in read_manifest(tmp_path / "m.csv", Splits())}
    row = {
        "file": "f_forged1.mp4", "original": "f.mp4", "source": "f.mp4", "n_fakes": 1,
        "method": "self_blend", "person": "fay", "video_frames": 50, "audio_channels": 1,
        "visual_fake_segments": [[0.2, 0.8]], "audio_fake_segments": [], "sync_fake_segments": [],
    }  # fmt: skip
    (tmp_path / "metadata.json").write_text(json.dumps([row]))
    (forged,) = read_forged(tmp_path / "metadata.json", origins)
    assert (forged.split, forged.source, forged.visual) == ("train", "lab/one", ((0.2, 0.8),))
    assert forged.sync is None  # nobody knows whether its origin is in sync


def test_an_unknown_split_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("validation: [a]")
    with pytest.raises(ValueError, match=r"s\.yaml"):
        read_splits(tmp_path / "s.yaml")


def test_no_source_of_the_shipped_splits_is_in_two_of_them() -> None:
    splits = read_splits(Path(__file__).parents[1] / "configs" / "splits.yaml")
    sources = [*splits.val, *splits.calibration, *splits.dev]
    assert len(sources) == len(set(sources))


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_extracted(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    good, bad = make_clip("a.wav", 0.5, picture=False), tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    failed = fill_cache(tmp_path / "cache", [bad, good], 1, lambda done, total: None)
    assert list(failed) == [bad]
    assert "bad.mp4" in failed[bad]
    assert StreamCache(tmp_path / "cache").get(good).blocks[0].steps == 12
    with pytest.raises(MediaError):
        StreamCache(tmp_path / "cache").get(bad)
