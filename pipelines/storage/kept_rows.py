"""Rows of a long computation, each kept as a line of JSON as soon as it is computed.

So a run that broke off resumes where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from extractors.errors import InputError

Row = dict[str, Any]
Key = tuple[Any, ...]


class KeptRows:
    """Rows of one model by their key, on disk or, without a path, in memory alone."""

    def __init__(self, path: Path | None, names: tuple[str, ...], model: Mapping[str, Any]) -> None:
        """Read the rows that the same model wrote before; other models' rows stay in the file.

        Raises:
            ValueError: the file holds something else.
        """
        self.path, self.names, self.model = path, names, dict(model)
        self.rows: dict[Key, Row] = {}
        if path is not None and path.exists():
            _drop_half_line(path)
            self.rows.update(self._read(path))

    def row(self, key: Key, make: Callable[[], Row]) -> Row:
        """Return the row of a key; it is made and kept if there is none yet."""
        if key not in self.rows:
            named = dict(zip(self.names, key, strict=True))
            self.rows[key] = {**named, "model": self.model, **make()}
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(self.rows[key]) + "\n")
        return self.rows[key]

    def _read(self, path: Path) -> Iterator[tuple[Key, Row]]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                key = tuple(row[name] for name in self.names)
                if row["model"]["sha256"] == self.model["sha256"]:
                    yield key, row
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(f"{path}: line {number} is no kept result: {error!r}") from error


def _drop_half_line(path: Path) -> None:
    """Truncate the file after its last complete line."""
    text = path.read_bytes()
    if text and not text.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(text.rfind(b"\n") + 1)
