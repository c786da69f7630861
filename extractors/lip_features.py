"""The stream `lip_features`: a frozen lip reader's tokens, on the clock."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from extractors.encoded_windows import EncodedWindows, encoded_key, encoded_windows
from extractors.errors import InputError
from extractors.lip_encoder import SIDE, load_lip_encoder
from extractors.lips import MOUTH_WIDTH
from extractors.streams import StreamConfig

# A lip reader is trained on squares of 96 pixels around the mouth, of which it reads the inner 88.
SHARE = MOUTH_WIDTH * SIDE / 96  # of the face crop's side
STEADY = 5  # steps over which the place of the mouth is averaged
BATCH = 2  # windows at once
GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


class LipFeatures:
    """The maker of the stream."""

    def __init__(self, windows: EncodedWindows) -> None:
        """Put a lip reader's windows behind the crops of mouths."""
        self.windows = windows

    def __call__(self, start: int, appearance: Tensor, landmarks: Tensor) -> Tensor:
        """Return features (T, F, D) float16 of face crops (T, 3, 112, 112) and lips (T, 40, 3)."""
        return self.windows(start, mouths_of(appearance, landmarks))


def mouths_of(appearance: Tensor, landmarks: Tensor) -> Tensor:
    """Return grey mouths (T, 88, 88), 0 to 1, of face crops (T, 3, S, S) uint8.

    landmarks: (T, 40, 3) lips in face coordinates, of which the crop spans -0.5 to 0.5.
    """
    centres = landmarks[:, :, :2].float().mean(dim=1).T[None]  # (1, 2, T)
    padded = functional.pad(centres, (STEADY // 2, STEADY // 2), mode="replicate")
    place = functional.avg_pool1d(padded, STEADY, 1)[0].T  # (T, 2)
    shrunk = torch.tensor([[SHARE, 0.0], [0.0, SHARE]]).expand(len(place), 2, 2)
    theta = torch.cat([shrunk, 2 * place[:, :, None]], dim=2)
    weights = torch.tensor(GREY)[:, None, None]
    grey = (appearance.float() * weights).sum(dim=1, keepdim=True) / 255
    grid = functional.affine_grid(theta, [len(place), 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(grey, grid, padding_mode="border", align_corners=False)[:, 0]


def lip_features(config: StreamConfig) -> LipFeatures:
    """Return the maker of a config's stream.

    Raises:
        InputError: the config names no lip reader, or one that cannot be read.
    """
    if not config.lip_encoder:
        raise InputError("lip features need a lip reader: streams.lip_encoder names its file")
    encoder = load_lip_encoder(Path(config.lip_encoder), config.lip_layers)
    return LipFeatures(encoded_windows(encoder, config, BATCH))


def lip_key(config: StreamConfig) -> str:
    """Return what the stream's values depend on."""
    return encoded_key(config.lip_encoder, config.lip_layers, config)
