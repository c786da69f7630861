"""`avdetect detect`: judge files."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avdetect.commands.options import (
    FAILED,
    OK,
    add_cache,
    add_export_options,
    add_model_options,
    count,
    load_session,
    origin_of,
    outputs_of,
)
from extractors.errors import InputError

if TYPE_CHECKING:
    from pipelines.detection.result import Result
    from pipelines.progress import OnStep

OUTPUTS = ("report", "burn_in", "vtt", "csv", "labels")  # options that name what else to write
HELP = "judge videos: real or fake, and which seconds"
DESCRIPTION = (
    "Judges each video by its picture, its sound, and whether lips and sound fit. "
    "Scores run from 0 (real) to 1 (fake). A file that cannot be read stops no other."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="a video or sound file, its address on the web, or - for standard input",
    )
    verb.add_argument(
        "--json",
        metavar="FILE",
        help="write results here, a JSON object a line; - prints them instead of the tables",
    )
    verb.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="also write a page for each video here, which shows why, where and how sure",
    )
    verb.add_argument(
        "--video-track",
        type=count,
        metavar="N",
        help="judge the file's Nth picture instead of the one that players show",
    )
    verb.add_argument(
        "--fast",
        action="store_true",
        help="leave the picture encoder out: faster, and without a score of the picture",
    )
    verb.add_argument(
        "--follow",
        action="store_true",
        help="a file may still be growing: print what is known so far, and the final result when "
        "it has not grown for 10 s (- when standard input has ended)",
    )
    verb.add_argument(
        "--with",
        dest="beside",
        type=lambda names: names.split(","),
        default=[],
        metavar="NAME[,NAME]",
        help="also say what these parts of the zoo say (avdetect zoo list); the verdict is without",
    )
    add_cache(verb)
    add_export_options(verb)
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Judge every file; one that cannot be read does not stop the others."""
    from avdetect.terminal.output import (
        complain,
        json_lines,
        print_second_opinions,
        print_verdict,
        progress,
        quiet_libraries,
    )
    from extractors.media import MediaError
    from pipelines.detection.verdict import error_dict
    from pipelines.storage.local_copy import judged_file

    if options.video_track is not None:
        options.set.append(f"media.video_track={options.video_track}")
    if options.fast:
        options.set.append("fast=true")
    if options.follow:
        return _follow(options)
    judge, ask = _judge(options), _second_opinions(options.beside)
    failed = False
    with json_lines(options.json) as write, quiet_libraries():
        for video in options.videos:
            try:
                if os.path.isdir(video):  # noqa: PTH112  unlike Path's, raises for no name
                    raise MediaError(f"{video}: is a folder, not a video; name the files in it")
                with progress(video) as on_step, judged_file(video) as file:
                    result, written = judge(str(file), video, on_step)
                    others = ask(file)
            except MediaError as error:
                failed = True
                complain(str(error))
                write(error_dict(video, error))
                continue
            write({**result, "second_opinions": others} if others else result)
            if options.json != "-":
                print_verdict(result, written)
                print_second_opinions(others)
            for path in written if options.json == "-" else ():
                complain(f"written: {path}")
    return FAILED if failed else OK


def _follow(options: Namespace) -> int:
    if options.cache or options.beside or any(getattr(options, name) for name in OUTPUTS):
        raise InputError(
            "--follow prints results alone: take it without a cache, parts of the zoo, report or "
            "export"
        )
    from avdetect.commands.detect_follow import follow_files

    return follow_files(options)


def _second_opinions(names: list[str]) -> Callable[[Path], list[dict[str, Any]]]:
    if not names:
        return lambda file: []
    from pipelines.zoo.second_opinions import SecondOpinions

    return SecondOpinions(names)


def _judge(options: Namespace) -> Callable[[str, str, OnStep], tuple[Result, list[Path]]]:
    """Return the function that judges a file, and writes the requested reports and exports.

    It takes a file, which may be a copy, and the name that the result gives it; it also returns
    the paths of what it wrote.
    """
    if not any(getattr(options, name) for name in OUTPUTS):
        session = load_session(options, options.cache)

        def detect(file: str, name: str, on_step: OnStep) -> tuple[Result, list[Path]]:
            return {**session.detect(file, on_step=on_step).to_dict(), "path": name}, []

        return detect
    from pipelines.attribution.kinds import Tagger
    from pipelines.report.outputs import judge_and_write

    outputs, session = outputs_of(options, options.report), load_session(options)
    tagger = Tagger() if options.report else None

    def detect_and_write(file: str, name: str, on_step: OnStep) -> tuple[Result, list[Path]]:
        origin = origin_of(options, name)
        return judge_and_write(file, session, outputs, origin, on_step, name, tagger)

    return detect_and_write
