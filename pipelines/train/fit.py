"""The training loop: AdamW, averaged weights, early stopping on held-out clips, checkpoints."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pipelines.storage.files import write_by
from pipelines.storage.weights import load_into, load_weights, save_weights
from pipelines.train.stage import StageConfig
from pipelines.train.team import Workers

logger = logging.getLogger(__name__)
STAGE = "avdetect stage 1"  # format of a finished stage's weights


Item = TypeVar("Item")
Module = TypeVar("Module", bound=nn.Module)


class Run:
    """A training run: its folder of log, checkpoints and finished stages, and where it computes."""

    def __init__(
        self, folder: Path, seed: int, device: str, precision: str, team: Workers = Workers()
    ) -> None:
        self.folder, self.seed, self.device, self.team = folder, seed, device, team
        self.precision = torch.bfloat16 if precision == "bfloat16" else torch.float32
        folder.mkdir(parents=True, exist_ok=True)

    def log(self, **facts: object) -> None:
        """Append facts to log.jsonl and to the program's log; in a team, only the leader does."""
        if not self.team.leads:
            return
        row = {"time": round(time.time(), 1), **facts}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        logger.info("%s", " ".join(f"{key}={value}" for key, value in facts.items()))

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass in the run's precision."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, self.precision, enabled=self.precision != torch.float32)

    def finished(self, stage: str, module: nn.Module) -> bool:
        """Return whether a stage is already finished; if so, load its weights."""
        path = self.folder / f"{stage}.safetensors"
        if path.exists():
            load_into(module, path, load_weights(path, None)[0])  # older runs name no format
        return path.exists()

    def finish(self, stage: str, module: nn.Module) -> None:
        """Save a finished stage's weights; all workers take over the leader's."""
        self.team.agree(module)
        if not self.team.leads:
            return
        save_weights(self.folder / f"{stage}.safetensors", module.state_dict(), STAGE, {})


def backward(loss_on: Callable[[Item], Tensor], batch: Item) -> Tensor:
    """Add the gradients of the loss on a batch to its parameters', and return the loss."""
    loss = loss_on(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def fit(
    stage: str,
    module: Module,
    config: StageConfig,
    run: Run,
    batches: Callable[[int, int], Iterator[Item]],
    loss_of: Callable[[Module, Item], Tensor],
    score_of: Callable[[Module], float],
    gradients: Callable[[Callable[[Item], Tensor], Item], Tensor] = backward,
) -> None:
    """Train a module in place; it ends with the averaged weights of the best held-out score.

    A checkpoint of the stage, if there is one, is resumed.

    Args:
        stage: name in the log and of the files.
        module: what is trained, with all its parameters.
        config: the schedule.
        run: where log and checkpoints go.
        batches: the batches of the updates [first, last).
        loss_of: the loss of a module on one batch.
        score_of: the held-out score of a module, higher is better.
        gradients: leaves the module's gradients by the loss on a batch, and returns that loss.
    """
    if run.finished(stage, module):
        return
    averaged = copy.deepcopy(module).eval()
    optimizer = torch.optim.AdamW(module.parameters(), lr=config.rate, weight_decay=config.decay)
    state: dict[str, Any] = {"update": 0, "best": -math.inf, "stale": 0}
    checkpoint = run.folder / f"{stage}.checkpoint"
    best = {name: t.clone() for name, t in averaged.state_dict().items()}
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=run.device, weights_only=True)
        module.load_state_dict(saved["module"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        state, best = saved["state"], saved["best"]
    losses = run.team.losses(module, loss_of)

    def loss_on(batch: Item) -> Tensor:
        with run.autocast():
            return losses(batch)

    begin, total = time.time(), 0.0
    for update, batch in enumerate(batches(state["update"], config.updates), state["update"]):
        for group in optimizer.param_groups:
            group["lr"] = config.rate * _schedule(update, config.updates)
        module.train()
        optimizer.zero_grad(set_to_none=True)
        loss = gradients(loss_on, batch)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        _average(averaged, module, min(config.average, (update + 1) / (update + 10)))
        total += float(loss.detach())
        if (update + 1) % config.evaluate_every and update + 1 < config.updates:
            continue
        with torch.inference_mode(), run.autocast():
            score = run.team.mean(score_of(averaged))
        loss_now = run.team.mean(total) / config.evaluate_every
        run.log(stage=stage, update=update + 1, loss=round(loss_now, 4),
                score=round(score, 4), seconds=round(time.time() - begin))  # fmt: skip
        total = 0.0
        state = {
            "update": update + 1,
            "best": max(score, state["best"]),
            "stale": 0 if score > state["best"] else state["stale"] + 1,
        }
        if state["stale"] == 0:
            best = {name: t.clone() for name, t in averaged.state_dict().items()}
        if run.team.leads:
            kept = {
                "module": module.state_dict(), "averaged": averaged.state_dict(), "best": best,
                "optimizer": optimizer.state_dict(), "state": state,
            }  # fmt: skip
            write_by(checkpoint, partial(torch.save, kept))
        if state["stale"] >= config.patience:
            break
    module.load_state_dict(best)
    module.eval()
    run.finish(stage, module)
    if run.team.leads:
        checkpoint.unlink(missing_ok=True)


def _schedule(update: int, updates: int) -> float:
    """Return the factor on the peak learning rate: 5 % linear warm-up, then half a cosine."""
    warm = max(updates // 20, 1)
    if update < warm:
        return (update + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (update - warm) / max(updates - warm, 1)))


@torch.no_grad()
def _average(averaged: nn.Module, module: nn.Module, keep: float) -> None:
    """Update the moving average of the module's weights and running statistics."""
    for old, new in zip(averaged.state_dict().values(), module.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new.to(old.dtype), 1 - keep)
        else:
            old.copy_(new)
