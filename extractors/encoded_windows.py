"""A frozen encoder's tokens on the clock, whatever blocks a file comes in.

Such encoders attend to everything that they are given, so a stream is given to them in windows, on
a grid of the file's steps.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Protocol

import torch
from torch import Tensor

from extractors.encoder_store import encoder_sha256
from extractors.precision import precision_of
from extractors.streams import StreamConfig

CELL = 32  # steps that a window decides
AROUND = 32  # steps that it has besides, at either side; with a cell no more than blocks share
BATCH = 8  # windows that the encoder takes at once: bounds memory


class StepEncoder(Protocol):
    """An encoder with whole tokens in a step of the clock."""

    @property
    def network(self) -> Any:
        """The module that is moved to the device."""

    @property
    def layers(self) -> tuple[int, ...]:
        """After which tokens are taken."""

    @property
    def width(self) -> int:
        """Of a token."""

    def __call__(self, windows: Tensor, /) -> list[Tensor]:
        """Return the tokens (N, K * T, D) after each layer of windows (N, T, ...)."""


class EncodedWindows:
    """The maker of a stream of an encoder's features."""

    def __init__(
        self, encoder: StepEncoder, device: str, precision: torch.dtype, batch: int = BATCH
    ) -> None:
        """Wrap an encoder, which takes up to `batch` windows at once."""
        self.encoder, self.precision, self.batch = encoder, precision, batch
        self.device = torch.device(device)
        encoder.network.to(self.device)

    def __call__(self, start: int, stream: Tensor) -> Tensor:
        """Return features (T, F, D) float16 of a stream (T, ...), from step `start` of the file on.

        A step has the mean of its tokens, after each of the encoder's F layers.
        """
        steps, alike = len(stream), defaultdict[int, list[tuple[int, int, int]]](list)
        for cell in range(start // CELL, -(-(start + steps) // CELL)):
            first, last = (min(max(n * CELL - start, 0), steps) for n in (cell, cell + 1))
            low = max(cell * CELL - start - AROUND, 0)
            high = min((cell + 1) * CELL - start + AROUND, steps)
            alike[high - low].append((low, first, last))
        features = torch.empty(steps, len(self.encoder.layers), self.encoder.width).half()
        for length, places in alike.items():
            for some in (places[i : i + self.batch] for i in range(0, len(places), self.batch)):
                windows = torch.stack([stream[low : low + length] for low, _, _ in some])
                for (low, first, last), found in zip(some, self._of(windows), strict=True):
                    features[first:last] = found[first - low : last - low]
        return features

    def _of(self, windows: Tensor) -> Tensor:
        """Return the features (N, T, F, D) of windows (N, T, ...)."""
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            layers = self.encoder(windows.to(self.device))
        shape = *windows.shape[:2], -1
        found = [t.float().reshape(*shape, t.shape[-1]).mean(dim=2) for t in layers]
        return torch.stack(found, dim=2).half().cpu()


def encoded_windows(
    encoder: StepEncoder, config: StreamConfig, batch: int = BATCH
) -> EncodedWindows:
    """Return the maker of an encoder's features on a config's device and in its precision."""
    precision = precision_of(config.precision, torch.device(config.device))
    return EncodedWindows(encoder, config.device, precision, batch)


def encoded_key(path: str | None, layers: tuple[int, ...], config: StreamConfig) -> str:
    """Return what the features of an encoder's file or folder depend on."""
    precision = precision_of(config.precision, torch.device(config.device))
    return f"{encoder_sha256(path or '')} {layers} {precision}"
