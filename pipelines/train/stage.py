"""The settings of one training stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageConfig:
    """The schedule and the batches by which one part of the detector is trained."""

    updates: int = 1500
    batch: int = 16  # clips per worker
    length: int = 16  # steps per chunk
    rate: float = 1e-3  # peak learning rate; warm-up, then a cosine to zero
    decay: float = 0.05  # weight decay
    forged: float = 0.0  # share of genuine chunks whose face crops are forged on the fly
    average: float = 0.995  # decay of the weights' moving average, per update
    evaluate_every: int = 150  # updates
    patience: int = 6  # evaluations without a better score before training stops
