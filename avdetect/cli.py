"""The `avdetect` command: read the arguments, call one function of pipelines, print."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from avdetect import studies
from avdetect.arguments import parse
from avdetect.usage import FAILED, INTERRUPTED, OK, USAGE, UsageError, load_session

if TYPE_CHECKING:
    from argparse import Namespace

    from pipelines.progress import OnStep
    from pipelines.report.outputs import Outputs
    from pipelines.report.page import Origin


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
        from avdetect.terminal.output import complain

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
    from avdetect.terminal.output import (
        complain,
        json_lines,
        print_verdict,
        progress,
        quiet_libraries,
    )
    from extractors.media import MediaError
    from pipelines.detection.verdict import error_dict
    from pipelines.storage.local_copy import judged_file

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
                with progress(video) as on_step, judged_file(video) as file:
                    result = judge(str(file), on_step) | {"path": video}
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
        session = load_session(options)
        return lambda video, on_step: session.detect(video, on_step=on_step).to_dict()
    from pipelines.report.outputs import judge_and_write

    outputs, origin = _outputs(options), _origin(options)
    session = load_session(options)
    return lambda video, on_step: judge_and_write(video, session, outputs, origin, on_step)


def report(options: Namespace) -> int:
    """Write the page of a result that is there already."""
    from avdetect.terminal.output import complain, progress, quiet_libraries
    from extractors.media import MediaError
    from pipelines.report.outputs import ReportError, read_result, write_about

    try:
        result = read_result(options.result, options.video)
        outputs, origin = _outputs(options), _origin(options)
        session = load_session(options)
        with progress(str(options.video)) as on_step, quiet_libraries():
            write_about(result, options.video, options.out, session, outputs, origin, on_step)
    except ReportError as error:
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

    from avdetect.server.app import Limits, address, judge_of, make_app, run, token_for
    from avdetect.server.queue import Queue, QueueError
    from avdetect.terminal.output import quiet_libraries

    limits = Limits(options.max_size, options.max_minutes, options.max_waiting, options.keep)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family)
    except (OSError, OverflowError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UsageError(f"--host {options.host} --port {options.port}: {cause}") from error
    judge = judge_of(load_session(options), _origin(options), limits)
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
    from pipelines.report.page import Origin

    return Origin(shlex.join(["avdetect", *options.words]), __version__)


def _outputs(options: Namespace) -> Outputs:
    """Return what to write about each file; its folders are made."""
    from pipelines.report.outputs import Outputs

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
    from pipelines.detection.session import WeightsSpec
    from pipelines.results.result_set import ResultError
    from pipelines.scan.cluster import PoolError
    from pipelines.scan.corpus import ScanConfig, make_plan, scan_corpus
    from pipelines.storage.local_copy import ScratchError
    from pipelines.storage.sources import SourceError

    weights = options.weights and options.weights.absolute()  # workers may be in other folders
    model = WeightsSpec(weights, options.device, tuple(options.set), options.shard)
    config = ScanConfig(
        model, options.workers, options.cores, options.judges, options.timelines, options.fresh,
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
    from pipelines.results.result_set import ResultError
    from pipelines.scan.cluster import PoolError
    from pipelines.storage.sources import SourceError

    judging: dict[str, Any] = {
        "plan": False, "timelines": False, "cores": None, "judges": None, "device": "cpu",
        "set": [],
    }  # fmt: skip
    if idle := [f"--{name}" for name, unset in judging.items() if getattr(options, name) != unset]:
        raise UsageError(f"scan --mutual judges nothing and takes no {', '.join(idle)}")
    if options.out is None:
        raise UsageError("scan needs --out DIR, where the results are kept")
    try:
        failed = compare_corpus(options)
    except (SourceError, ResultError, PoolError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    return FAILED if failed else OK


def doctor(options: Namespace) -> int:
    """Try everything that avdetect needs and print what works."""
    from rich.console import Console

    from avdetect.doctor import examine, findings_table
    from avdetect.terminal.output import quiet_libraries

    with quiet_libraries():
        findings = examine()
    Console().print(findings_table(findings))
    return FAILED if any(f.required and not f.works for f in findings) else OK


VERBS = {
    "detect": detect,
    "report": report,
    "serve": serve,
    "scan": scan,
    "forge": studies.forge,
    "train": studies.train,
    "evaluate": studies.evaluate,
    "datasets": studies.datasets,
    "zoo": studies.zoo,
    "attribute": studies.attribute,
    "doctor": doctor,
    "benchmark": studies.benchmark,
}

if __name__ == "__main__":
    raise SystemExit(main())
