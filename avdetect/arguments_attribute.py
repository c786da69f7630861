"""The options of `avdetect attribute`, and their help for a newcomer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_attribute(verbs: Verbs) -> None:
    """Add the verb. Its first words may be `add NAME` or `list`; a file of such a name is ./add."""
    verb = verbs.add_parser(
        "attribute",
        help="which family of generators made a forged clip, or one that you registered",
        usage="avdetect attribute VIDEO... | add NAME VIDEO... | list  [--json FILE] "
        "[--register FILE]",
        description="Compares the face and the voice of a clip's first three seconds with known "
        "families of generators and with those that you registered by a few clips each. It says "
        "`unknown` where none is near; whether a clip is forged at all is for `avdetect detect`.",
    )
    verb.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="files to attribute; or `add NAME` and some clips of a new generator; or `list`",
    )
    verb.add_argument(
        "--json",
        metavar="FILE",
        help="write what is found here, a JSON object a line; - prints them instead of the table",
    )
    verb.add_argument(
        "--register",
        type=Path,
        metavar="FILE",
        help="where registered generators are kept (default: "
        "~/.local/share/avdetect/generators.safetensors)",
    )
