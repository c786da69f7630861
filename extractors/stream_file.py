"""Streams on disk: the blocks of one extraction, written and read one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

from safetensors import safe_open

from extractors.streams import MEASURES, STREAMS, VERSION, Streams
from extractors.tensor_file import TensorWriter

NAMED = (*STREAMS, *MEASURES)


class StreamWriter:
    """Blocks of streams on their way to a safetensors file, where block 3 has `3.mel` and so on.

    Close it, or use it in a `with`.
    """

    def __init__(self, folder: Path) -> None:
        """Begin a file; `folder` is where blocks wait until it is written."""
        self._tensors = TensorWriter(folder)
        self._facts: list[dict[str, Any]] = []

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the blocks."""
        self._tensors.close()

    def add(self, block: Streams) -> None:
        """Append a block."""
        for name, stream in (block.present() | block.measures()).items():
            self._tensors.add(f"{len(self._facts)}.{name}", stream)
        others = (f.name for f in fields(block) if f.name not in (*NAMED, "added"))
        self._facts.append({name: getattr(block, name) for name in others})

    def write(self, path: Path) -> None:
        """Write the file."""
        metadata = {"blocks": json.dumps(self._facts), "version": str(VERSION)}
        self._tensors.write(path, metadata)


def read_streams(path: Path) -> Iterator[Streams]:
    """Yield the blocks of a file that `StreamWriter` wrote; memory holds those that are used.

    Raises:
        ValueError: the file was written by another version of the extractors.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("version") != str(VERSION):
            raise ValueError(f"{path}: streams of version {metadata.get('version')}, not {VERSION}")
        names: dict[str, list[str]] = {}
        for name in file.keys():  # noqa: SIM118  it is no dict
            names.setdefault(name.partition(".")[0], []).append(name)
        for i, facts in enumerate(json.loads(metadata["blocks"])):
            own = names.get(str(i), [])
            tensors = {name.partition(".")[2]: file.get_tensor(name) for name in own}
            named = {name: t for name, t in tensors.items() if name in NAMED}
            added = {name: t for name, t in tensors.items() if name not in NAMED}
            yield Streams(**facts, **named, added=added)
