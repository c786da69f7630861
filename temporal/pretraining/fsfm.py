"""FSFM: a face's masked auto-encoder whose view of a part agrees with that of the whole face.

Source: Wang et al., FSFM, CVPR 2025, in a smaller size, with regions from landmarks in place of a
parser's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.encoder import VisionTransformer
from extractors.face_regions import CHOSEN_FROM, REGIONS
from temporal.pretraining.autoencoder import (
    Decoder,
    encoded,
    fitted,
    patch_errors,
    patch_pixels,
)
from temporal.pretraining.masks import patch_regions, places, region_mask, uniform


class Fsfm(nn.Module):
    """Three losses: of all hidden patches, of the hidden region's, and of the two views' likeness.

    The target's view is of the whole face, by a moving average of the encoder, of its own decoder
    and of a projection.
    """

    reads = ("appearance", "regions")

    def __init__(
        self,
        encoder: VisionTransformer,
        hidden: float = 0.75,
        of_region: float = 0.007,
        of_likeness: float = 0.1,
        keep: float = 0.996,
        width: int = 64,
        layers: int = 2,
        projection: int = 128,
    ) -> None:
        """Make it.

        Args:
            encoder: that learns.
            hidden: share of patches that it does not see.
            of_region: weight of the region's loss.
            of_likeness: weight of the likeness's.
            keep: decay of the target's moving average, an update.
            width: of the decoders' tokens.
            layers: blocks of each decoder.
            projection: numbers by which views are compared.
        """
        super().__init__()
        config = encoder.config
        self.encoder, self.keep = encoder, keep
        self.weights = (of_region, of_likeness)
        self.patches = (config.image // config.patch) ** 2
        self.hidden = round(hidden * self.patches)
        self.decoder = Decoder(config, 1, width, layers)
        self.pixels = nn.Linear(width, 3 * config.patch**2)
        self.viewer = Decoder(config, 1, width, layers)
        self.projector = _head(width, projection)
        self.predictor = _head(projection, projection)
        self.slow_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.slow_viewer = copy.deepcopy(self.viewer).requires_grad_(False)
        self.slow_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def chance(self, clips: int) -> float:
        """Return the loss of one who tells nothing of hidden patches and whose views are unlike."""
        return 1.0 + self.weights[0]

    def forward(self, streams: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Return the loss () of crops (B, L, 3, S, S) and their label maps (B, L, S, S).

        What is reconstructed is `clean`, if the crops were degraded from it.
        """
        config = self.encoder.config
        crops = fitted(streams["appearance"].flatten(0, 1), config.image)
        mask, core = self._masks(streams["regions"].flatten(0, 1), generator)
        seen = places(~mask, self.patches - self.hidden)
        wanted = places(mask, self.hidden)
        pictures = self.encoder.embedded(crops)
        tokens = encoded(self.encoder, pictures, seen)
        told = self.pixels(self.decoder(tokens, seen, wanted)[:, -self.hidden :])
        clean = fitted(streams.get("clean", streams["appearance"]).flatten(0, 1), config.image)
        errors = patch_errors(told, patch_pixels(clean, config.patch), wanted)
        view = self.projector(self.viewer(tokens, seen, wanted).mean(dim=1))
        if self.training:
            self._follow()
        unlike = view_loss(self.predictor(view), self._whole(crops))
        of_region, of_likeness = self.weights
        region = (errors * core.gather(1, wanted)).sum() / core.sum().clamp(min=1)
        return errors.mean() + of_region * region + of_likeness * unlike

    def _masks(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        config = self.encoder.config
        side = config.image
        if labels.shape[-1] != side:
            labels = functional.interpolate(labels[:, None].float(), (side, side))[:, 0]
        shares = patch_regions(labels, config.patch, len(REGIONS))
        noise = uniform((len(labels), len(REGIONS) + self.patches), generator, labels.device)
        return region_mask(shares, CHOSEN_FROM, noise, self.hidden)

    @torch.no_grad()
    def _whole(self, crops: Tensor) -> Tensor:
        """Return the target's projection (N, K) of whole crops."""
        every = torch.arange(self.patches, device=crops.device).expand(len(crops), -1)
        tokens = encoded(self.slow_encoder, self.slow_encoder.embedded(crops), every)
        view = self.slow_viewer(tokens, every, every[:, :0]).mean(dim=1)
        projected: Tensor = self.slow_projector(view)
        return projected

    @torch.no_grad()
    def _follow(self) -> None:
        for slow, fast in (
            (self.slow_encoder, self.encoder),
            (self.slow_viewer, self.viewer),
            (self.slow_projector, self.projector),
        ):
            for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                old.lerp_(new, 1 - self.keep)


def view_loss(told: Tensor, target: Tensor) -> Tensor:
    """Return the mean () of minus half the cosine of two views (N, K), between -0.5 and 0.5."""
    return -0.5 * functional.cosine_similarity(told.float(), target.float(), dim=1).mean()


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 4 * width), nn.LayerNorm(4 * width), nn.GELU(), nn.Linear(4 * width, out)
    )
