"""Options and kinds of value that several verbs have."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_address(verb: argparse.ArgumentParser) -> None:
    """Add the option that names a Ray cluster."""
    verb.add_argument(
        "--address", metavar="ADDRESS", help="a Ray cluster; auto: the one this machine is in"
    )


def add_model_options(verb: argparse.ArgumentParser) -> None:
    """Add the options that say which detector judges, and where."""
    verb.add_argument(
        "--weights", type=Path, metavar="FILE", help="a detector's weights (default: the starter)"
    )
    verb.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)"
    )
    add_set(verb, "windows.stride=64")


def add_set(verb: argparse.ArgumentParser, example: str) -> None:
    """Add the option that changes single settings."""
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one setting, such as {example}; may be given again",
    )


def seconds(text: str) -> float:
    """Return a time above 0."""
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


def number(text: str) -> int:
    """Return a number of 0 or more."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def count(text: str) -> int:
    """Return a number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
