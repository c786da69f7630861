"""Checks of shapes and types where one stage hands its values to the next."""

from __future__ import annotations

from typing import Any


def check_arrays(values: object, **expected: str) -> None:
    """Check that the arrays of a dataclass have the shapes that its fields are documented with.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> check_arrays(SimpleNamespace(mask=np.ones((2, 5), bool)), mask="N L bool")
    >>> check_arrays(SimpleNamespace(a=np.ones(2), b=np.ones(3)), a="T float64", b="T float64")
    Traceback (most recent call last):
    ValueError: SimpleNamespace.b must be T float64 where T = 2, got (3,) float64

    Args:
        values: holds the arrays or tensors; a field that is None is skipped.
        expected: sizes and type of each field. A letter stands for the same size throughout,
            `...` for any further ones; without a type any will do.

    Raises:
        ValueError: an array has another shape or type.
    """
    sizes: dict[str, int] = {}
    for name, text in expected.items():
        array = getattr(values, name)
        if array is not None and not _fits(array, text.split(), sizes):
            bound = ", ".join(f"{letter} = {size}" for letter, size in sizes.items())
            raise ValueError(
                f"{type(values).__name__}.{name} must be {text}"
                f"{f' where {bound}' if bound else ''}, got {tuple(array.shape)} {_type(array)}"
            )


def _fits(array: Any, words: list[str], sizes: dict[str, int]) -> bool:
    """Return whether an array is as expected; a letter without a size is bound to the array's."""
    if words[-1][0].islower():
        if _type(array) != words[-1]:
            return False
        words = words[:-1]
    shape = tuple(array.shape)
    if words[-1] == "...":
        words = words[:-1]
        shape = shape[: len(words)]
    if len(shape) != len(words):
        return False
    return all(
        size == (int(word) if word.isdigit() else sizes.setdefault(word, size))
        for word, size in zip(words, shape, strict=True)
    )


def _type(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.")
