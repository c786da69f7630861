"""What a package may add: a stream, an expert on it, opinions, and a part of the zoo.

How flat the spectrum of a voice is, and how fast it changes.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from extractors.added_streams import AddedStream
from pipelines.detection.opinions import Opinion
from pipelines.train.stage import StageConfig
from pipelines.zoo.parts import PartConfig
from temporal.added_experts import AddedExpert
from temporal.opinions.paired import PairedRule
from temporal.opinions.probe import StepProbe


def flatness(mel: Tensor) -> Tensor:
    """Return the spectral flatness (...) of log power (..., 80, 4), in nepers: 0 is white.

    It is the geometric mean of the bands' power over their arithmetic mean (Johnston 1988); each
    step has the mean of its four columns.
    """
    power = mel.float()
    flat = power.mean(dim=-2) - torch.logsumexp(power, dim=-2) + log(power.shape[-2])
    return flat.mean(dim=-1)


class FlatnessOpinion(PairedRule):
    """A linear rule on the spectral flatness of each step, by logistic regression on clips."""

    def __init__(self) -> None:
        """Make an unfitted opinion, whose logits are 0."""
        super().__init__(1)

    def describe(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return the flatness (N, L, 1) of log power (N, L, 80, 4)."""
        return flatness(mel)[..., None]


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


def flux(start: int, mel: Tensor) -> Tensor:
    """Return the spectral flux (T, 4) of log power (T, 80, 4), in nepers.

    The root mean square, over the bands, of what changed since the column before; 0 at the start.
    """
    columns = mel.permute(0, 2, 1).flatten(0, 1)  # (4T, 80)
    changes = torch.diff(columns, dim=0, prepend=columns[:1])
    return changes.square().mean(dim=1).sqrt().reshape(-1, mel.shape[2])


FLUX_STREAM = AddedStream("flux", reads=("mel",), make=lambda config: flux)


class FluxExpert(nn.Module):
    """Convolutions over the flux of seven steps."""

    def __init__(self, dim: int) -> None:
        """Make an untrained expert with tokens of `dim` channels."""
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(4, dim, 7, padding=3), nn.ReLU())

    def forward(self, stream: Tensor) -> Tensor:
        """Return tokens (B, L, D) of flux (B, L, 4)."""
        tokens: Tensor = self.layers(stream.transpose(1, 2))
        return tokens.transpose(1, 2)


FLUX_EXPERT = AddedExpert("flux", reads=("flux",), network=lambda config: FluxExpert(config.dim))
FLUX = Opinion(  # the expert's own, as appearance, flow, depth and mel have theirs
    "flux",
    modality="audio",
    level="step",
    source="tokens",
    reads=("flux",),
    network=lambda config: StepProbe(config.experts.dim),
    fit="with its expert",
)


class Flat(nn.Module):
    """A linear rule on the flatness of each step."""

    def __init__(self) -> None:
        """Make an untrained part."""
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """Return step logits (B, L)."""
        logits: Tensor = self.linear(flatness(streams["mel"])[..., None])
        return logits[..., 0]


FLAT_PART = PartConfig(
    "a linear rule on spectral flatness",
    part="avdetect_flatness:Flat",
    modality="audio",
    streams=("mel",),
    stage=StageConfig(updates=60, batch=4, length=25, rate=0.05, evaluate_every=20),
)
