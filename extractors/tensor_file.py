"""A safetensors file whose tensors grow piece by piece, so that memory holds one piece at a time.

The format has its header first, with the shape of every tensor; so pieces wait in a temporary file
until all are there.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

KINDS = {
    torch.float64: "F64", torch.int64: "I64", torch.float32: "F32", torch.int32: "I32",
    torch.float16: "F16", torch.bfloat16: "BF16", torch.int16: "I16", torch.uint8: "U8",
    torch.int8: "I8", torch.bool: "BOOL",
}  # fmt: skip
PIECE = 2**22  # bytes that are copied at once


class TensorWriter:
    """Tensors by name, each of whose rows may come in pieces. Close it, or use it in a `with`."""

    def __init__(self, folder: Path) -> None:
        """Begin a file.

        folder: where the pieces wait, in a file without a name.
        """
        self._spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by `close`
        self._kinds: dict[str, tuple[torch.dtype, torch.Size]] = {}
        self._rows: dict[str, int] = {}
        self._pieces: dict[str, list[tuple[int, int]]] = {}  # offset and length in bytes

    def __enter__(self) -> TensorWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, name: str, rows: Tensor) -> None:
        """Append rows (N, ...) to the tensor of a name.

        Raises:
            ValueError: earlier rows had another type or shape.
        """
        kind = rows.dtype, rows.shape[1:]
        if self._kinds.setdefault(name, kind) != kind:
            raise ValueError(f"{name}: rows of {kind} after rows of {self._kinds[name]}")
        content = rows.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        self._pieces.setdefault(name, []).append((self._spool.tell(), len(content)))
        self._spool.write(content)
        self._rows[name] = self._rows.get(name, 0) + len(rows)

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file. Wider types come first, so that every tensor is aligned."""
        names = sorted(self._kinds, key=lambda name: -self._kinds[name][0].itemsize)
        header: dict[str, object] = {"__metadata__": dict(metadata)}
        end = 0
        for name in names:
            begin, end = end, end + sum(length for _, length in self._pieces[name])
            dtype, shape = self._kinds[name]
            header[name] = {
                "dtype": KINDS[dtype], "shape": [self._rows[name], *shape],
                "data_offsets": [begin, end],
            }  # fmt: skip
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in names:
                for offset, length in self._pieces[name]:
                    self._spool.seek(offset)
                    while length > 0:
                        taken = self._spool.read(min(length, PIECE))
                        file.write(taken)
                        length -= len(taken)
        self._spool.seek(0, 2)

    def close(self) -> None:
        """Drop the pieces."""
        self._spool.close()
