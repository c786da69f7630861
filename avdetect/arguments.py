"""The command line's verbs and options, and their help for a newcomer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import avdetect
from avdetect.arguments_attribute import add_attribute
from avdetect.arguments_datasets import add_datasets
from avdetect.arguments_shared import add_address, add_model_options, count, number, seconds
from avdetect.arguments_studies import add_benchmark, add_evaluate, add_forge, add_train
from avdetect.arguments_zoo import add_zoo

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options, `verb` among them; wrong ones end the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="avdetect",
        description="Finds manipulated faces and voices in videos: what was forged, and when.",
        epilog="Exit code: 0 all done, 1 some files failed, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"avdetect {avdetect.__version__}")
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    _add_detect(verbs)
    _add_report(verbs)
    _add_serve(verbs)
    _add_scan(verbs)
    add_forge(verbs)
    add_train(verbs)
    add_evaluate(verbs)
    add_datasets(verbs)
    add_zoo(verbs)
    add_attribute(verbs)
    _add_doctor(verbs)
    add_benchmark(verbs)
    options = parser.parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else list(arguments)  # reports quote them
    return options


def _add_detect(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "detect",
        help="judge videos: real or fake, and which seconds",
        description="Judges each video by its picture, its sound, and whether lips and sound fit. "
        "Scores run from 0 (real) to 1 (fake). A file that cannot be read stops no other.",
    )
    verb.add_argument("videos", nargs="+", metavar="VIDEO", help="a video or sound file")
    verb.add_argument(
        "--json",
        metavar="FILE",
        help="write results here, a JSON object a line; - prints them instead of the tables",
    )
    verb.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="also write a page for each video here, which shows why, where and how sure",
    )
    _add_export_options(verb)
    add_model_options(verb)


def _add_report(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "report",
        help="write a page about a result: why, where and how sure",
        description="Writes one HTML page about a result that `avdetect detect --json` wrote: it "
        "opens from disk, asks no network and prints. The video is judged once more for the "
        "evidence, by the weights that the result names.",
    )
    verb.add_argument("result", type=Path, metavar="RESULT.json", help="result, or JSON lines")
    verb.add_argument("--video", type=Path, metavar="VIDEO", required=True, help="its video")
    verb.add_argument("--out", type=Path, metavar="PAGE.html", required=True, help="the page")
    _add_export_options(verb)
    add_model_options(verb)


def _add_serve(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "serve",
        help="judge clips that are dropped on a page in the browser",
        description="Serves a page on which clips are dropped, judges one after the other, and "
        "shows their reports; programs use POST /v1/detect (/openapi.json describes it). Results "
        "outlive the server. Beyond this machine a token is needed, which is printed; "
        "AVDETECT_TOKEN sets one.",
    )
    verb.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)"
    )
    verb.add_argument("--port", type=number, default=8000, help="default 8000; 0: any free one")
    verb.add_argument(
        "--history",
        type=Path,
        default=Path("avdetect-history"),
        metavar="DIR",
        help="where results are kept until they are deleted (default avdetect-history)",
    )
    verb.add_argument(
        "--keep", type=count, metavar="DAYS", help="delete results by themselves when so old"
    )
    verb.add_argument(
        "--max-size", type=count, default=500, metavar="MIB", help="of a clip (default 500)"
    )
    verb.add_argument(
        "--max-minutes",
        type=seconds,
        default=60.0,
        metavar="N",
        help="of a clip's length, and of judging it (default 60)",
    )
    verb.add_argument(
        "--max-waiting", type=count, default=100, metavar="N", help="clips (default 100)"
    )
    add_model_options(verb)


def _add_scan(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "scan",
        help="judge a corpus of videos on all cores or a cluster",
        description="Judges every video of a source and keeps the results in Parquet files. The "
        "same command again goes on where it was stopped. A file that cannot be read stops no "
        "other.",
    )
    verb.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder, a 'pattern', a text file of paths, a manifest (.csv, .parquet) with a "
        "column `path`, or a URI such as s3://bucket/folder",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to keep the results")
    verb.add_argument(
        "--workers", type=count, metavar="N", help="processes (default: what the cores carry)"
    )
    verb.add_argument(
        "--cores",
        type=count,
        metavar="N",
        help="of each worker (default: 1, or 2 where there are twice as many cores as workers)",
    )
    verb.add_argument(
        "--judges",
        type=number,
        metavar="N",
        help="of these, besides, judge what the others extract (default: what the plan finds; 0: "
        "each does both)",
    )
    verb.add_argument(
        "--plan", action="store_true", help="print how the work would be divided, and stop"
    )
    verb.add_argument(
        "--timelines", action="store_true", help="also keep the scores of every 40 ms"
    )
    verb.add_argument(
        "--mutual",
        choices=("visual", "audio"),
        help="judge nothing: list which files have the least in common with the others, by picture "
        "or sound. Needs no labels, and finds artefacts that few files have; one that more than "
        "three in ten share goes unseen",
    )
    verb.add_argument("--fresh", action="store_true", help="judge again what was judged before")
    add_address(verb)
    verb.add_argument(
        "--shard",
        type=seconds,
        default=540.0,
        metavar="SECONDS",
        help="judge videos that are longer by half in parts of this length (default 540)",
    )
    verb.add_argument(
        "--limit",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="give a video up after so long without progress (default 300)",
    )
    add_model_options(verb)


def _add_doctor(verbs: Verbs) -> None:
    verbs.add_parser(
        "doctor",
        help="check that everything avdetect needs works here",
        description="Tries each library on a small example and prints what works, with versions.",
    )


def _add_export_options(verb: argparse.ArgumentParser) -> None:
    kinds = {
        "vtt": "the segments as WebVTT, for players",
        "csv": "the segments as CSV",
        "labels": "the segments as a label track of Audacity",
        "burn-in": "a copy of the video with boxes and a bar drawn into it",
    }
    for kind, words in kinds.items():
        verb.add_argument(f"--{kind}", type=Path, metavar="DIR", help=f"also write {words} here")
