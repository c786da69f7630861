"""Heads from YAML to weights: who teaches them, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fusion.heads.closed import FamilyHead, LaunderingHead, TypeHead
from fusion.heads.open import OpenFamilyHead
from pipelines.config import ConfigError, load_config
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.detection.session import load
from pipelines.storage.weights import WeightsError
from pipelines.zoo.head_clips import HeadConfig, kind_of, vector_of
from pipelines.zoo.heads import (
    HEADS,
    _taught,
    build_head,
    load_head,
    newcomer_cosines,
    nothing_said,
    save_head,
)
from pipelines.zoo.parts import SHIPPED

ROOT = Path(__file__).resolve().parents[1]


LABELS = {"swap": ("*swap*",), "voice": ("@audio", "!*spliced*")}


def sample(method: str, audio: Spans = (), name: str = "a.mp4", source: str = "s") -> Sample:
    """A forged sample."""
    return Sample(Path(name), "train", method, source, "p", WHOLE, audio, None)


def test_forged_clips_without_a_label_teach_open_heads_alone() -> None:
    given = [sample("swap", WHOLE, "a"), sample("EMO", WHOLE, "b"), sample("real", (), "c")]
    for kind, taught in (("families", ["a", "c"]), ("open", ["a", "b", "c"])):
        config = HeadConfig("t", kind, {"swap": ("swap",), "x": ("x",)}, "audio")  # type: ignore[arg-type]
        assert [s.path.name for s in _taught(given, "train", config)] == taught
        assert _taught(given, "val", config) == []
    held = [replace(one, split="val") for one in given]
    assert [s.path.name for s in _taught(held, "val", config)] == ["a", "c"]


HEAD_FILES = [path for path in sorted((ROOT / HEADS).glob("*.yaml")) if kind_of(path) != "map"]


@pytest.mark.parametrize("path", HEAD_FILES, ids=lambda path: path.stem)
def test_a_head_of_the_project_judges_what_the_shipped_experts_say(path: Path) -> None:
    assert kind_of(ROOT / "configs" / "zoo" / "cifake.yaml") is None
    head, config = load_head(SHIPPED / f"{path.stem}.safetensors")
    assert kind_of(path) == config.kind
    assert config == load_config(HeadConfig, path)
    with torch.inference_mode():
        said = head(torch.stack([vector_of(config, nothing_said())] * 2))
    assert said.shape == (2, len(config.labels))
    assert said.isfinite().all()
    assert (SHIPPED / f"{path.stem}.safetensors").stat().st_size <= 2_000_000


def test_a_head_is_kept_whole_and_refuses_other_files(tmp_path: Path) -> None:
    config = HeadConfig("t", "families", LABELS, experts=("mel",), settings={"dim": 5})
    head = build_head(config, len(vector_of(config, nothing_said()))).eval()
    save_head(tmp_path / "h.safetensors", head, config, 3)
    again, described = load_head(tmp_path / "h.safetensors")
    assert described == config
    vectors = torch.randn(4, len(vector_of(config, nothing_said())))
    assert torch.equal(again(vectors), head(vectors))
    with pytest.raises(WeightsError, match="not the weights of an avdetect head"):
        load_head(SHIPPED / "cifake.safetensors")
    with pytest.raises(WeightsError, match="no weights at"):
        load_head(tmp_path / "none.safetensors")
    with pytest.raises(ConfigError, match="settings"):
        build_head(HeadConfig("t", "types", LABELS, settings={"depth": 1}), 4)


def test_a_head_of_other_detector_weights_says_how_to_train_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = HeadConfig("t", "types", LABELS, experts=("mel",))
    head = build_head(config, len(vector_of(config, nothing_said())))
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.zoo.heads.experts_sha256", lambda path: "other")
        save_head(tmp_path / "h.safetensors", head, config, 3)
    with pytest.raises(WeightsError, match="train it again: avdetect zoo train configs/heads/h"):
        load_head(tmp_path / "h.safetensors")


def test_no_head_is_asked_for_a_verdict(monkeypatch: pytest.MonkeyPatch, face_clip: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a head was asked")

    for head in (TypeHead, FamilyHead, OpenFamilyHead, LaunderingHead):
        monkeypatch.setattr(head, "forward", refuse)
    assert load().detect(face_clip).score is not None


def test_how_near_newcomers_are_is_asked_of_clips_that_did_not_register_them() -> None:
    described = torch.eye(3)[[0, 0, 0, 0, 1, 1, 2]]
    found = newcomer_cosines(described, list("aaaabbr"), torch.tensor([True] * 6 + [False]))
    assert found is not None
    assert [t.tolist() for t in found] == [[1, 0, 0, 0], [True, False, False, False]]
    assert newcomer_cosines(described, list("abcdefr"), torch.ones(7) > 0) is None
