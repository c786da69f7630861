"""The stream `speech_features`: a frozen speech encoder's tokens, on the clock.

The encoder attends to everything that it is given, so the sound is given to it in windows, on a
grid of the file's steps: they are the same in whatever blocks a file comes.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from extractors.encoder_store import encoder_sha256
from extractors.errors import InputError
from extractors.precision import precision_of
from extractors.speech_encoder import SpeechEncoder, load_speech_encoder
from extractors.streams import StreamConfig

CELL = 32  # steps that a window decides
AROUND = 32  # steps that it hears besides, at either side; with a cell no more than blocks share
BATCH = 8  # windows that the encoder takes at once: bounds memory


class SpeechFeatures:
    """The maker of the stream."""

    def __init__(self, encoder: SpeechEncoder, device: str, precision: torch.dtype) -> None:
        """Wrap an encoder."""
        self.encoder, self.precision = encoder, precision
        self.device = torch.device(device)
        encoder.network.to(self.device)

    def __call__(self, start: int, samples: Tensor) -> Tensor:
        """Return features (T, F, D) float16 of samples (T, 640), from step `start` of the file on.

        A step has the mean of its tokens, after each of the encoder's F layers.
        """
        steps, alike = len(samples), defaultdict[int, list[tuple[int, int, int]]](list)
        for cell in range(start // CELL, -(-(start + steps) // CELL)):
            first, last = (min(max(n * CELL - start, 0), steps) for n in (cell, cell + 1))
            low = max(cell * CELL - start - AROUND, 0)
            high = min((cell + 1) * CELL - start + AROUND, steps)
            alike[high - low].append((low, first, last))
        features = torch.empty(steps, len(self.encoder.layers), self.encoder.width).half()
        for length, places in alike.items():
            for some in (places[i : i + BATCH] for i in range(0, len(places), BATCH)):
                heard = torch.stack([samples[low : low + length].flatten() for low, _, _ in some])
                for (low, first, last), found in zip(some, self._of(heard, length), strict=True):
                    features[first:last] = found[first - low : last - low]
        return features

    def _of(self, heard: Tensor, steps: int) -> Tensor:
        """Return the features (N, T, F, D) of windows (N, T * 640) of sound."""
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            layers = self.encoder(heard.to(self.device))
        found = [t.float().reshape(len(t), steps, -1, t.shape[-1]).mean(dim=2) for t in layers]
        return torch.stack(found, dim=2).half().cpu()


def speech_features(config: StreamConfig) -> SpeechFeatures:
    """Return the maker of a config's stream.

    Raises:
        InputError: the config names no encoder, or one that cannot be read.
    """
    if not config.speech_encoder:
        raise InputError("speech features need an encoder: streams.speech_encoder names its file")
    encoder = load_speech_encoder(Path(config.speech_encoder), config.speech_layers)
    precision = precision_of(config.precision, torch.device(config.device))
    return SpeechFeatures(encoder, config.device, precision)


def speech_key(config: StreamConfig) -> str:
    """Return what the stream's values depend on."""
    precision = precision_of(config.precision, torch.device(config.device))
    return f"{encoder_sha256(config.speech_encoder or '')} {config.speech_layers} {precision}"
