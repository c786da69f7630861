"""`avdetect evaluate`: measure predictions against the truth."""

from __future__ import annotations

import json
import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import OK, add_columns, add_model_options, columns_of, count, seconds

if TYPE_CHECKING:
    from pipelines.evaluation.evaluate import EvaluateConfig

HELP = "measure predictions against the truth"
DESCRIPTION = (
    "Prints how well predictions fit the truth, in percent with intervals. Reads what "
    "`avdetect detect --json` and `avdetect scan` wrote, and others' tables. Proposed segments "
    "and metadata of LAV-DF, AV-Deepfake1M, ActivityNet and ForgeryNet are read as they are."
)
POOLS = ("deepfakebench", "lipforensics", "av1m", "avh-align", "genconvit")
PROTOCOLS = ("avdetect", "lavdf", "av1m", "activitynet", "forgerynet")


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help="results (.jsonl, .parquet, the folder of a scan), a table of clips or frames with "
        "their score (.csv, .tsv), or others' proposed segments (.json)",
    )
    verb.add_argument(
        "--truth",
        type=Path,
        required=True,
        metavar="TRUTH",
        help="what is known of them: a manifest (.csv, .tsv, .jsonl, .parquet; path and label are "
        "enough), the .json that forging wrote, or others' metadata (.json, .txt)",
    )
    add_columns(verb)
    verb.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="avdetect",
        help="whose rules the metrics of the segments follow (default avdetect)",
    )
    verb.add_argument(
        "--fps",
        type=seconds,
        metavar="N",
        help="frames a second of others' files that count in frames (default 25 for ForgeryNet's "
        "truth, and for proposals by --protocol lavdf; else seconds)",
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
    verb.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="print all metrics as JSON instead of the table, or write them to FILE beside it",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="write report and plots here")
    verb.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="take only the dev clips of a manifest, by this list of sources",
    )


def run(options: Namespace) -> int:
    """Compare predictions with the truth and print the metrics."""
    from rich.console import Console

    from avdetect.terminal.evaluation import evaluation_view
    from avdetect.terminal.output import complain, json_lines, progress, quiet_libraries
    from pipelines.evaluation.evaluate import evaluate

    paths = options.predictions, options.truth
    with json_lines(None if options.json == "-" else options.json) as write:
        with quiet_libraries(), progress(str(options.predictions), long=1) as on_step:
            metrics = evaluate(*paths, _config(options), on_step, complain)
        write(metrics)
    if options.json == "-":
        print(json.dumps(metrics, indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(evaluation_view(metrics))
    return OK


def _config(options: Namespace) -> EvaluateConfig:
    """Return the configuration of the evaluation."""
    from pipelines.detection.session import WeightsSpec
    from pipelines.evaluation.evaluate import EvaluateConfig
    from pipelines.stress.perturb import OPERATORS
    from pipelines.stress.probe import Probing
    from pipelines.stress.sweep import Perturbing

    perturbing = None
    if named := options.perturb:
        operators = OPERATORS if named == ["all"] else tuple(named)
        perturbing = Perturbing(operators, tuple(options.severities), options.clips)
    return EvaluateConfig(
        protocol=options.protocol,
        fps=options.fps,
        pool=options.pool,
        columns=columns_of(options),
        splits=options.splits,
        against=options.against,
        audited=options.audit,
        timelines=options.timelines,
        perturbing=perturbing,
        probing=Probing(options.attack, options.noise, options.poison, options.trigger),
        model=WeightsSpec(options.weights, options.device, tuple(options.set)),
        out=options.out,
        command=shlex.join(["avdetect", *options.words]),
    )
