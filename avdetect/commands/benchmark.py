"""`avdetect benchmark`: time the stages, or a scan, on this machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from avdetect.commands.options import OK, add_model_options, count

HELP = "time the stages on this machine"
DESCRIPTION = (
    "Judges two drawn clips of 1280x720, one that is hard to decode and one like a real talk, and "
    "prints each stage's time, the memory needed, and what common other detectors' steps take."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "--seconds", type=count, default=20, metavar="N", help="length of the clips (default 20)"
    )
    verb.add_argument(
        "--runs", type=count, default=3, metavar="N", help="how often to judge them (default 3)"
    )
    verb.add_argument(
        "--json", metavar="FILE", help="also write the numbers as a line of JSON; - for stdout"
    )
    verb.add_argument(
        "--scan", type=count, metavar="N", help="time a scan of so many clips instead"
    )
    verb.add_argument(
        "--workers", type=count, default=2, metavar="N", help="of that scan (default 2)"
    )
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Measure the stages on both clips and print how they compare with plain decoding."""
    from rich.console import Console

    from avdetect.terminal.output import json_lines, quiet_libraries
    from pipelines.detection.session import WeightsSpec

    model = WeightsSpec(options.weights, options.device, tuple(options.set))
    with json_lines(options.json) as write:
        if options.scan:
            from avdetect.commands.benchmark_scan import measure_scan, scan_table

            with quiet_libraries():
                times = measure_scan(model, options.seconds, options.scan, options.workers)
            shown, row = scan_table(times), asdict(times)
        else:
            from avdetect.commands.benchmark_run import costs_tables, measure_all

            with quiet_libraries():
                measured = measure_all(model, options.seconds, options.runs)
            shown, row = costs_tables(measured), asdict(measured)
        if options.json != "-":
            Console(highlight=False).print(shown)
        write(row)
    return OK
