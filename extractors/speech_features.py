"""The stream `speech_features`: a frozen speech encoder's tokens, on the clock."""

from __future__ import annotations

from pathlib import Path

from extractors.encoded_windows import EncodedWindows, encoded_key, encoded_windows
from extractors.errors import InputError
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
    return encoded_windows(encoder, config)


def speech_key(config: StreamConfig) -> str:
    """Return what the stream's values depend on."""
    return encoded_key(config.speech_encoder, config.speech_layers, config)
