"""`avdetect probe`: learn what a detector relies on, and what breaks it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from avdetect.commands.options import (
    OK,
    add_columns,
    add_model_options,
    columns_of,
    count,
    load_session,
)

HELP = "learn what a detector relies on, and what breaks it"
DESCRIPTION = (
    "Runs one probe of your own detector on a few clips: attacks of its weights, noise, rebuilt "
    "and relit faces, hidden patterns. With --out the same command resumes where it was stopped."
)
NAMES = {
    "attack": "change crops and waveforms by bounded attacks (PGD): do verdicts flip?",
    "noise": "how near the detector comes to the ceiling that noise sets",
    "poison": "do the faces share a hidden pattern, as a backdoor's trigger would be?",
    "trigger": "paste patterns and tones: do they flip verdicts?",
    "relight": "darker and lighter skin, dim and bright light: whom does each expert accuse?",
    "removal": "rebuild pictures by an auto-encoder (GANprintR): who relied on fine traces?",
    "limits": "noise up to 0.2 and purification: each expert, and the ceiling of known pairs",
    "great": "GREAT score of each expert, on each family and on generated samples",
    "semantic": "change faces along an auto-encoder's code: who is fooled, who is left out?",
    "backdoor": "features apart, universal patterns, a canary through compression",
    "transfer": "attack the public picture encoder alone (DTA): who falls with it?",
}


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "probe", metavar="PROBE", choices=NAMES,
        help="; ".join(f"{name}: {words}" for name, words in NAMES.items()),
    )  # fmt: skip
    verb.add_argument(
        "clips", nargs="+", type=Path, metavar="MANIFEST|CLIP",
        help="a manifest with labels, or genuine clips",
    )  # fmt: skip
    verb.add_argument(
        "--fakes", nargs="+", type=Path, default=[], metavar="CLIP", help="clips that are forged"
    )
    verb.add_argument(
        "--most", type=count, metavar="N", help="of the clips, half of them genuine (default all)"
    )
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="keep what is done here, to resume from"
    )
    verb.add_argument(
        "--json", metavar="FILE", help="write all numbers here; - prints them instead of the table"
    )
    add_columns(verb)
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Run the probe and print its table."""
    from rich.console import Console

    from avdetect.terminal.output import json_lines, progress, quiet_libraries
    from avdetect.terminal.tables import printable
    from pipelines.probes.run import PROBES, probed_clips, run_probe

    samples = probed_clips(options.clips, options.fakes, options.most, columns_of(options))
    kept = None
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        kept = options.out / f"{options.probe}.jsonl"
    with json_lines(None if options.json == "-" else options.json) as write:
        with quiet_libraries(), progress(options.probe, long=1) as on_step:
            metrics = run_probe(options.probe, samples, load_session(options), kept, on_step)
        write(metrics)
    if options.json == "-":
        print(json.dumps(metrics, indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.print("\n".join(map(printable, PROBES[options.probe].table(metrics))))
    return OK
