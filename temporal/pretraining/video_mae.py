"""VideoMAE V2: a masked auto-encoder of video that sees a tenth and reconstructs a half.

Source: Wang et al., VideoMAE V2, CVPR 2023, in a smaller size.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from extractors.encoder import VisionTransformer
from temporal.pretraining.autoencoder import (
    Decoder,
    encoded,
    fitted,
    grid_waves,
    patch_errors,
    patch_pixels,
)
from temporal.pretraining.masks import places, running_cells, tube_mask, uniform

TUBELET = 2  # frames of a token


class VideoMae(nn.Module):
    """A picture encoder that learns from video, as one that attends over space and time.

    A token is of two frames: the encoder's embedding of their mean, and another of their
    difference. That is any linear embedding of the two, and one of a still picture is the
    encoder's own; so what learned from video reads pictures.
    """

    reads = ("appearance",)
    time: Tensor

    def __init__(
        self,
        encoder: VisionTransformer,
        frames: int = 16,
        hidden: float = 0.9,
        width: int = 64,
        layers: int = 4,
    ) -> None:
        """Make it; see `Fsfm` for width and layers.

        Args:
            encoder: that learns.
            frames: of a chunk, as far apart as its length allows; even.
            hidden: share of the tubes that the encoder does not see; half or more.

        Raises:
            ValueError: frames or hidden cannot be.
        """
        super().__init__()
        if frames % TUBELET or not 0.5 <= hidden < 1:
            raise ValueError(
                f"frames must be even and hidden from 0.5 to 1, got {frames}, {hidden}"
            )
        config = encoder.config
        self.encoder, self.frames, self.steps = encoder, frames, frames // TUBELET
        self.patches = (config.image // config.patch) ** 2
        self.hidden = min(round(hidden * self.patches), self.patches - 1)
        self.targets = self.steps * self.patches // 2
        self.change = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        nn.init.zeros_(self.change.weight)
        self.decoder = Decoder(config, self.steps, width, layers)
        self.pixels = nn.Linear(width, TUBELET * 3 * config.patch**2)
        waves = grid_waves(self.steps, 1, config.width)
        self.register_buffer("time", (waves - waves[:1])[:, None], persistent=False)

    def chance(self, clips: int) -> float:
        """Return the loss of one who tells nothing of hidden patches."""
        return 1.0

    def forward(self, streams: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Return the loss () of crops (B, L, 3, S, S).

        What is reconstructed is `clean`, if the crops were degraded from it.
        """
        crops = self._paired(streams["appearance"])
        clean = self._paired(streams["clean"]) if "clean" in streams else crops
        shape = len(crops), self.steps, self.patches
        noise = uniform(shape, generator, crops.device)
        mask = tube_mask(noise[:, 0], self.steps, self.hidden)  # (B, T, P)
        targets = running_cells(mask, noise).flatten(1)
        seen = places(~mask.flatten(1), self.steps * (self.patches - self.hidden))
        wanted = places(targets, self.targets)
        tokens = encoded(self.encoder, self.embedded(crops), seen)
        told = self.pixels(self.decoder(tokens, seen, wanted)[:, -self.targets :])
        pixels = patch_pixels(clean.flatten(0, 2), self.encoder.config.patch)
        pixels = pixels.view(*shape[:2], TUBELET, self.patches, -1).transpose(2, 3)
        return patch_errors(told, pixels.flatten(3).flatten(1, 2), wanted).mean()

    def _paired(self, crops: Tensor) -> Tensor:
        """Return pairs of frames (B, T, 2, 3, S, S) of crops (B, L, 3, H, W)."""
        chosen = torch.linspace(0, crops.shape[1] - 1, self.frames, device=crops.device).long()
        few = fitted(crops[:, chosen].flatten(0, 1), self.encoder.config.image)
        return few.view(-1, self.steps, TUBELET, *few.shape[1:])

    def embedded(self, crops: Tensor) -> Tensor:
        """Return the tokens (B, C + R + T · P, D) of pairs of frames (B, T, 2, 3, S, S)."""
        prefix, batch = self.encoder.prefix, len(crops)
        x = self.encoder.embedded(crops.mean(dim=2).flatten(0, 1))  # (B · T, C + R + P, D)
        step = (crops[:, :, 1] - crops[:, :, 0]).flatten(0, 1) / 255
        patches = x[:, prefix:] + self.change(step).flatten(2).transpose(1, 2)
        patches = patches.view(batch, self.steps, self.patches, -1) + self.time
        first = x.view(batch, self.steps, *x.shape[1:])[:, 0, :prefix]
        return torch.cat([first, patches.flatten(1, 2)], dim=1)
