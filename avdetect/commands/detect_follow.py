"""`avdetect detect --follow`: provisional results of files that are still being written."""

from __future__ import annotations

from argparse import Namespace

from avdetect.commands.options import FAILED, OK, load_session
from avdetect.terminal.output import complain, json_lines, print_verdict, quiet_libraries
from extractors.media import MediaError
from pipelines.detection.follow import follow
from pipelines.detection.verdict import error_dict
from pipelines.storage.growing import growing_file

PATIENCE = 10.0  # seconds without growth after which a file counts as complete


def follow_files(options: Namespace) -> int:
    """Print every provisional result and then the final one, file after file."""
    session, failed = load_session(options), False
    with json_lines(options.json) as write, quiet_libraries():
        for video in options.videos:
            try:
                with growing_file(video, PATIENCE) as (file, finished):
                    for verdict in follow(session, file, finished):
                        result = verdict.to_dict() | {"path": video}
                        write(result)
                        if options.json != "-":
                            print_verdict(result)
            except MediaError as error:
                failed = True
                message = str(error).replace(str(file), video)
                complain(message)
                write(error_dict(video, MediaError(message)))
    return FAILED if failed else OK
