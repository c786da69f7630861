"""Adapters: what little is learned of an encoder that is frozen otherwise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from extractors.encoder import VisionTransformer
from pipelines.config import ConfigError
from pipelines.pretrain.batches import PretrainBatch
from pipelines.pretrain.recipe import Objective, PretrainConfig, build_objective
from pipelines.train.fit import Run
from temporal.pretraining.low_rank import add_low_rank, contributions, matrices, ranks_within

TrainObjective = Callable[[str, Objective, int], None]  # under a name, for a number of updates
LossOf = Callable[[Objective, PretrainBatch], Tensor]


def with_prompts(encoder: VisionTransformer, prompts: int) -> VisionTransformer:
    """Return a frozen copy of an encoder with dynamic prompts, which alone are learned.

    Prompts that it has already are learned further, however many they are.
    """
    count = encoder.config.prompts or prompts
    made = VisionTransformer(replace(encoder.config, prompts=count))
    made.load_state_dict(encoder.state_dict(), strict=False)
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(name.startswith("prompts."))
    return made


def with_low_rank(
    encoder: VisionTransformer, config: PretrainConfig, run: Run, train: TrainObjective,
    loss_of: LossOf, calibration: Sequence[PretrainBatch],
) -> VisionTransformer:  # fmt: skip
    """Return the encoder, frozen but for low-rank changes of the matrices that contribute most.

    The whole objective is trained first, and a copy of the encoder with it. How much each matrix's
    change then contributes is told by the gradient at the weights before.

    Raises:
        ConfigError: the budget is too small for a single rank.
    """
    trial = build_objective(config, copy.deepcopy(encoder)).to(run.device)
    train("colora trial", trial, config.adapter.trial)
    old = {n: layer.weight.detach().to(run.device) for n, layer in matrices(encoder).items()}
    changes = {n: layer.weight.detach() - old[n] for n, layer in matrices(trial.encoder).items()}
    trial.encoder.load_state_dict(encoder.state_dict())
    losses = map(partial(loss_of, trial), calibration)
    contributed = contributions(trial.encoder, changes, losses)
    shapes = {name: (weight.shape[0], weight.shape[1]) for name, weight in old.items()}
    budget = int(config.adapter.budget * sum(weight.numel() for weight in old.values()))
    ranks = ranks_within(contributed, shapes, budget)
    run.log(stage="colora trial", budget=budget, ranks=ranks)
    if not ranks:
        raise ConfigError(f"adapter: budget: {budget} numbers are too few for a rank of any matrix")
    add_low_rank(encoder, ranks)
    return encoder
