"""The options of those who make, train and measure, and their help for a newcomer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.arguments_shared import add_address, add_model_options, add_set, count

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

POOLS = ("deepfakebench", "lipforensics", "av1m", "avh-align", "genconvit")
PROTOCOLS = ("avdetect", "lavdf", "av1m", "activitynet", "forgerynet")


def add_forge(verbs: Verbs) -> None:
    """Add the verb that makes forged clips."""
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
        "--per-video", type=count, default=3, metavar="N", help="forgeries a video (default 3)"
    )
    verb.add_argument(
        "--seed", type=int, default=0, metavar="S", help="same seed, same clips (default 0)"
    )
    verb.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default 1)")
    verb.add_argument(
        "--splits", type=Path, metavar="FILE", help="list of sources that splits a manifest"
    )
    verb.add_argument(
        "--split", default="train", help="which split of the manifest (default train)"
    )


def add_train(verbs: Verbs) -> None:
    """Add the verb that trains a detector."""
    verb = verbs.add_parser(
        "train",
        help="train a detector",
        description="Trains a detector as a YAML file says and saves its weights with their "
        "configuration. A run that broke off goes on from its last finished stage.",
    )
    verb.add_argument("config", type=Path, metavar="CONFIG.yaml", help="what to train on, and how")
    verb.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="processes that train together, each on batches of the configured size (default 1)",
    )
    add_address(verb)
    add_set(verb, "data.workers=4")


def add_evaluate(verbs: Verbs) -> None:
    """Add the verb that measures results."""
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
        "--pool",
        choices=POOLS,
        default="deepfakebench",
        help="whose rule makes one score of a video's frames, where PREDICTIONS is a .csv of "
        "frames (columns score, and video or frame; default deepfakebench, the mean)",
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
        "--severities", nargs="+", type=count, default=[1, 3, 5], metavar="N",
        help="of --perturb, 1 to 5 (default 1 3 5)",
    )  # fmt: skip
    for probe, words in (
        ("attack", "attack the detector's weights on N clips"),
        ("noise", "how near the detector comes to the ceiling that noise sets, on N clips"),
        ("poison", "search the faces of N clips for a hidden pattern that they share"),
        ("trigger", "paste patterns and tones into N clips: do they flip verdicts?"),
    ):
        verb.add_argument(f"--{probe}", type=count, metavar="N", help=words)
    verb.add_argument(
        "--clips",
        type=count,
        metavar="N",
        help="perturb so many clips, half of them genuine (default all)",
    )
    add_model_options(verb)
    verb.add_argument("--out", type=Path, metavar="DIR", help="write report and plots here")
    verb.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="take only the dev clips of a manifest, by this list of sources",
    )


def add_benchmark(verbs: Verbs) -> None:
    """Add the verb that times the detector or a scan."""
    verb = verbs.add_parser(
        "benchmark",
        help="time the stages on this machine",
        description="Judges a drawn example clip several times and prints each stage's time.",
    )
    verb.add_argument(
        "--seconds", type=count, default=20, metavar="N", help="length of the clip (default 20)"
    )
    verb.add_argument(
        "--runs", type=count, default=3, metavar="N", help="how often to judge it (default 3)"
    )
    verb.add_argument(
        "--scan", type=count, metavar="N", help="time a scan of so many such clips instead"
    )
    verb.add_argument(
        "--workers", type=count, default=2, metavar="N", help="of that scan (default 2)"
    )
    add_model_options(verb)
