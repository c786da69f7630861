"""The file or folder of an encoder: its tensors, its settings, and the digest of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from extractors.errors import InputError

FORMAT = "avdetect encoder 1"  # the own form, which carries its configuration in its metadata
INDEX = "model.safetensors.index.json"  # of weights in several files
SETTINGS = ("config.json", "open_clip_config.json", "preprocessor_config.json")
UNSAFE = (".bin", ".pt", ".pth", ".ckpt")  # pickles, which run code when they are read


@dataclass(frozen=True, eq=False)
class TensorStore:
    """The tensors of one or several safetensors files, each read when it is asked for."""

    path: Path  # as it was named: a file or a folder
    places: Mapping[str, Path]  # the file of each tensor, by the tensor's name
    metadata: Mapping[str, str]
    prefix: str = ""  # of the names that are asked for

    def behind(self, prefix: str) -> TensorStore:
        """Return the same tensors without a prefix of their names."""
        return replace(self, prefix=prefix)

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.places

    def names(self, beginning: str) -> list[str]:
        """Return the names, behind the prefix, that begin so."""
        whole = self.prefix + beginning
        return [n.removeprefix(self.prefix) for n in self.places if n.startswith(whole)]

    def __getitem__(self, name: str) -> Tensor:
        return self._read(name, lambda file, full: file.get_tensor(full))

    def shape_of(self, name: str) -> list[int]:
        """Return the shape of a tensor, which is not read."""
        return list(self._read(name, lambda file, full: file.get_slice(full).get_shape()))

    def _read(self, name: str, how: Callable[[Any, str], Any]) -> Any:
        full = self.prefix + name
        if full not in self.places:
            raise InputError(f"{self.path}: lacks the tensor {full}")
        with safe_open(self.places[full], framework="pt") as file:
            return how(file, full)

    def settings(self, name: str, required: bool = True) -> dict[str, Any]:
        """Return a JSON file beside the weights; {} where there is none and none is required.

        Raises:
            InputError: it is required and not there, or is no JSON object.
        """
        place = _folder(self.path) / name
        if not place.is_file():
            if required:
                raise InputError(f"{self.path}: {name} must lie beside the weights, and does not")
            return {}
        try:
            read = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: cannot be read as JSON: {error}") from error
        if not isinstance(read, dict):
            raise InputError(f"{place}: is no JSON object")
        return read


def open_store(path: Path) -> TensorStore:
    """Return the tensors of a safetensors file, or of a folder with one or with an index.

    Raises:
        InputError: there are none, or several files and no index; the message says which.
    """
    places: dict[str, Path] = {}
    metadata: dict[str, str] = {}
    for file in weights_of(path):
        try:
            with safe_open(file, framework="pt") as opened:
                places |= dict.fromkeys(opened.keys(), file)
                metadata |= opened.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: not a safetensors file: {error}") from error
    return TensorStore(path, places, metadata)


def weights_of(path: Path) -> list[Path]:
    """Return the safetensors files that a file or folder stands for.

    Raises:
        InputError: there are none, or too many.
    """
    if path.suffix in UNSAFE:
        raise InputError(f"{path}: only safetensors are read, since a pickle may run code")
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path}: there is no such file or folder of weights")
        return [path]
    if (path / INDEX).is_file():
        parts = TensorStore(path, {}, {}).settings(INDEX).get("weight_map")
        if not isinstance(parts, dict) or not parts:
            raise InputError(f"{path / INDEX}: names no files")
        return sorted({path / Path(str(name)).name for name in parts.values()})
    found = sorted(path.glob("*.safetensors"))
    if path / "model.safetensors" in found:
        return [path / "model.safetensors"]
    if len(found) != 1:
        unsafe = [file.name for file in path.iterdir() if file.suffix in UNSAFE]
        why = f"several weights files, name one of {[file.name for file in found]}"
        if not found:
            why = "no safetensors file" + (f"; {unsafe} are not read" if unsafe else "")
        raise InputError(f"{path}: {why}")
    return found


def encoder_sha256(path: str | Path) -> str:
    """Return the digest of an encoder: of its file if that is all of it, else of all its files.

    Raises:
        InputError: it cannot be read.
    """
    store = open_store(Path(path))
    own = store.metadata.get("format") == FORMAT
    beside = [] if own else [_folder(store.path) / name for name in SETTINGS]
    try:
        digests = [_digest(file) for file in weights_of(store.path)]
        digests += [_digest(file) for file in beside if file.is_file()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return digests[0] if len(digests) == 1 else _joined(digests)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _joined(digests: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent
