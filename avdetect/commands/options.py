"""Options, value types, exit codes and the session, shared by several verbs."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import avdetect
from extractors.errors import AvdetectError

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession
    from pipelines.report.outputs import Outputs
    from pipelines.report.page import Origin

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(AvdetectError):
    """The command cannot be run with these options; the message is one sentence."""


def add_address(verb: ArgumentParser) -> None:
    """Add the option that names a Ray cluster."""
    verb.add_argument(
        "--address", metavar="ADDRESS", help="a Ray cluster; auto: the one this machine is in"
    )


def add_model_options(verb: ArgumentParser) -> None:
    """Add the options that choose the detector and its device."""
    verb.add_argument(
        "--weights", type=Path, metavar="FILE", help="a detector's weights (default: the starter)"
    )
    verb.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)"
    )
    add_set(verb, "windows.stride=64")


def add_set(verb: ArgumentParser, example: str) -> None:
    """Add the option that changes single settings."""
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one setting, such as {example}; may be given again",
    )


def add_cache(verb: ArgumentParser) -> None:
    """Add the option that names the cache of streams."""
    verb.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep what is extracted of each file here, and read it from here: another model then "
        "only judges (some 2 MB a second of a face)",
    )


def add_columns(verb: ArgumentParser) -> None:
    """Add the option that maps column names of others' tables; `columns_of` reads it."""
    verb.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="what your tables call our columns, such as path=filename,score=prediction",
    )


def columns_of(options: Namespace) -> dict[str, str]:
    """Return the mapping of our column names to the tables' names.

    Raises:
        InputError: the option is malformed.
    """
    from pipelines.storage.tables import parse_columns

    return parse_columns(options.columns)


def add_export_options(verb: ArgumentParser) -> None:
    """Add the options that ask for a result in other formats."""
    kinds = {
        "vtt": "the segments as WebVTT, for players",
        "csv": "the segments as CSV",
        "labels": "the segments as a label track of Audacity",
        "burn-in": "a copy of the video with boxes and a bar drawn into it",
    }
    for kind, words in kinds.items():
        verb.add_argument(f"--{kind}", type=Path, metavar="DIR", help=f"also write {words} here")


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


def load_session(options: Namespace, cache: Path | None = None) -> DetectorSession:
    """Return the session with the options' detector and settings, and a cache of streams."""
    from pipelines.detection.session import load

    return load(options.weights, options.device, options.set, cache)


def origin_of(options: Namespace, video: str | None = None) -> Origin:
    """Return the command and the version that a page names as its origin.

    Of the videos that the command was given, only the page's own is named.
    """
    from pipelines.report.page import Origin

    others = set() if video is None else {*options.videos} - {video}
    words = [word for word in options.words if word not in others]
    return Origin(shlex.join(["avdetect", *words]), avdetect.__version__)


def outputs_of(options: Namespace, pages: Path | None = None) -> Outputs:
    """Return the outputs to write for each file, including `pages`, and create their folders."""
    from pipelines.report.outputs import Outputs

    outputs = Outputs(pages, options.burn_in, options.vtt, options.csv, options.labels)
    outputs.make_folders()
    return outputs
