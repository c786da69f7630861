"""Markdown tables of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def pairs(title: str, row: Row) -> list[str]:
    """Return a table of names and values."""
    return [*head([title, "value"]), *(line([k, text(v)]) for k, v in row.items())]


def cell(row: Row, key: str) -> str:
    """Return a row's value with its interval, if it has one; a dash if the value is missing."""
    if row.get(key) is None:
        return "–"
    if f"{key}_interval" not in row:
        return text(row[key])
    low, high = row[f"{key}_interval"]
    return f"{row[key]:.3f} ({low:.3f}–{high:.3f})"


def text(value: object) -> str:
    """Return a float with three decimals, a dash for None, anything else as it is."""
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)


def head(cells: Sequence[str]) -> list[str]:
    """Return a table's header: its first two lines."""
    return [line(cells), "|" + "---|" * len(cells)]


def line(cells: Sequence[object]) -> str:
    """Return a line of a table; line breaks and bars within cells are replaced."""
    words = (" ".join(str(one).split()).replace("|", "/") for one in cells)
    return f"| {' | '.join(words)} |"
