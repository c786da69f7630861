"""The command line's verbs and options, and their help for a newcomer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import avdetect
from avdetect.arguments_datasets import add_datasets
from avdetect.attribute_arguments import add_attribute
from avdetect.zoo_arguments import add_zoo

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

PROTOCOLS = ("avdetect", "lavdf", "av1m", "activitynet", "forgerynet")


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
    _add_forge(verbs)
    _add_train(verbs)
    _add_evaluate(verbs)
    add_datasets(verbs)
    add_zoo(verbs)
    add_attribute(verbs)
    _add_doctor(verbs)
    _add_benchmark(verbs)
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
    _add_model_options(verb)


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
    _add_model_options(verb)


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
    verb.add_argument("--port", type=_number, default=8000, help="default 8000; 0: any free one")
    verb.add_argument(
        "--history",
        type=Path,
        default=Path("avdetect-history"),
        metavar="DIR",
        help="where results are kept until they are deleted (default avdetect-history)",
    )
    verb.add_argument(
        "--keep", type=_count, metavar="DAYS", help="delete results by themselves when so old"
    )
    verb.add_argument(
        "--max-size", type=_count, default=500, metavar="MIB", help="of a clip (default 500)"
    )
    verb.add_argument(
        "--max-minutes",
        type=_seconds,
        default=60.0,
        metavar="N",
        help="of a clip's length, and of judging it (default 60)",
    )
    verb.add_argument(
        "--max-waiting", type=_count, default=100, metavar="N", help="clips (default 100)"
    )
    _add_model_options(verb)


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
        "--workers", type=_count, metavar="N", help="processes (default: what the cores carry)"
    )
    verb.add_argument(
        "--judges",
        type=_number,
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
    _add_address(verb)
    verb.add_argument(
        "--shard",
        type=_seconds,
        default=540.0,
        metavar="SECONDS",
        help="judge videos that are longer by half in parts of this length (default 540)",
    )
    verb.add_argument(
        "--limit",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="give a video up after so long without progress (default 300)",
    )
    _add_model_options(verb)


def _add_forge(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "forge",
        help="make forged training clips out of real ones",
        description="Manipulates real videos in known places and writes the clips with their "
        "exact truth.",
    )
    verb.add_argument(
        "real",
        type=Path,
        metavar="REAL",
        help="folder of real clips, or a manifest (.csv) of which the real ones are taken",
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    verb.add_argument(
        "--per-video", type=_count, default=3, metavar="N", help="forgeries a video (default 3)"
    )
    verb.add_argument(
        "--seed", type=int, default=0, metavar="S", help="same seed, same clips (default 0)"
    )
    verb.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="processes (default 1)"
    )
    verb.add_argument(
        "--splits", type=Path, metavar="FILE", help="list of sources that splits a manifest"
    )
    verb.add_argument(
        "--split", default="train", help="which split of the manifest (default train)"
    )


def _add_train(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "train",
        help="train a detector",
        description="Trains a detector as a YAML file says and saves its weights with their "
        "configuration. A run that broke off goes on from its last finished stage.",
    )
    verb.add_argument("config", type=Path, metavar="CONFIG.yaml", help="what to train on, and how")
    verb.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="processes that train together, each on batches of the configured size (default 1)",
    )
    _add_address(verb)
    _add_set(verb, "data.workers=4")


def _add_evaluate(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "evaluate",
        help="measure predictions against the truth",
        description="Reads the JSON lines of `avdetect detect --json` and prints how well they "
        "fit the truth. Proposed segments and metadata of LAV-DF, AV-Deepfake1M, ActivityNet and "
        "ForgeryNet are read as they are.",
    )
    verb.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="results")
    verb.add_argument(
        "--truth",
        type=Path,
        required=True,
        metavar="TRUTH",
        help="what is known of them: a manifest (.csv), the .json that forging wrote, or others'",
    )
    verb.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="avdetect",
        help="whose rules the metrics of the segments follow (default avdetect)",
    )
    verb.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help="frames a second of others' files that count in frames (25 for LAV-DF's proposals)",
    )
    verb.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="another detector's results on the same files: is the first better?",
    )
    verb.add_argument(
        "--audit",
        action="store_true",
        help="read the clips too: how far do length, codec, size and loudness alone get?",
    )
    verb.add_argument(
        "--timelines",
        action="store_true",
        help="also measure along time (AUPIMO); the results must have their timelines",
    )
    verb.add_argument(
        "--perturb",
        nargs="+",
        metavar="OPERATOR",
        help="perturb the clips and judge them again: operators such as jpeg, or all",
    )
    verb.add_argument(
        "--severities", nargs="+", type=_count, default=[1, 3, 5], metavar="N",
        help="of --perturb, 1 to 5 (default 1 3 5)",
    )  # fmt: skip
    for probe, words in (
        ("attack", "attack the detector's weights on N clips"),
        ("noise", "how near the detector comes to the ceiling that noise sets, on N clips"),
        ("poison", "search the faces of N clips for a hidden pattern that they share"),
    ):
        verb.add_argument(f"--{probe}", type=_count, metavar="N", help=words)
    verb.add_argument(
        "--clips",
        type=_count,
        metavar="N",
        help="perturb so many clips, half of them genuine (default all)",
    )
    _add_model_options(verb)
    verb.add_argument("--out", type=Path, metavar="DIR", help="write report and plots here")
    verb.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="take only the dev clips of a manifest, by this list of sources",
    )


def _add_doctor(verbs: Verbs) -> None:
    verbs.add_parser(
        "doctor",
        help="check that everything avdetect needs works here",
        description="Tries each library on a small example and prints what works, with versions.",
    )


def _add_benchmark(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "benchmark",
        help="time the stages on this machine",
        description="Judges a drawn example clip several times and prints each stage's time.",
    )
    verb.add_argument(
        "--seconds", type=_count, default=20, metavar="N", help="length of the clip (default 20)"
    )
    verb.add_argument(
        "--runs", type=_count, default=3, metavar="N", help="how often to judge it (default 3)"
    )
    verb.add_argument(
        "--scan", type=_count, metavar="N", help="time a scan of so many such clips instead"
    )
    verb.add_argument(
        "--workers", type=_count, default=2, metavar="N", help="of that scan (default 2)"
    )
    _add_model_options(verb)


def _add_address(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--address", metavar="ADDRESS", help="a Ray cluster; auto: the one this machine is in"
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


def _add_model_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--weights", type=Path, metavar="FILE", help="a detector's weights (default: the starter)"
    )
    verb.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)"
    )
    _add_set(verb, "windows.stride=64")


def _add_set(verb: argparse.ArgumentParser, example: str) -> None:
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one setting, such as {example}; may be given again",
    )


def _seconds(text: str) -> float:
    """Return a time above 0."""
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


def _number(text: str) -> int:
    """Return a number of 0 or more."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    """Return a number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
