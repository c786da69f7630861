"""The `avdetect` command: read the arguments, call one function of pipelines, print."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from avdetect.arguments import parse

if TYPE_CHECKING:
    from argparse import Namespace

    from pipelines.detect import Session
    from pipelines.outputs import Outputs
    from pipelines.report import Origin
    from pipelines.stopwatch import OnStep

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """The command as given cannot be run; the message is one sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 all done, 1 some files failed, 2 wrong usage."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name in letters that the terminal lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = VERBS[options.verb](options)
        sys.stdout.flush()  # here, where a closed pipe can still be caught
        return code
    except UsageError as error:
        from avdetect.terminal import complain

        complain(str(error))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left, as `head` does. Python flushes once more at exit: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def detect(options: Namespace) -> int:
    """Judge every file; one that cannot be read does not stop the others."""
    from avdetect.terminal import complain, json_lines, print_verdict, progress, quiet_libraries
    from extractors.media import MediaError
    from pipelines.detect import error_dict

    judge = _judge(options)
    failed = False
    try:
        lines = json_lines(options.json)
    except OSError as error:
        raise UsageError(f"--json {options.json}: {error.strerror}") from error
    with lines as write, quiet_libraries():
        for video in options.videos:
            try:
                if os.path.isdir(video):  # noqa: PTH112  unlike Path's, raises for no name
                    raise MediaError(f"{video}: is a folder, not a video; name the files in it")
                with progress(video) as on_step:
                    result = judge(video, on_step)
            except MediaError as error:
                failed = True
                complain(str(error))
                write(error_dict(video, error))
                continue
            except OSError as error:
                raise UsageError(f"{error.filename}: {error.strerror}") from error
            write(result)
            if options.json != "-":
                print_verdict(result)
    return FAILED if failed else OK


def _judge(options: Namespace) -> Callable[[str, OnStep], dict[str, Any]]:
    """Return what makes a file's result, and writes whatever else was asked for."""
    if not any((options.report, options.burn_in, options.vtt, options.csv, options.labels)):
        session = _load(options)
        return lambda video, on_step: session.detect(video, on_step=on_step).to_dict()
    from pipelines.outputs import judge_and_write

    outputs, origin = _outputs(options), _origin(options)
    session = _load(options)
    return lambda video, on_step: judge_and_write(video, session, outputs, origin, on_step)


def report(options: Namespace) -> int:
    """Write the page of a result that is there already."""
    from avdetect.terminal import complain, progress, quiet_libraries
    from extractors.media import MediaError
    from pipelines.outputs import write_about
    from pipelines.report_results import ResultError, read_result

    try:
        result = read_result(options.result, options.video)
        outputs, origin = _outputs(options), _origin(options)
        session = _load(options)
        with progress(str(options.video)) as on_step, quiet_libraries():
            write_about(result, options.video, options.out, session, outputs, origin, on_step)
    except ResultError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    except MediaError as error:
        complain(str(error))
        return FAILED
    return OK


def serve(options: Namespace) -> int:
    """Judge clips that are dropped on a page, until interrupted."""
    import socket

    from avdetect.serve import Limits, address, judge_of, make_app, run, token_for
    from avdetect.serve_queue import Queue, QueueError
    from avdetect.terminal import quiet_libraries

    limits = Limits(options.max_size, options.max_minutes, options.max_waiting, options.keep)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family)
    except (OSError, OverflowError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UsageError(f"--host {options.host} --port {options.port}: {cause}") from error
    judge = judge_of(_load(options), _origin(options), limits)
    try:
        keep = None if limits.days is None else 24 * 3600.0 * limits.days
        queue = Queue(options.history, judge, 60 * limits.minutes, keep)
    except QueueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    token = token_for(options.host, os.environ.get("AVDETECT_TOKEN"))
    print(f"avdetect is at {address(listening, token)}", flush=True)
    with quiet_libraries():
        queue.start()
        run(make_app(queue, limits, token), listening)
    return OK


def _origin(options: Namespace) -> Origin:
    from avdetect import __version__
    from pipelines.report import Origin

    return Origin(shlex.join(["avdetect", *options.words]), __version__)


def _outputs(options: Namespace) -> Outputs:
    """Return what to write about each file; its folders are made."""
    from pipelines.outputs import Outputs

    pages = options.report if options.verb == "detect" else None
    outputs = Outputs(pages, options.burn_in, options.vtt, options.csv, options.labels)
    try:
        outputs.make_folders()
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return outputs


def scan(options: Namespace) -> int:
    """Judge a corpus; its results are kept, its summary is printed."""
    if options.mutual:
        return _scan_mutual(options)
    from rich.console import Console

    from avdetect.scan_view import corpus_progress, plan_text, summary_table
    from pipelines.corpus import ScanConfig, make_plan, scan_corpus
    from pipelines.fetch import ScratchError
    from pipelines.jobs_cluster import PoolError
    from pipelines.results import ResultError
    from pipelines.scan_worker import Model
    from pipelines.sources import SourceError

    weights = options.weights and options.weights.absolute()  # workers may be in other folders
    model = Model(weights, options.device, tuple(options.set), options.shard)
    config = ScanConfig(
        model, options.workers, options.judges, options.timelines, options.fresh,
        options.address, options.limit,
    )  # fmt: skip
    console = Console(highlight=False, soft_wrap=True)
    try:
        if options.plan:
            console.print(plan_text(make_plan(config)))
            return OK
        if options.out is None:
            raise UsageError("scan needs --out DIR, where the results are kept")
        with corpus_progress() as (on_begin, on_progress):
            summary = scan_corpus(options.source, options.out, config, on_begin, on_progress)
    except (SourceError, ResultError, ScratchError, PoolError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    console.print(summary_table(summary))
    return FAILED if summary["failed"] else OK


def _scan_mutual(options: Namespace) -> int:
    """Compare the files of a corpus with each other."""
    from avdetect.mutual_view import compare_corpus
    from pipelines.jobs_cluster import PoolError
    from pipelines.results import ResultError
    from pipelines.sources import SourceError

    judging: dict[str, Any] = {
        "plan": False,
        "timelines": False,
        "judges": None,
        "device": "cpu",
        "set": [],
    }
    if idle := [f"--{name}" for name, unset in judging.items() if getattr(options, name) != unset]:
        raise UsageError(f"scan --mutual judges nothing and takes no {', '.join(idle)}")
    if options.out is None:
        raise UsageError("scan needs --out DIR, where the results are kept")
    try:
        failed = compare_corpus(options)
    except (SourceError, ResultError, PoolError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    return FAILED if failed else OK


def forge(options: Namespace) -> int:
    """Make forged clips, with exact truth, out of real ones."""
    if not options.real.exists():
        raise UsageError(f"{options.real}: no such folder or manifest")
    from avdetect.table import printable
    from avdetect.terminal import progress
    from pipelines.datasets import genuine_clips
    from pipelines.forge import forge_directory

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

    from avdetect.table import printable
    from pipelines.config import ConfigError
    from pipelines.jobs_cluster import PoolError
    from pipelines.scan_plan import PlanError
    from pipelines.train import train as run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        weights = run(options.config, options.set, options.workers, options.address)
    except (ConfigError, FileNotFoundError, PlanError, PoolError) as error:
        raise UsageError(str(error)) from error
    print(f"the weights are in {printable(str(weights))}")
    return OK


def evaluate(options: Namespace) -> int:
    """Compare predictions with the truth and print the metrics as JSON."""
    from avdetect.terminal import complain, progress, quiet_libraries
    from pipelines.evaluate import evaluate_files

    try:
        with quiet_libraries(), progress(str(options.predictions), long=1) as on_step:
            metrics = evaluate_files(
                options.predictions, options.truth, options.protocol, options.out, options.splits,
                options.fps, options.against, options.audit,
                shlex.join(["avdetect", *options.words]),
                timelines=options.timelines, on_step=on_step, on_plan=complain,
                **_perturbing(options),
            )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(json.dumps(metrics, indent=2))
    return OK


def _perturbing(options: Namespace) -> dict[str, Any]:
    """Return how clips are to be perturbed or probed and by whom judged, if they are."""
    probed = {"attack": options.attack, "noise": options.noise, "poison": options.poison}
    if options.perturb is None and not any(probed.values()):
        return {}
    from pipelines.model_probes import Probing
    from pipelines.perturb import OPERATORS
    from pipelines.robustness import Perturbing
    from pipelines.scan_worker import Model

    named = options.perturb or ()
    operators = OPERATORS if named == ["all"] else tuple(named)
    perturbing = Perturbing(operators, tuple(options.severities), options.clips)
    return {
        "perturbing": perturbing if named else None,
        "probing": Probing(**probed),
        "model": Model(options.weights, options.device, tuple(options.set)),
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


def doctor(options: Namespace) -> int:
    """Try everything that avdetect needs and print what works."""
    from rich.console import Console

    from avdetect.doctor import examine, findings_table
    from avdetect.terminal import quiet_libraries

    with quiet_libraries():
        findings = examine()
    Console().print(findings_table(findings))
    return FAILED if any(f.required and not f.works for f in findings) else OK


def benchmark(options: Namespace) -> int:
    """Time the stages on an example clip and print how they compare with plain decoding."""
    from rich.console import Console

    from avdetect.benchmark import measure, timings_table
    from avdetect.terminal import quiet_libraries

    if options.scan:
        return _benchmark_scan(options)
    with quiet_libraries():
        timings = measure(_load(options), options.seconds, options.runs)
    Console().print(timings_table(timings, options.seconds))
    return OK


def _benchmark_scan(options: Namespace) -> int:
    from rich.console import Console

    from avdetect.scan_benchmark import measure_scan, scan_table
    from avdetect.terminal import quiet_libraries
    from pipelines.jobs_cluster import PoolError
    from pipelines.scan_worker import Model

    model = Model(options.weights, options.device, tuple(options.set))
    try:
        with quiet_libraries():
            times = measure_scan(model, options.seconds, options.scan, options.workers)
    except (PoolError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    Console(highlight=False).print(scan_table(times))
    return OK


def _load(options: Namespace) -> Session:
    """Return the session; what is wrong with weights, device or `--set` is wrong usage."""
    from pipelines.detect import load

    try:
        return load(options.weights, options.device, options.set)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error


VERBS = {
    "detect": detect,
    "report": report,
    "serve": serve,
    "scan": scan,
    "forge": forge,
    "train": train,
    "evaluate": evaluate,
    "datasets": datasets,
    "zoo": zoo,
    "attribute": attribute,
    "doctor": doctor,
    "benchmark": benchmark,
}

if __name__ == "__main__":
    raise SystemExit(main())
