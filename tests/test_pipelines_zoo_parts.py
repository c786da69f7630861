"""The zoo: a part of one's own from documentation to leaderboard, and the parts that are there."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect import cli
from extractors.media import SAMPLE_RATE, write_clip
from extractors.streams import Streams
from pipelines.config import ConfigError, load_config
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.storage.weights import WeightsError
from pipelines.train.clips import TrainClip
from pipelines.train.experts import probe_auc, suspicion, train_steps
from pipelines.train.fit import Run
from pipelines.train.stage import StageConfig
from pipelines.zoo.leaderboard import column_of, cost, leaderboard, measured
from pipelines.zoo.parts import (
    SHIPPED,
    PartConfig,
    build_part,
    load_part,
    read_parts,
    settle_part,
)
from temporal.zoo.small_cnn import SmallCnn

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "val", "dev")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the documentation's example, and a recipe of chirps, half of which hiss."""
    folder = tmp_path_factory.mktemp("mine")
    text = (ROOT / "docs" / "zoo.md").read_text()
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", text, flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "yaml"]
    assert sum(block.count("\n") for _, block in blocks) <= 40
    (folder / "parts").mkdir()
    for kind, block in blocks:
        (folder / "parts" / f"hiss.{'py' if kind == 'python' else 'yaml'}").write_text(block)
    (folder / "split.yaml").write_text("val: [val]\ndev: [dev]\n")
    (folder / "recipe.yaml").write_text(
        f"threads: 1\nprecision: float32\ndata: {{sounds: {folder / 'manifest.csv'}, "
        f"splits: {folder / 'split.yaml'}, cache: {folder / 'cache'}}}\n"
    )
    rng, rows = np.random.default_rng(0), []
    times = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for split in SPLITS:
        for index in range(6):
            fake, name = index % 2 == 1, f"{split}{index}.m4a"
            sound = 0.3 * np.sin(2 * np.pi * (200 + 40 * index + 100 * times) * times)
            sound += (0.1 if fake else 0.002) * rng.normal(size=len(times))
            write_clip(folder / name, None, sound.astype(np.float32))
            rows.append({"file": name, "label": "fake" if fake else "real", "repo": split,
                         "method": "hiss", "speaker": str(index)})  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_the_documented_part_is_trained_and_measured_by_two_commands(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, board = mine / "runs", mine / "board.md"
    recipe = ["--data", str(mine / "recipe.yaml"), "--out", str(runs)]
    parts = ["--parts", str(mine / "parts")]
    assert cli.main(["zoo", "train", str(mine / "parts" / "hiss.yaml"), *recipe]) == 0
    assert "hiss.safetensors" in capsys.readouterr().out
    measure = ["zoo", "evaluate", *recipe, *parts, "--weights", str(runs)]
    assert cli.main([*measure, "hiss", "--board", str(board)]) == 0
    assert "| 6 of 6 | 3 / 3 | 1.000 (1.000–1.000) |" in board.read_text()
    assert cli.main([*measure, "none"]) == 2
    assert "no parts ['none']; there are ['hiss']" in capsys.readouterr().err
    assert cli.main(["zoo", "list", *parts]) == 0
    assert "a linear model" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(read_parts(ROOT / "configs" / "zoo")))
def test_a_part_of_the_project_gives_a_logit_a_step(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # a part's file names weights from there
    path = ROOT / "configs" / "zoo" / f"{name}.yaml"
    config = read_parts(path.parent)[name]
    part = load_part(path, config, SHIPPED / f"{name}.safetensors")
    batch = {name: torch.stack([s] * 2) for name, s in given_to(config, 16).items()}
    with torch.inference_mode():
        logits, again = part(batch), part(batch)
    assert logits.shape == (2, 16)
    assert logits.isfinite().all()
    assert torch.equal(logits, again)


@pytest.mark.parametrize("name", sorted(read_parts(ROOT / "configs" / "zoo" / "untrained")))
def test_a_part_that_nobody_trained_yet_can_be_built(name: str) -> None:
    path = ROOT / "configs" / "zoo" / "untrained" / f"{name}.yaml"
    config = read_parts(path.parent)[name]
    assert config.stage is not None
    given = given_to(config, 4)
    with torch.inference_mode():
        logits = build_part(path, config).eval()({n: s[None] for n, s in given.items()})
    assert logits.shape == (1, 4)
    assert logits.isfinite().all()


def given_to(config: PartConfig, steps: int) -> dict[str, torch.Tensor]:
    """What a part reads, (L, ...) by name, made up."""
    said = {
        "opinions": torch.randn(steps, 5), "tokens": torch.randn(steps, 6, 64),
        "lag": torch.rand(steps, 29),
        "native": torch.randint(0, 255, (steps, 3, 160, 160), dtype=torch.uint8),
    }  # fmt: skip
    said |= {"overlay": said["native"], "depth": 0.1 * torch.randn(steps, 1, 56, 56)}
    given = made_clip(True, 0).chunk(0, steps, config.streams, None)
    return given | {stream: said[stream] for stream in config.streams if stream in said}


def test_a_part_finds_weights_of_the_package_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "untrained/laundering-votes"
    path = ROOT / "configs" / "zoo" / f"{name}.yaml"
    part = build_part(path, load_config(PartConfig, path))
    other = build_part(path, PartConfig("t", "temporal.zoo.laundering:LaunderingVotes"))
    taught, fresh = (made.launderer.state_dict()["down.0.weight"] for made in (part, other))
    assert not torch.allclose(taught, fresh)


def test_a_part_is_settled_on_the_openings_of_held_out_clips() -> None:
    class Settling(SmallCnn):
        def settle(self, clips: list[dict[str, torch.Tensor]], forged: list[bool]) -> None:
            self.told = [clip["appearance"].shape for clip in clips], forged

    part = Settling(channels=4, dense=4)
    settle_part(part, PartConfig("t", "m:C"), [made_clip(True, 0), made_clip(False, 1)])
    assert part.told == ([(1, 20, 3, 112, 112)] * 2, [True, False])


def made_clip(fake: bool, seed: int) -> TrainClip:
    """A clip of noisy crops; those of a fake are enlarged twofold by repeating pixels."""
    generator = torch.Generator().manual_seed(seed)
    side = 56 if fake else 112
    crops = torch.randint(0, 255, (20, 3, side, side), dtype=torch.uint8, generator=generator)
    if fake:
        crops = crops.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    spans: Spans = WHOLE if fake else ()
    sample = Sample(
        Path(f"{seed}.mp4"), "train", "doubled" if fake else "real", "made", "p", spans, None, None
    )
    flow = torch.randn(20, 2, 56, 56, generator=generator).half()
    streams = Streams(0, 0, face_size=112.0, appearance=crops, flow=flow)
    return TrainClip(sample, streams, None)


def test_the_small_network_learns_made_up_fakes(tmp_path: Path) -> None:
    clips = [made_clip(bool(i % 2), i) for i in range(12)]
    stage = StageConfig(updates=40, batch=8, length=4, rate=3e-3, average=0.5, evaluate_every=20)
    run = Run(tmp_path, 0, "cpu", "float32")
    part = SmallCnn(channels=8, dense=16)
    train_steps("small", part, ("appearance",), "visual", (clips[:8], clips[8:]), stage, run)
    held_out = [made_clip(bool(i % 2), 100 + i) for i in range(6)]
    with torch.inference_mode():
        assert probe_auc(part, held_out, ("appearance",), "visual", "cpu") == 1.0


def test_the_cost_of_the_small_network_is_what_its_layers_add_up_to() -> None:
    row = cost(SmallCnn(), PartConfig("t", "m:C"), [made_clip(True, 0)])
    macs = 32 * 32 * 27 * 32 + 16 * 16 * 288 * 32 + 2048 * 64 + 64
    assert row["gflops_a_minute"] == pytest.approx(2 * macs * 1500 / 1e9)
    assert row["parameters"] == 27 * 32 + 32 + 288 * 32 + 32 + 2048 * 64 + 64 + 64 + 1


def test_a_part_is_compared_with_the_detector_on_the_same_clips() -> None:
    clips = [made_clip(bool(i % 2), i) for i in range(8)]

    class Spread(torch.nn.Module):
        def forward(self, streams: dict[str, torch.Tensor]) -> torch.Tensor:
            crops = streams["appearance"].float()
            return -10 * (crops[..., 1:] - crops[..., :-1]).abs().mean(dim=(2, 3, 4)) + 700

    samples = [clip.sample for clip in clips]
    blind = {s.path.name: {"visual_score": 0.2 + 0.05 * i} for i, s in enumerate(samples)}
    row = measured(Spread(), PartConfig("spread", "m:C"), clips, samples, blind)
    assert row["auc"] == 1.0
    assert "AP@0.5" not in row  # no clip is forged in part
    assert row["comparison"]["auc_against"] == pytest.approx(10 / 16)
    assert row["comparison"]["given"] == 8
    board = leaderboard({"spread": row})
    assert "| 8 of 8 | 4 / 4 | 1.000 (1.000–1.000) |" in board
    assert "| doubled | 4 | 1.00 |" in board


def test_columns_are_those_of_results() -> None:
    assert [column_of(m) for m in ("visual", "any")] == ["visual_score", "score"]


def test_what_cannot_be_used_is_one_sentence(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no YAML files of parts"):
        read_parts(tmp_path)
    with pytest.raises(ValueError, match="unknown \\['smell'\\]"):
        PartConfig("t", "m:C", streams=("smell",))
    path = mine / "parts" / "hiss.yaml"
    for part in ("nowhere:Hiss", "hiss:Nobody", "hiss:torch"):
        with pytest.raises(ConfigError, match=f"part {part}"):
            build_part(path, PartConfig("t", part))
    with pytest.raises(ConfigError, match="part hiss:Hiss"):
        build_part(path, PartConfig("t", "hiss:Hiss", settings={"depth": 3}))
    learns = PartConfig("t", "hiss:Hiss", stage=StageConfig())
    with pytest.raises(WeightsError, match="no weights at"):
        load_part(path, learns, tmp_path / "none.safetensors")


def test_the_mean_of_the_higher_half_of_noise_is_known() -> None:
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    assert suspicion(noise) == pytest.approx((2 / math.pi) ** 0.5, abs=0.01)
