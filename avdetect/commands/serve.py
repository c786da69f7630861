"""`avdetect serve`: judge clips that are dropped on a page."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import (
    OK,
    UsageError,
    add_model_options,
    count,
    load_session,
    number,
    origin_of,
    seconds,
)

if TYPE_CHECKING:
    from pipelines.challenge.recordings import Hear

HELP = "judge clips that are dropped on a page in the browser"
DESCRIPTION = (
    "Serves a page on which clips are dropped, judges one after the other, and "
    "shows their reports; programs use POST /v1/detect (/openapi.json describes it). Results "
    "outlive the server. Beyond this machine a token is needed, which is printed; "
    "AVDETECT_TOKEN sets one."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)"
    )
    verb.add_argument("--port", type=number, default=8000, help="default 8000; 0: any free one")
    verb.add_argument(
        "--history",
        type=Path,
        default=Path("avdetect-history"),
        metavar="DIR",
        help="where results are kept until they are deleted (default avdetect-history)",
    )
    verb.add_argument(
        "--keep", type=count, metavar="DAYS", help="delete results by themselves when so old"
    )
    verb.add_argument(
        "--max-size", type=count, default=500, metavar="MIB", help="of a clip (default 500)"
    )
    verb.add_argument(
        "--max-minutes",
        type=seconds,
        default=60.0,
        metavar="N",
        help="of a clip's length, and of judging it (default 60)",
    )
    verb.add_argument(
        "--max-waiting", type=count, default=100, metavar="N", help="clips (default 100)"
    )
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Judge clips until interrupted."""
    import socket

    from avdetect.server.app import UploadLimits, address, judge_of, make_app, token_for
    from avdetect.server.app import run as run_app
    from avdetect.server.calls import Calls
    from avdetect.server.queue import Queue
    from avdetect.terminal.output import quiet_libraries

    limits = UploadLimits(options.max_size, options.max_minutes, options.max_waiting, options.keep)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family)
    except (OSError, OverflowError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UsageError(f"--host {options.host} --port {options.port}: {cause}") from error
    judge = judge_of(load_session(options), origin_of(options), limits)
    keep = None if limits.days is None else 24 * 3600.0 * limits.days
    queue = Queue(options.history, judge, 60 * limits.minutes, keep)
    calls = Calls(options.history / "calls", _hear_of(options))
    token = token_for(options.host, os.environ.get("AVDETECT_TOKEN"))
    print(f"avdetect is at {address(listening, token)}", flush=True)
    with quiet_libraries():
        queue.start()
        run_app(make_app(queue, limits, token, calls), listening)
    return OK


def _hear_of(options: Namespace) -> Hear:
    """Return the detector's opinion of a caller's voice.

    A session is for one thread, so calls have one of their own, loaded at the first answer.
    """
    session = cache(partial(load_session, options))

    def hear(recording: Path) -> float | None:
        return session().detect(recording).audio_score

    return hear
