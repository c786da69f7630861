"""M3I: one loss of mutual information between picture, sound, another view and the label.

Source: Su et al., Towards All-in-one Pre-training via Maximizing Multi-modal Mutual Information,
CVPR 2023. The bound by InfoNCE: van den Oord et al., 2018.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.encoder import VisionTransformer
from temporal.experts import SoundExpert, normalise
from temporal.pretraining.autoencoder import fitted
from temporal.pretraining.masks import uniform
from temporal.segment import MODALITIES

SMALLEST = 0.6  # side of a view, of the crop's
HIGHEST = 100.0  # of the inverse temperature


class M3i(nn.Module):
    """A weighted sum of four terms, each of which may be 0 and then is not computed.

    Picture asks for its sound and sound for its picture among those of the batch, one view of a
    picture for the other, and the picture for its label: of a batch of N clips the first three are
    at most ln N, the last ln 2.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        picture_to_sound: float = 1.0,
        sound_to_picture: float = 1.0,
        view_to_view: float = 1.0,
        label: float = 0.0,
        frames: int = 4,
        projection: int = 64,
    ) -> None:
        """Make it.

        Args:
            encoder: that learns.
            picture_to_sound: weight of its term, as are the next three.
            sound_to_picture: the same.
            view_to_view: the same.
            label: the same; clips of unknown label have no part in it.
            frames: of a chunk that the encoder sees, as far apart as its length allows.
            projection: numbers by which clips are compared.

        Raises:
            ValueError: no term is left.
        """
        super().__init__()
        self.weights = (picture_to_sound, sound_to_picture, view_to_view, label)
        if not any(self.weights):
            raise ValueError("at least one of the four weights must be above 0")
        self.encoder, self.frames = encoder, frames
        width = encoder.config.width
        self.norm = nn.LayerNorm(width)
        self.picture = nn.Linear(width, projection)
        self.judge = nn.Linear(width, 1)
        self.hears = bool(picture_to_sound or sound_to_picture)
        if self.hears:
            self.ear = SoundExpert((16, 32, 64), projection, 0.0, colour=True)
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def reads(self) -> tuple[str, ...]:
        """The streams that the terms need."""
        return ("appearance", "mel") if self.hears else ("appearance",)

    def chance(self, clips: int) -> float:
        """Return the loss in nats of one to whom all clips of a batch are alike."""
        return math.log(clips) * sum(self.weights[:3]) + math.log(2) * self.weights[3]

    def forward(self, streams: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Return the loss () of crops (B, L, 3, S, S), mel (B, L, 80, 4) and targets (B, L, 3)."""
        crops = streams["appearance"]
        chosen = torch.linspace(0, crops.shape[1] - 1, self.frames, device=crops.device).long()
        crops = fitted(crops[:, chosen].flatten(0, 1), self.encoder.config.image)
        terms = self._terms(crops, streams, generator)
        parts = [w * term for w, term in zip(self.weights, terms, strict=True) if term is not None]
        return torch.stack(parts).sum()

    def _terms(
        self, crops: Tensor, streams: Mapping[str, Tensor], generator: torch.Generator
    ) -> list[Tensor | None]:
        """Return the four terms (), of which those without weight are None."""
        to_sound, to_picture, to_view, of_label = self.weights
        terms: list[Tensor | None] = [None] * 4
        seen = self._seen(crops)
        picture = functional.normalize(self.picture(seen).float(), dim=1)
        sharpness = self.sharpness.exp().clamp(max=HIGHEST)
        if self.hears:
            heard = self.ear(normalise("mel", streams["mel"])).mean(dim=1)
            scores = sharpness * picture @ functional.normalize(heard.float(), dim=1).T
            terms[0] = info_nce(scores) if to_sound else None
            terms[1] = info_nce(scores.T) if to_picture else None
        if to_view:
            noise = uniform((len(seen), 4), generator, crops.device)
            again = self._seen(viewed(crops, noise.repeat_interleave(self.frames, dim=0)))
            again = functional.normalize(self.picture(again).float(), dim=1)
            terms[2] = info_nce(sharpness * picture @ again.T)
        if of_label:
            column = streams["targets"][..., MODALITIES.index("visual")].amax(dim=1)
            terms[3] = label_loss(self.judge(seen)[:, 0], column)
        return terms

    def _seen(self, crops: Tensor) -> Tensor:
        """Return a vector (B, D) of each clip's crops (B · F, 3, S, S)."""
        tokens = self.encoder(crops, [self.encoder.config.layers])[0]
        patches = tokens[:, int(self.encoder.config.class_token) :].mean(dim=1)
        seen: Tensor = self.norm(patches.view(-1, self.frames, patches.shape[1]).mean(dim=1))
        return seen


def info_nce(scores: Tensor) -> Tensor:
    """Return the InfoNCE loss () in nats of scores (N, N), of which the diagonal is of pairs.

    ln N less the loss is a lower bound of the mutual information of the two sides.
    """
    return functional.cross_entropy(scores.float(), torch.arange(len(scores), device=scores.device))


def label_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy () of logits (N,) by targets (N,): 1, 0 or, unknown, -1."""
    known = targets >= 0
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), targets.float().clamp(min=0), reduction="none"
    )
    return (loss * known).sum() / known.sum().clamp(min=1)


def viewed(crops: Tensor, noise: Tensor) -> Tensor:
    """Return views (N, 3, S, S) of crops: smaller squares at random places, half of them mirrored.

    noise: (N, 4) uniform random numbers: for size, place and mirroring.
    """
    size = SMALLEST + (1 - SMALLEST) * noise[:, 0]
    place = (1 - size)[:, None] * (2 * noise[:, 1:3] - 1)
    mirror = torch.where(noise[:, 3] < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(size)
    rows = torch.stack([size * mirror, zero, place[:, 0], zero, size, place[:, 1]], dim=1)
    grid = functional.affine_grid(rows.view(-1, 2, 3), list(crops.shape), align_corners=False)
    return functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
