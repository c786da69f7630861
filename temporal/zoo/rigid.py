"""A training-free detector: how far a little noise moves a crop's embedding.

Source: He et al., RIGID, 2024. The paper leaves open what a noise strength of 0.05 refers to,
whether noisy pictures are clipped, and how often noise is drawn: here these are settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import mobilenet_v2
from torchvision.transforms.functional import gaussian_blur

from temporal.mobilenet import LAYERS

Encoder = Callable[[Tensor], Tensor]  # pictures (N, 3, H, W) in [0, 1] to embeddings (N, D)
PREFIX = "experts.appearance.stem."  # of the encoder's weights in a detector's file
FEW = 32  # pictures that are encoded at once
BLUR = (5, 1.0)  # Gaussian kernel: side and standard deviation, in pixels


def similarity(encoder: Encoder, pictures: Tensor, others: Tensor) -> Tensor:
    """Return the cosine similarity (N,) of the embeddings of pictures and others (N, 3, H, W)."""
    return functional.cosine_similarity(encoder(pictures), encoder(others), dim=1)


def disturbed(pictures: Tensor, noise: Tensor, strength: float, as_levels: bool) -> Tensor:
    """Return noisy pictures (N, 3, H, W) in [0, 1]; as_levels: clip, and round to 1/255."""
    noisy = pictures + strength * noise
    return (noisy.clamp(0, 1) * 255).round() / 255 if as_levels else noisy


class StemEncoder(nn.Module):
    """The starter's appearance network as an embedding, or the same network untrained."""

    def __init__(self, weights: str | None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the untrained one is always the same
            self.stem = mobilenet_v2(weights=None).features[:LAYERS]
        if weights is not None:
            tensors = load_file(Path(weights))
            state = {n.removeprefix(PREFIX): t for n, t in tensors.items() if n.startswith(PREFIX)}
            self.stem.load_state_dict(state)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return embeddings (N, 96) of pictures (N, 3, H, W) in [0, 1]."""
        maps: Tensor = self.stem(pictures * (255 / 64) - 2.0)
        return maps.mean(dim=(2, 3))


class Rigid(nn.Module):
    """1 - the similarity of the embeddings of a crop and its disturbed copy; higher is fake.

    Compare with the score of the untrained encoder (`weights: null`): the accuracy that this one
    reaches comes from contrast, not from anything learned.

    Args:
        weights: a detector's safetensors file; None: the encoder is untrained.
        strength: standard deviation of the noise, for pictures in [0, 1].
        draws: number of noise samples that are averaged.
        shared: whether all steps get the same noise.
        as_levels: whether noisy pictures are clipped and rounded to 256 levels.
        disturb: by noise, by blur, or by whichever moves the embedding less.
        every: steps from one scored crop to the next; those between get the score of the last.
    """

    def __init__(
        self, weights: str | None = None, strength: float = 0.05, draws: int = 3,
        shared: bool = True, as_levels: bool = True,
        disturb: Literal["noise", "blur", "least"] = "noise", every: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if disturb not in ("noise", "blur", "least"):
            raise ValueError(f"disturb must be noise, blur or least, got {disturb!r}")
        self.encoder = StemEncoder(weights)
        self.strength, self.draws, self.disturb = strength, draws, disturb
        self.shared, self.as_levels, self.every = shared, as_levels, every

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step scores (B, L) in [0, 2] of appearance (B, L, 3, H, W)."""
        steps = streams["appearance"].shape[1]
        crops = streams["appearance"][:, :: self.every]
        generator = torch.Generator().manual_seed(0)
        frames = 1 if self.shared else crops.shape[1]
        noise = torch.randn(self.draws, frames, *crops.shape[2:], generator=generator)
        judged = torch.stack([self._clip(clip / 255.0, noise.to(clip.device)) for clip in crops])
        return judged.repeat_interleave(self.every, dim=1)[:, :steps]

    def _clip(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """Return scores (L,) of pictures (L, 3, H, W) with noise (K, 1 or L, 3, H, W)."""
        scores = []
        for first in range(0, len(pictures), FEW):
            few = pictures[first : first + FEW]
            own = noise if self.shared else noise[:, first : first + FEW]
            scores.append(self._moved(few, own))
        return torch.cat(scores)

    def _moved(self, pictures: Tensor, noise: Tensor) -> Tensor:
        moved = []
        if self.disturb != "blur":
            noisy = [disturbed(pictures, n, self.strength, self.as_levels) for n in noise]
            alike = [similarity(self.encoder, pictures, other) for other in noisy]
            moved.append(1 - torch.stack(alike).mean(dim=0))
        if self.disturb != "noise":
            blurred = gaussian_blur(pictures, [BLUR[0]] * 2, [BLUR[1]] * 2)
            moved.append(1 - similarity(self.encoder, pictures, blurred))
        return torch.stack(moved).amin(dim=0)
