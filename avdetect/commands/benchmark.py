"""`avdetect benchmark`: time the stages, or a scan, on this machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from avdetect.commands.options import OK, add_model_options, count, load_session

HELP = "time the stages on this machine"
DESCRIPTION = "Judges a drawn example clip several times and prints each stage's time."


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
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


def run(options: Namespace) -> int:
    """Time the stages on an example clip and print how they compare with plain decoding."""
    from rich.console import Console

    from avdetect.commands.benchmark_stages import measure, timings_table
    from avdetect.terminal.output import quiet_libraries

    if options.scan:
        return _run_scan(options)
    with quiet_libraries():
        timings = measure(load_session(options), options.seconds, options.runs)
    Console().print(timings_table(timings, options.seconds))
    return OK


def _run_scan(options: Namespace) -> int:
    from rich.console import Console

    from avdetect.commands.benchmark_scan import measure_scan, scan_table
    from avdetect.terminal.output import quiet_libraries
    from pipelines.detection.session import WeightsSpec

    model = WeightsSpec(options.weights, options.device, tuple(options.set))
    with quiet_libraries():
        times = measure_scan(model, options.seconds, options.scan, options.workers)
    Console(highlight=False).print(scan_table(times))
    return OK
