"""The parts of a masked auto-encoder: an encoder that sees some patches, a decoder of the others.

Source: He et al., MAE, CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.encoder import Block, EncoderConfig, VisionTransformer

HEAD = 32  # channels of one of the decoder's heads


def start_anew(encoder: VisionTransformer) -> VisionTransformer:
    """Give an encoder random weights, and positions of sines, in place; return it."""
    side = encoder.config.image // encoder.config.patch
    with torch.no_grad():
        if encoder.positions is not None:
            encoder.positions[-(side**2) :] = grid_waves(1, side, encoder.config.width)
        for token in (encoder.class_token, encoder.registers):
            if token is not None:
                token.normal_(std=0.02)
    return encoder


def fitted(pictures: Tensor, side: int) -> Tensor:
    """Return pictures (N, 3, H, W) from 0 to 255 as float, `side` pixels high and wide."""
    x = pictures.float()
    if x.shape[-2:] == (side, side):
        return x
    return functional.interpolate(x, (side, side), mode="bilinear", antialias=True)


def waves(at: Tensor, width: int) -> Tensor:
    """Return sines and cosines (P, width) of places (P,), as positions are told to transformers."""
    rates = 10_000 ** -(torch.arange(width // 2) / (width // 2))
    angles = at[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def grid_waves(steps: int, side: int, width: int) -> Tensor:
    """Return the positions (T · P, width) of a square grid of patches over T steps."""
    place = torch.arange(side**2)
    grid = torch.cat([waves(place // side, width // 2), waves(place % side, width // 2)], dim=1)
    time = waves(torch.arange(steps), width) - waves(torch.zeros(1), width)  # the first: none
    return (time[:, None] + grid).flatten(0, 1)


def encoded(encoder: VisionTransformer, tokens: Tensor, seen: Tensor) -> Tensor:
    """Return the tokens (N, C + R + K, D) after the last block of an encoder that sees K patches.

    Args:
        encoder: of which all blocks are run.
        tokens: (N, C + R + P, D) or, of T steps with one prefix, (N, C + R + T · P, D).
        seen: (N, K) indices of patches.
    """
    prefix = encoder.prefix
    chosen = seen[..., None].expand(-1, -1, tokens.shape[2])
    x = torch.cat([tokens[:, :prefix], tokens[:, prefix:].gather(1, chosen)], dim=1)
    turn = encoder.turn
    if turn is not None:
        own = seen % (turn.shape[1] - prefix) + prefix  # a patch's angles are those of any step
        before = torch.arange(prefix, device=seen.device).expand(len(seen), -1)
        turn = turn[:, torch.cat([before, own], dim=1)][:, :, None]  # (2, N, 1, C + R + K, d)
    for block in encoder.blocks:
        x = block(encoder.prompted(x), turn)
    return x


def patch_pixels(pictures: Tensor, patch: int) -> Tensor:
    """Return each patch's pixels (N, P, 3 · patch²), of zero mean and unit variance.

    A flat patch is all zeros. So the loss of one who knows nothing of a patch is 1 at most.
    """
    pixels = functional.pixel_unshuffle(pictures, patch).flatten(2).transpose(1, 2)
    spread, mean = torch.var_mean(pixels, dim=2, keepdim=True, unbiased=False)
    return (pixels - mean) / (spread + 1.0).sqrt()  # one grey level of noise is no texture


class Decoder(nn.Module):
    """A small transformer that tells hidden patches by those that are seen."""

    at: Tensor

    def __init__(self, encoder: EncoderConfig, steps: int, width: int, layers: int) -> None:
        """Make it for an encoder's tokens over T steps; width: a multiple of `HEAD`."""
        super().__init__()
        config = EncoderConfig(
            "decoder", width, width // HEAD, 4 * width, layers, activation="gelu"
        )
        side = encoder.image // encoder.patch
        self.norm, self.embed = nn.LayerNorm(encoder.width), nn.Linear(encoder.width, width)
        self.hidden = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.register_buffer("at", grid_waves(steps, side, width), persistent=False)

    def forward(self, tokens: Tensor, seen: Tensor, wanted: Tensor) -> Tensor:
        """Return tokens (N, C + R + K + M, width), of which the last M are the wanted patches'.

        Args:
            tokens: (N, C + R + K, D) of an encoder that saw K patches.
            seen: (N, K) indices of these.
            wanted: (N, M) indices of hidden patches.
        """
        x = self.embed(self.norm(tokens))
        prefix = x.shape[1] - seen.shape[1]
        x = torch.cat(
            [x[:, :prefix], x[:, prefix:] + self.at[seen], self.hidden + self.at[wanted]], dim=1
        )
        for block in self.blocks:
            x = block(x)
        told: Tensor = self.last(x)
        return told


def patch_errors(told: Tensor, pixels: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean square error (N, M) of what was told of patches.

    Args:
        told: (N, M, K) of the wanted patches.
        pixels: (N, P, K) of all.
        wanted: (N, M) indices.
    """
    truth = pixels.gather(1, wanted[..., None].expand(-1, -1, pixels.shape[2]))
    return (told.float() - truth).square().mean(dim=2)
