"""The `avdetect` command: it parses the arguments and runs the verb that they name."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import avdetect
from avdetect.commands import (
    adapt,
    attribute,
    benchmark,
    call,
    datasets,
    detect,
    doctor,
    evaluate,
    extract,
    forge,
    pretrain,
    probe,
    protocol,
    report,
    scan,
    serve,
    train,
    zoo,
)
from avdetect.commands.options import FAILED, INTERRUPTED, USAGE
from extractors.errors import AvdetectError

VERBS: dict[str, ModuleType] = {  # in the order of the help
    "detect": detect,
    "report": report,
    "serve": serve,
    "scan": scan,
    "extract": extract,
    "forge": forge,
    "train": train,
    "pretrain": pretrain,
    "adapt": adapt,
    "evaluate": evaluate,
    "protocol": protocol,
    "probe": probe,
    "datasets": datasets,
    "zoo": zoo,
    "attribute": attribute,
    "call": call,
    "doctor": doctor,
    "benchmark": benchmark,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 all done, 1 some files failed, 2 wrong usage."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may not fit the terminal's encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int = VERBS[options.verb].run(options)
        sys.stdout.flush()  # here, where a closed pipe can still be caught
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left, as `head` does. Python flushes once more at exit: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except AvdetectError as error:
        return _refuse(str(error))
    except OSError as error:  # a missing file, a full disk
        cause = error.strerror or str(error)
        return _refuse(cause if error.filename is None else f"{error.filename}: {cause}")


def _refuse(message: str) -> int:
    from avdetect.terminal.output import complain

    complain(message)
    return USAGE


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options, including `verb`; wrong ones end the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="avdetect",
        description="Finds manipulated faces and voices in videos: what was forged, and when.",
        epilog="Exit code: 0 all done, 1 some files failed, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"avdetect {avdetect.__version__}")
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=verb.DESCRIPTION))
    options = parser.parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else list(arguments)  # reports quote them
    return options


if __name__ == "__main__":
    raise SystemExit(main())
