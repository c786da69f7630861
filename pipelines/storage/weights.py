"""Writing and reading of weights files of any kind.

A file is safetensors and carries its format, the metadata from which its network is rebuilt, and
the digest of its tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from extractors.errors import AvdetectError
from pipelines.storage.files import write_by

DIGEST = "digest"  # of the tensors; files from before 2027 lack it


class WeightsError(AvdetectError, ValueError):
    """A file of weights cannot be used. The message names the file and the cause."""


def save_weights(
    path: Path, state: Mapping[str, Tensor], format: str, metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata as one file, whole or not at all.

    Args:
        path: the file.
        state: tensors by name, on any device.
        format: kind and version, such as `avdetect detector 8`.
        metadata: anything else about the weights; not the keys `format` and `digest`.

    Raises:
        WeightsError: the file cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in state.items()}
    facts = {**metadata, "format": format, DIGEST: tensors_sha256(tensors)}
    try:
        write_by(path, lambda partial: save_file(tensors, partial, metadata=facts))
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: the weights cannot be written ({error})") from error


def load_weights(path: Path, format: str | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file.

    Args:
        path: the file.
        format: that is required; None: any, for files of other projects.

    Raises:
        WeightsError: there is no such file, it is no safetensors file, it has another format, or
            its tensors do not match the digest.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a safetensors file: {error}") from error
    if format is not None and metadata.get("format") != format:
        kind, found = format.rpartition(" ")[0], metadata.get("format")
        raise WeightsError(f"{path}: not the weights of an {kind}: its format is {found!r}, "
                           f"not {format!r}")  # fmt: skip
    if DIGEST in metadata and metadata[DIGEST] != tensors_sha256(state):
        raise WeightsError(f"{path}: its tensors are not those that were written (digest)")
    return state, metadata


def load_into(module: nn.Module, path: Path, state: Mapping[str, Tensor]) -> None:
    """Load the tensors of a file into a module.

    Raises:
        WeightsError: they do not fit the module; the message names the file.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise WeightsError(f"{path}: weights and settings do not fit: {what}") from error


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the tensors' names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
