"""The stream `speech_features`: a frozen speech encoder's tokens, on the clock."""

from __future__ import annotations

from pathlib import Path

import torch

from extractors.encoded_windows import EncodedWindows
from extractors.encoder_store import encoder_sha256
from extractors.errors import InputError
from extractors.precision import precision_of
from extractors.speech_encoder import load_speech_encoder
from extractors.streams import StreamConfig


def speech_features(config: StreamConfig) -> EncodedWindows:
    """Return the maker of a config's stream (T, F, D) of samples (T, 640).

    Raises:
        InputError: the config names no encoder, or one that cannot be read.
    """
    if not config.speech_encoder:
        raise InputError("speech features need an encoder: streams.speech_encoder names its file")
    encoder = load_speech_encoder(Path(config.speech_encoder), config.speech_layers)
    precision = precision_of(config.precision, torch.device(config.device))
    return EncodedWindows(encoder, config.device, precision)


def speech_key(config: StreamConfig) -> str:
    """Return what the stream's values depend on."""
    precision = precision_of(config.precision, torch.device(config.device))
    return f"{encoder_sha256(config.speech_encoder or '')} {config.speech_layers} {precision}"
