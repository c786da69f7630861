"""The settings of one training stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageConfig:
    """How long and how fast one part of the detector learns."""

    updates: int = 1500
    batch: int = 16  # clips, of each worker
    length: int = 16  # steps a chunk
    rate: float = 1e-3  # peak learning rate; warm-up, then a cosine to zero
    decay: float = 0.05  # weight decay
    forged: float = 0.0  # share of genuine chunks whose face crops are forged on the way
    average: float = 0.995  # of the weights, an update
    evaluate_every: int = 150  # updates
    patience: int = 6  # evaluations without a better score before it stops
