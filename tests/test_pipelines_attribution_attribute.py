"""Registered generators: found again, kept whole, and no newcomer changes the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avdetect import cli
from extractors.media import SAMPLE_RATE, write_clip
from pipelines.attribution.attribute import (
    TRACKS,
    Attribution,
    RegisterError,
    read_register,
    write_register,
)
from pipelines.storage.weights import WeightsError
from pipelines.zoo.heads import (
    nothing_said,
)


def test_adding_a_generator_changes_nothing_about_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clip(seed: int) -> dict[str, torch.Tensor]:
        """What the experts might say of a clip of one step."""
        rng = torch.Generator().manual_seed(seed)
        return {n: torch.randn(t.shape, generator=rng) for n, t in nothing_said().items()}

    # A generator's clips differ little from each other.
    said = {
        Path(f"{name}{i}"): {
            key: value + 0.05 * clip(100 * first + i)[key] for key, value in clip(first).items()
        }
        for first, name in enumerate("ab", 1)
        for i in range(3)
    }
    monkeypatch.setattr(Attribution, "said", lambda _, path: said[path])
    register = Attribution(tmp_path / "r.safetensors")
    register.add("a", [Path("a0"), Path("a1")], ignore)
    proxies = {track: proxy.clone() for track, proxy in register.own["a"].items()}
    before = register.likenesses(said[Path("a2")])
    assert [row.nearest for row in before] == ["a", "a"]
    register.add("b", [Path("b0"), Path("b1")], ignore)
    for other in (register, Attribution(tmp_path / "r.safetensors")):
        assert list(other.own) == ["a", "b"]
        assert all(torch.equal(other.own["a"][track], proxies[track]) for track in TRACKS)
        assert [row.nearest for row in other.likenesses(said[Path("b2")])] == ["b", "b"]
        assert other.likenesses(said[Path("a2")]) == before


def ignore(done: int, total: int) -> None:
    """Take no notice of progress."""


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
