"""The corpus of a pre-training: labelled or not, faces or scenes, some of it held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from extractors.errors import InputError
from extractors.face_regions import REGIONS
from pipelines.config import ConfigError
from pipelines.pretrain.corpus import CorpusConfig, face_looks, load_corpus, read_corpus
from pipelines.streams.stream_cache import StreamCache


def table(folder: Path, text: str) -> CorpusConfig:
    path = folder / "corpus.csv"
    path.write_text(text)
    return CorpusConfig(str(path))


def test_clips_without_labels_are_a_corpus_of_which_a_tenth_is_held_out(tmp_path: Path) -> None:
    names = [f"{i}.mp4" for i in range(30)]
    samples = read_corpus(table(tmp_path, "path\n" + "\n".join(names)), "any")
    assert {s.path for s in samples} == {tmp_path / name for name in names}
    held_out = {s.path.name for s in samples if s.split == "val"}
    assert len(held_out) == 3
    assert {s.split for s in samples} == {"train", "val"}
    again = read_corpus(table(tmp_path, "path\n" + "\n".join(reversed(names))), "any")
    assert {s.path.name for s in again if s.split == "val"} == held_out
    assert samples[0].visual is None


def test_splits_of_the_table_are_kept_and_test_clips_left_out(tmp_path: Path) -> None:
    rows = "path,label,split\na.mp4,real,train\nb.mp4,fake,val\nc.mp4,real,test\n"
    samples = read_corpus(table(tmp_path, rows), "any")
    assert {s.path.name: s.split for s in samples} == {"a.mp4": "train", "b.mp4": "val"}
    assert samples[0].visual == ()


def test_one_clip_is_too_few_and_a_wrong_split_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no two clips"):
        read_corpus(table(tmp_path, "path\na.mp4\n"), "any")
    with pytest.raises(InputError, match=r"line 2: unknown split 'tain'"):
        read_corpus(table(tmp_path, "path,split\na.mp4,tain\n"), "any")


def test_faces_have_regions_and_what_has_none_is_a_scene(
    tmp_path: Path, face_clip: Path, make_clip: Callable[..., Path]
) -> None:
    bar = make_clip("bar.mp4", 1.0)
    config = table(tmp_path, f"path,split\n{face_clip},train\n{bar},val\n")
    clips = load_corpus(
        read_corpus(config, "any"), StreamCache(tmp_path / "cache"), 40.0, ["appearance", "mel"]
    )
    (face,), (scene,) = clips["train"], clips["val"]
    assert face.face is not None
    assert not face.face.scene
    assert scene.face is not None
    assert scene.face.scene
    (looks,) = face_looks([face, scene], every=12)
    assert looks.crops.shape == (5, 3, 112, 112)
    assert looks.regions.shape == (5, 112, 112)
    mouth = looks.crops.permute(1, 0, 2, 3)[:, looks.regions == REGIONS.index("mouth")].float()
    skin = looks.crops.permute(1, 0, 2, 3)[:, looks.regions == REGIONS.index("skin")].float()
    assert mouth[0].mean() / mouth[1].mean() > 1.1 * skin[0].mean() / skin[1].mean()
    assert torch.equal(looks.crops[1], face.pictures(12, 13, ("appearance",))["appearance"][0])
