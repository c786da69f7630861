"""Several workers train one module as one worker would that has all of their batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.data.samples import Sample
from pipelines.train.batches import draw_batches
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run, fit
from pipelines.train.ray_train import train_together
from pipelines.train.stage import StageConfig
from pipelines.train.team import Workers

CONFIG = StageConfig(updates=60, batch=8, rate=0.05, decay=0.0, average=0.9, evaluate_every=10)


def test_every_item_is_one_workers_and_keeps_its_place() -> None:
    shares = [list(Workers(rank, 3).share("abcdefg")) for rank in range(3)]
    assert sorted(pair for share in shares for pair in share) == list(enumerate("abcdefg"))
    assert shares[1] == [(1, "b"), (4, "e")]
    assert list(Workers().share("ab")) == [(0, "a"), (1, "b")]


def test_the_batches_of_two_workers_are_that_of_one_with_twice_the_size() -> None:
    waves = [torch.randint(-3000, 3000, (640 * 60,), dtype=torch.int16) for _ in range(5)]
    sample = Sample(Path("a.wav"), "train", "real", "lab", "p", None, (), None)
    clips = [TrainClip(sample, None, wave) for wave in waves]
    common = (clips, torch.ones(5), ("mel",), 20)
    (whole,) = draw_batches(*common, 6, 7, 3, 4)
    halves = [next(draw_batches(*common, 3, 7, 3, 4, team=Workers(rank, 2))) for rank in range(2)]
    for rank, half in enumerate(halves):
        assert torch.equal(half.streams["mel"], whole.streams["mel"][rank::2])
        assert torch.equal(half.targets, whole.targets[rank::2])
    assert not torch.equal(halves[0].streams["mel"], halves[1].streams["mel"])


def fitting(folder: Path, batch: int) -> Callable[[Workers], None]:
    """Return what fits a small network to a known curve as one of a team; the log says how."""

    def body(team: Workers) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0 if team.leads else 1)  # the leader's weights are everybody's
        network = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))

        def batches(first: int, last: int) -> Iterator[Tensor]:
            for update in range(first, last):
                x = np.random.default_rng(update).uniform(-2, 2, (batch * team.size, 1))
                mine = [value for _, value in team.share(x.tolist())]
                yield torch.tensor(mine, dtype=torch.float32)

        def loss_of(module: nn.Module, x: Tensor) -> Tensor:
            return (module(x) - torch.sin(2 * x)).square().mean()

        def score_of(module: nn.Module) -> float:
            grid = torch.linspace(-2, 2, 50)[:, None]
            return -float((module(grid) - torch.sin(2 * grid)).square().mean())

        run = Run(folder, 0, "cpu", "float32", team)
        fit("curve", network, CONFIG, run, batches, loss_of, score_of)

    return body


def curve_of(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_workers_have_the_loss_curve_of_one_with_twice_the_batch(tmp_path: Path) -> None:
    fitting(tmp_path / "one", 16)(Workers())
    train_together(fitting(tmp_path / "two", 8), 2, False, tmp_path / "ray", None)
    one, two = curve_of(tmp_path / "one"), curve_of(tmp_path / "two")
    assert len(one) == len(two) == 6
    assert one[-1]["loss"] < one[0]["loss"] / 2
    for a, b in zip(one, two, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-4)
        assert a["score"] == pytest.approx(b["score"], abs=2e-4)
