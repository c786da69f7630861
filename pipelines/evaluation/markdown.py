"""Rows of metrics in, lines of a Markdown table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def pairs(title: str, row: Row) -> list[str]:
    """Return a table of names and values."""
    return [*head([title, "value"]), *(line([k, text(v)]) for k, v in row.items())]


def cell(row: Row, key: str) -> str:
    """Return a value of a row with its interval, if it has one; a dash where there is none."""
    if row.get(key) is None:
        return "–"
    if f"{key}_interval" not in row:
        return text(row[key])
    low, high = row[f"{key}_interval"]
    return f"{row[key]:.3f} ({low:.3f}–{high:.3f})"


def text(value: object) -> str:
    """Return a value with three decimals, a number or a word as it is, a dash for None."""
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)


def head(cells: Sequence[str]) -> list[str]:
    """Return the two lines that a table begins with."""
    return [line(cells), "|" + "---|" * len(cells)]


def line(cells: Sequence[object]) -> str:
    """Return a line of a table; no cell can end it, whatever is in it."""
    words = (" ".join(str(one).split()).replace("|", "/") for one in cells)
    return f"| {' | '.join(words)} |"
