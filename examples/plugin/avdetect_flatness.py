"""An opinion on the sound: whether its spectrum is as flat as that of voices."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from pipelines.detection.opinions import Opinion
from temporal.opinions.paired import PairedRule


class FlatnessOpinion(PairedRule):
    """A linear rule on the spectral flatness of each step, by logistic regression on clips."""

    def __init__(self) -> None:
        """Make an unfitted opinion, whose logits are 0."""
        super().__init__(1)

    def describe(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return the flatness (N, L, 1) of log power (N, L, 80, 4), in nepers: 0 is white.

        Flatness is the geometric mean of the bands' power over their arithmetic mean (Johnston
        1988); each step has the mean of its four columns.
        """
        power = mel.float()
        flatness = power.mean(dim=2) - torch.logsumexp(power, dim=2) + log(power.shape[2])
        return flatness.mean(dim=-1, keepdim=True)


FLATNESS = Opinion(
    "flatness",
    modality="audio",
    level="clip",
    source="streams",
    reads=("mel",),
    alone=True,  # also of a video the sound is judged once, and by itself
    network=lambda config: FlatnessOpinion(),
    calibrated=True,  # on left-out sources, by the fit of a rule that learns from pairs
    fit="in closed form",
)
