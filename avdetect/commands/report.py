"""`avdetect report`: write the page of an existing result."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from avdetect.commands.options import (
    FAILED,
    OK,
    add_export_options,
    add_model_options,
    load_session,
    origin_of,
    outputs_of,
)

HELP = "write a page about a result: why, where and how sure"
DESCRIPTION = (
    "Writes one HTML page about a result that `avdetect detect --json` wrote: it "
    "opens from disk, asks no network and prints. The video is judged once more for the "
    "evidence, by the weights that the result names."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument("result", type=Path, metavar="RESULT.json", help="result, or JSON lines")
    verb.add_argument("--video", type=Path, metavar="VIDEO", required=True, help="its video")
    verb.add_argument("--out", type=Path, metavar="PAGE.html", required=True, help="the page")
    add_export_options(verb)
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Judge the video again and write the page."""
    from avdetect.terminal.output import complain, progress, quiet_libraries
    from avdetect.terminal.tables import printable
    from extractors.media import MediaError
    from pipelines.attribution.kinds import Tagger
    from pipelines.report.outputs import read_result, write_about

    try:
        result = read_result(options.result, options.video)
        outputs, origin = outputs_of(options), origin_of(options)
        session = load_session(options)
        with progress(str(options.video)) as on_step, quiet_libraries():
            written = write_about(
                result, options.video, options.out, session, outputs, origin, on_step, Tagger()
            )
    except MediaError as error:
        complain(str(error))
        return FAILED
    for path in written:
        print(f"written: {printable(str(path))}")
    return OK
