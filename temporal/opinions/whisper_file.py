"""A reader of Whisper's first layers from CTranslate2's file of the whole model.

CTranslate2's `model.bin` is the form in which most programs carry Whisper (faster-whisper does):
names, shapes and numbers one after the other, and no code.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from extractors.errors import AvdetectError
from extractors.media import SAMPLE_RATE
from extractors.spectrogram import BANDS, WINDOW


class WhisperFileError(AvdetectError, ValueError):
    """The file does not hold Whisper's weights in a form that can be read here."""


def whisper_bands() -> Tensor:
    """Return the non-negative matrix (80, 80) that maps our mel bands to Whisper's.

    Our filters follow the HTK formula, Whisper's follow Slaney's with equal area. Both are sums of
    the same 201 frequencies, so Whisper's follow from ours nearly, without a second spectrogram.
    """
    frequencies, top = WINDOW // 2 + 1, SAMPLE_RATE / 2
    ours = melscale_fbanks(frequencies, 0.0, top, BANDS, SAMPLE_RATE)  # (201, 80)
    theirs = melscale_fbanks(frequencies, 0.0, top, BANDS, SAMPLE_RATE, "slaney", "slaney")
    rows = [nnls(ours.double().numpy(), row)[0] for row in theirs.T.double().numpy()]
    return torch.from_numpy(np.stack(rows)).float()


VERSION = 6  # of the format
KINDS = {0: np.float32, 4: np.float16}  # the format's codes of data types
# CTranslate2's layer names -> those of `WhisperStem`
LAYERS = {
    "conv1": "conv1.",
    "conv2": "conv2.",
    "layer_0/self_attention/layer_norm": "block.norm1.",
    "layer_0/self_attention/linear_0": "block.self_attn.in_proj_",
    "layer_0/self_attention/linear_1": "block.self_attn.out_proj.",
    "layer_0/ffn/layer_norm": "block.norm2.",
    "layer_0/ffn/linear_0": "block.linear1.",
    "layer_0/ffn/linear_1": "block.linear2.",
}
PARTS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def read_whisper(path: Path) -> dict[str, Tensor]:
    """Return the state dict (float16) of a `WhisperStem` from the file of a whole model.

    Raises:
        WhisperFileError: there is no such file, or it is not one of CTranslate2's Whisper models in
            float16 or float32.
    """
    state = {}
    try:
        opened = path.open("rb")
    except OSError as error:
        raise WhisperFileError(f"{path}: cannot be read ({error.strerror})") from error
    with opened as file:
        try:
            version, kind = _number(file, "I"), _name(file)
            if version != VERSION or kind != "WhisperSpec":
                raise ValueError(f"it holds {kind!r}, version {version}")
            _number(file, "I")  # the revision of the names
            for _ in range(_number(file, "I")):
                name, tensor = _variable(file)
                if name is not None:
                    state[name] = tensor
        except (ValueError, KeyError, struct.error) as error:
            raise WhisperFileError(
                f"{path}: not CTranslate2's file of a Whisper model: {error}"
            ) from error
    return state


def _variable(file: BinaryIO) -> tuple[str | None, Tensor]:
    """Return the next variable and its name in `WhisperStem`; None: not needed, and skipped."""
    layer, _, part = _name(file).removeprefix("encoder/").rpartition("/")
    shape = [_number(file, "I") for _ in range(_number(file, "B"))]
    kind, size = _number(file, "B"), _number(file, "I")
    if layer not in LAYERS:
        file.seek(size, 1)
        return None, torch.empty(0)
    numbers = np.frombuffer(file.read(size), KINDS[kind]).reshape(shape).astype(np.float16)
    return LAYERS[layer] + PARTS[part], torch.from_numpy(numbers)


def _name(file: BinaryIO) -> str:
    size = _number(file, "H")
    return file.read(size)[:-1].decode()  # a zero ends it


def _number(file: BinaryIO, kind: str) -> int:
    layout = struct.Struct(f"<{kind}")
    number: int = layout.unpack(file.read(layout.size))[0]
    return number
