"""Selfie: which of a picture's hidden patches belongs at a place.

Source: Trinh et al., Selfie, 2019, with a vision transformer in place of the convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.encoder import VisionTransformer
from temporal.pretraining.autoencoder import encoded, fitted, grid_waves
from temporal.pretraining.masks import highest, places, uniform


class Selfie(nn.Module):
    """An encoder of visible patches whose summary and a place choose among the hidden patches.

    Candidates are embedded alone and without their place by the encoder's own embedding and a
    network of two layers, so nothing but the content can tell.
    """

    reads = ("appearance",)
    at: Tensor

    def __init__(self, encoder: VisionTransformer, hidden: float = 0.25) -> None:
        """Make it; hidden: share of patches that are candidates."""
        super().__init__()
        config, width = encoder.config, encoder.config.width
        self.encoder = encoder
        side = config.image // config.patch
        self.patches = side**2
        self.hidden = max(round(hidden * self.patches), 2)
        self.norm = nn.LayerNorm(width)
        self.summary = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.question = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.place = nn.Linear(width, width)
        self.patch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.register_buffer("at", grid_waves(1, side, width), persistent=False)

    def chance(self, clips: int) -> float:
        """Return the loss in nats of one who cannot tell the candidates apart."""
        return math.log(self.hidden)

    def forward(self, streams: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Return the loss () of crops (B, L, 3, S, S)."""
        encoder = self.encoder
        crops = fitted(streams["appearance"].flatten(0, 1), encoder.config.image)
        noise = uniform((len(crops), self.patches), generator, crops.device)
        mask = highest(noise, self.hidden)
        wanted = places(mask, self.hidden)
        seen = places(~mask, self.patches - self.hidden)
        tokens = self.norm(encoded(encoder, encoder.embedded(crops), seen))
        asked = self.question.expand(len(crops), -1, -1)
        summary = self.summary(asked, tokens, tokens, need_weights=False)[0]  # (N, 1, D)
        queries = summary + self.place(self.at[wanted])
        scaled = (crops / 255 - encoder.mean) / encoder.deviation
        alone = encoder.embed(scaled).flatten(2).transpose(1, 2)  # (N, P, D)
        alone = alone.gather(1, wanted[..., None].expand(-1, -1, alone.shape[2]))
        return selection_loss(queries, self.patch(alone) / math.sqrt(alone.shape[2]))


def selection_loss(queries: Tensor, candidates: Tensor) -> Tensor:
    """Return the mean cross-entropy () in nats of choosing each query's own candidate.

    Args:
        queries: (N, M, D); the m-th asks for the m-th candidate.
        candidates: (N, M, D), of which all are compared with every query of their picture.
    """
    scores = (queries @ candidates.transpose(1, 2)).float()  # (N, M, M)
    truth = torch.arange(scores.shape[1], device=scores.device).expand(scores.shape[:2])
    return functional.cross_entropy(scores.flatten(0, 1), truth.flatten())
