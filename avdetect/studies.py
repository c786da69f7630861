"""The verbs of those who make, train and measure: options in, one call of pipelines, print."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from avdetect.usage import FAILED, OK, UsageError, load_session

if TYPE_CHECKING:
    from argparse import Namespace


def forge(options: Namespace) -> int:
    """Make forged clips, with exact truth, out of real ones."""
    if not options.real.exists():
        raise UsageError(f"{options.real}: no such folder or manifest")
    from avdetect.terminal.output import progress
    from avdetect.terminal.tables import printable
    from pipelines.data.samples import genuine_clips
    from pipelines.forge.directory import forge_directory

    try:
        with progress(str(options.real), long=1) as on_step:
            persons = None
            if options.real.is_file():
                persons = genuine_clips(options.real, options.splits, options.split)
            rows = forge_directory(
                options.real if persons is None else list(persons),
                options.out,
                options.per_video,
                options.seed,
                persons=None if persons is None else {p.name: who for p, who in persons.items()},
                split=options.split,
                workers=options.workers,
                on_step=on_step,
            )
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(f"{len(rows)} clips and their truth are in {printable(str(options.out))}")
    return OK


def train(options: Namespace) -> int:
    """Train a detector as a YAML file says."""
    import logging

    from avdetect.terminal.tables import printable
    from pipelines.config import ConfigError
    from pipelines.scan.cluster import PoolError
    from pipelines.scan.plan import PlanError
    from pipelines.train.run import train as run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        weights = run(options.config, options.set, options.workers, options.address)
    except (ConfigError, FileNotFoundError, PlanError, PoolError) as error:
        raise UsageError(str(error)) from error
    print(f"the weights are in {printable(str(weights))}")
    return OK


def evaluate(options: Namespace) -> int:
    """Compare predictions with the truth and print the metrics as JSON."""
    from avdetect.terminal.output import complain, progress, quiet_libraries
    from pipelines.evaluation.evaluate import evaluate_files

    try:
        with quiet_libraries(), progress(str(options.predictions), long=1) as on_step:
            metrics = evaluate_files(
                options.predictions, options.truth, options.protocol, options.out, options.splits,
                options.fps, options.against, options.audit,
                shlex.join(["avdetect", *options.words]),
                timelines=options.timelines, pool=options.pool, on_step=on_step, on_plan=complain,
                **_perturbing(options),
            )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
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


def datasets(options: Namespace) -> int:
    """List, read, check or split data sets."""
    from avdetect.datasets_view import run_datasets

    try:
        return OK if run_datasets(options) else FAILED
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error


def zoo(options: Namespace) -> int:
    """List, train or measure the parts of the zoo."""
    from avdetect.zoo_view import run_zoo

    try:
        run_zoo(options)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    return OK


def attribute(options: Namespace) -> int:
    """Say which family of generators, or which registered one, made files."""
    from avdetect.attribute_view import run_attribute

    try:
        return OK if run_attribute(options) else FAILED
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error


def benchmark(options: Namespace) -> int:
    """Time the stages on an example clip and print how they compare with plain decoding."""
    from rich.console import Console

    from avdetect.benchmark import measure, timings_table
    from avdetect.terminal.output import quiet_libraries

    if options.scan:
        return _benchmark_scan(options)
    with quiet_libraries():
        timings = measure(load_session(options), options.seconds, options.runs)
    Console().print(timings_table(timings, options.seconds))
    return OK


def _benchmark_scan(options: Namespace) -> int:
    from rich.console import Console

    from avdetect.scan_benchmark import measure_scan, scan_table
    from avdetect.terminal.output import quiet_libraries
    from pipelines.detection.session import WeightsSpec
    from pipelines.scan.cluster import PoolError

    model = WeightsSpec(options.weights, options.device, tuple(options.set))
    try:
        with quiet_libraries():
            times = measure_scan(model, options.seconds, options.scan, options.workers)
    except (PoolError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    Console(highlight=False).print(scan_table(times))
    return OK
