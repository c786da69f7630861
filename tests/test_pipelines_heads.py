"""Heads from YAML to attribution: what is taught, what is kept, and what a newcomer changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avdetect import cli
from extractors.media import SAMPLE_RATE, write_clip
from fusion.heads.closed import FamilyHead, LaunderingHead, TypeHead
from fusion.heads.open import OpenFamilyHead
from pipelines.attribution.attribute import RegisterError, read_register, write_register
from pipelines.config import ConfigError, load_config
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.detection.session import load
from pipelines.storage.weights import WeightsError
from pipelines.zoo.head_board import (
    heads_table,
    measured_families,
    measured_laundering,
    measured_types,
    newcomers,
)
from pipelines.zoo.head_clips import HeadClips, HeadConfig, capped, vector_of
from pipelines.zoo.heads import (
    HEADS,
    _taught,
    build_head,
    is_head,
    load_head,
    newcomer_cosines,
    nothing_said,
    save_head,
)
from pipelines.zoo.maps import is_map
from pipelines.zoo.parts import SHIPPED

ROOT = Path(__file__).resolve().parents[1]
LABELS = {"swap": ("*swap*",), "voice": ("@audio", "!*spliced*")}


def sample(method: str, audio: Spans = (), name: str = "a.mp4", source: str = "s") -> Sample:
    """A forged sample."""
    return Sample(Path(name), "train", method, source, "p", WHOLE, audio, None)


def test_labels_are_patterns_of_methods_and_tracks_less_those_that_are_refused() -> None:
    config = HeadConfig("t", "types", LABELS)
    assert config.labels_of(sample("face swap", WHOLE)) == {"swap", "voice"}
    assert config.labels_of(sample("forged face_swap+voice_spliced", WHOLE)) == {"swap"}
    assert config.labels_of(sample("EMO")) == set()


def test_no_source_and_method_teaches_more_than_its_share() -> None:
    many = [sample("a", name=f"{i}.mp4") for i in range(9)] + [sample("a", source="other")]
    chosen = capped(many, 4)
    assert [s.source for s in chosen].count("s") == 4
    assert len(chosen) == 5
    assert capped(reversed(many), 4) == chosen


def test_forged_clips_without_a_label_teach_open_heads_alone() -> None:
    given = [sample("swap", WHOLE, "a"), sample("EMO", WHOLE, "b"), sample("real", (), "c")]
    for kind, taught in (("families", ["a", "c"]), ("open", ["a", "b", "c"])):
        config = HeadConfig("t", kind, {"swap": ("swap",), "x": ("x",)}, "audio")  # type: ignore[arg-type]
        assert [s.path.name for s in _taught(given, "train", config)] == taught
        assert _taught(given, "val", config) == []
    held = [replace(one, split="val") for one in given]
    assert [s.path.name for s in _taught(held, "val", config)] == ["a", "c"]


HEAD_FILES = [path for path in sorted((ROOT / HEADS).glob("*.yaml")) if not is_map(path)]


@pytest.mark.parametrize("path", HEAD_FILES, ids=lambda path: path.stem)
def test_a_head_of_the_project_judges_what_the_shipped_experts_say(path: Path) -> None:
    assert is_head(path)
    assert not is_head(ROOT / "configs" / "zoo" / "cifake.yaml")
    head, config = load_head(SHIPPED / f"{path.stem}.safetensors")
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


def made_clips(targets: torch.Tensor, vectors: torch.Tensor, methods: list[str]) -> HeadClips:
    """Clips with given vectors."""
    return HeadClips([], vectors, targets, methods, torch.tensor([m != "d" for m in methods]))


class Pass(FamilyHead):
    """A head whose embedding and description are the vector itself."""

    def embed(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the vectors at unit length."""
        return torch.nn.functional.normalize(vectors, dim=-1)


def test_families_strangers_and_the_genuine_are_counted_apart() -> None:
    head = Pass(3, 2, dim=3)
    with torch.no_grad():
        head.proxies.copy_(torch.eye(3)[:2])
    nan = float("nan")
    targets = torch.tensor([[1, 0], [0, 1], [0, 1], [nan, nan], [0, 0]])
    vectors = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0.2, 0], [0.3, 0, 1], [0, 0, 1.0]])
    row = measured_families(head, ["a", "b"], made_clips(targets, vectors, list("abbcr")))
    assert (row["known"], row["strangers"], row["genuine"]) == (3, 1, 1)
    assert row["family right"][0] == pytest.approx(2 / 3)
    assert row["strangers called unknown"][0] == row["genuine called unknown"][0] == 1.0
    assert row["AUC of strangers against known"][0] == 1.0
    assert "| known | 3 |" in heads_table({"family": {"title": "t", **row}})


def test_an_open_head_says_which_strangers_belong_together() -> None:
    head = OpenFamilyHead(4, 2, dim=4, novel=1, part=2).eval()
    head.embed = lambda given: given  # type: ignore[method-assign]
    with torch.no_grad():
        head.proxies.copy_(torch.eye(4)[:2])
        head.others.copy_(torch.eye(4)[2:])
    targets = torch.full((6, 2), float("nan"))
    targets[0], targets[1] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
    vectors = torch.eye(4)[[0, 2, 3, 3, 1, 1]]
    row = measured_families(head, ["a", "b"], made_clips(targets, vectors, list("ardcee")))
    # of the strangers d and c fell into one class, e into another
    assert row["strangers by the head's classes: accuracy"] == 0.75
    assert 0 < row["strangers by the head's classes: ARI"] < 1


def test_newcomers_are_found_by_a_few_clips() -> None:
    which = np.arange(40) % 4
    embedded = torch.nn.functional.normalize(
        torch.eye(4)[torch.from_numpy(which)] + 0.05 * torch.randn(40, 4), dim=-1
    )
    row = newcomers(embedded, np.array([f"g{w}" for w in which]))
    assert row["right by 1 clips"] == (1.0, 1.0, 1.0)
    assert row["right by chance"] == 0.25
    assert row["cluster accuracy"] == 1.0


def test_real_laundered_and_synthetic_are_counted_apart() -> None:
    config = HeadConfig("t", "laundering", {"laundered": ("a",), "synthetic": ("b",)})
    head = build_head(config, 2).eval()
    targets = torch.tensor([[0.0, 0], [0, 0], [1, 0], [0, 1]])
    head.forward = lambda given: given  # type: ignore[method-assign]
    said = torch.tensor([[-1.0, 9], [1, -1], [1, -1], [1, 1]])
    row = measured_laundering(head, made_clips(targets, said, list("rrab")))  # type: ignore[arg-type]
    assert row["right of 2 real"][0] == 0.5
    assert row["right of 1 laundered"][0] == row["right of 1 synthetic"][0] == 1.0
    assert row["balanced accuracy"] == pytest.approx(2.5 / 3)
    assert row["AUC of synthetic against laundered"][0] == 1.0


def test_adding_a_generator_changes_nothing_about_the_others(tmp_path: Path) -> None:
    weights = {"audio": "1"}
    path = tmp_path / "r.safetensors"
    write_register(path, {"a": {"audio": torch.rand(4)}}, weights)
    before = read_register(path, weights)["a"]["audio"]
    write_register(path, read_register(path, weights) | {"b": {"audio": torch.rand(4)}}, weights)
    assert torch.equal(read_register(path, weights)["a"]["audio"], before)


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


def test_types_are_measured_by_label_and_by_how_many_a_clip_has() -> None:
    config = HeadConfig("t", "types", LABELS)
    head = build_head(config, 2).eval()
    targets = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0], [float("nan")] * 2])
    head.forward = lambda given: given  # type: ignore[method-assign]
    row = measured_types(head, list(LABELS), made_clips(targets, 2 * targets - 1, list("abcde")))  # type: ignore[arg-type]
    assert (row["clips"], row["forged"]) == (4, 3)
    assert row["map"][0] == row["exact"][0] == row["any_correct of 2"][0] == 1.0
    assert row["AUC of voice, 2 of 3 clips"][0] == 1.0  # d has no picture


def test_a_register_is_kept_whole_and_refuses_other_weights_and_files(tmp_path: Path) -> None:
    own = {
        "new/one": {"audio": torch.eye(3)[0]},
        "b": {"audio": torch.eye(3)[1], "visual": torch.ones(2)},
    }
    path, weights = tmp_path / "sub" / "r.safetensors", {"audio": "1", "visual": "2"}
    assert read_register(path, weights) == {}
    write_register(path, own, weights)
    again = read_register(path, weights)
    assert list(again) == list(own)
    assert torch.equal(again["b"]["visual"], torch.ones(2))
    assert set(again["new/one"]) == {"audio"}
    with pytest.raises(RegisterError, match="made with other weights"):
        read_register(path, {"audio": "3", "visual": "2"})
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("no register")
    for wrong in ("other.safetensors", "text"):
        with pytest.raises(WeightsError, match=wrong):
            read_register(tmp_path / wrong, weights)


def test_a_registered_generator_is_found_again_by_the_command(
    tmp_path: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "300")
    rng, times, clips = np.random.default_rng(0), np.arange(SAMPLE_RATE) / SAMPLE_RATE, []
    for index in range(3):
        sound = 0.3 * np.sign(np.sin(2 * np.pi * (200 + 5 * index) * times))
        clips.append(tmp_path / f"{index}.m4a")
        write_clip(clips[-1], None, (sound + 0.01 * rng.normal(size=16000)).astype(np.float32))
    command = ["attribute", "--register", str(tmp_path / "r.safetensors")]
    silent = make_clip("silent.mp4", 0.4, sound=False)
    assert cli.main([*command, "add", "square", str(clips[0]), str(clips[1]), str(silent)]) == 1
    out, errors = capsys.readouterr()
    assert "square: registered by 2 of 3 clips" in out
    assert "silent.mp4: has neither a usable face nor sound" in errors
    assert cli.main([*command, "list"]) == 0
    assert "registered" in capsys.readouterr().out
    assert cli.main([*command, str(clips[2])]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if "2.m4a" in line)
    assert [cell.strip() for cell in line.split("│")[2:5]] == ["sound", "square", "square"]
    assert "A weak lead" in out
    assert cli.main([*command, "--json", "-", str(clips[2]), str(silent)]) == 1
    found, missing = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["made_by"]["audio"]["name"] == "square"
    assert found["origin"] is None  # there is no picture
    assert (missing["status"], missing["path"]) == ("error", str(silent))
    for words, message in ((["add", "x"], "needs a name and at least one clip"),
                           (["list", "x"], "takes no files"),
                           (["add", "GAN vocoder", str(clips[0])], "a family has it")):  # fmt: skip
        assert cli.main([*command, *words]) == 2
        assert message in capsys.readouterr().err
