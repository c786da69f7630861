"""`avdetect evaluate`: measure predictions against the truth."""

from __future__ import annotations

import json
import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from avdetect.commands.options import OK, add_model_options, count

HELP = "measure predictions against the truth"
DESCRIPTION = (
    "Reads the JSON lines of `avdetect detect --json` and prints how well they "
    "fit the truth. Proposed segments and metadata of LAV-DF, AV-Deepfake1M, ActivityNet and "
    "ForgeryNet are read as they are."
)
POOLS = ("deepfakebench", "lipforensics", "av1m", "avh-align", "genconvit")
PROTOCOLS = ("avdetect", "lavdf", "av1m", "activitynet", "forgerynet")


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
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


def run(options: Namespace) -> int:
    """Compare predictions with the truth and print the metrics as JSON."""
    from avdetect.terminal.output import complain, progress, quiet_libraries
    from pipelines.evaluation.evaluate import evaluate_files

    with quiet_libraries(), progress(str(options.predictions), long=1) as on_step:
        metrics = evaluate_files(
            options.predictions, options.truth, options.protocol, options.out, options.splits,
            options.fps, options.against, options.audit,
            shlex.join(["avdetect", *options.words]),
            timelines=options.timelines, pool=options.pool, on_step=on_step, on_plan=complain,
            **_perturbing(options),
        )  # fmt: skip
    print(json.dumps(metrics, indent=2))
    return OK


def _perturbing(options: Namespace) -> dict[str, Any]:
    """Return how clips are to be perturbed or probed and by whom judged, if they are."""
    probes = ("attack", "noise", "poison", "trigger")
    probed = {name: getattr(options, name) for name in probes}
    if options.perturb is None and not any(probed.values()):
        return {}
    from pipelines.detection.session import WeightsSpec
    from pipelines.stress.perturb import OPERATORS
    from pipelines.stress.probe import Probing
    from pipelines.stress.sweep import Perturbing

    named = options.perturb or ()
    operators = OPERATORS if named == ["all"] else tuple(named)
    perturbing = Perturbing(operators, tuple(options.severities), options.clips)
    return {
        "perturbing": perturbing if named else None,
        "probing": Probing(**probed),
        "model": WeightsSpec(options.weights, options.device, tuple(options.set)),
    }
