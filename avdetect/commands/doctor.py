"""`avdetect doctor`: a check of everything that avdetect needs, on a small example."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from avdetect.commands import doctor_checks
from avdetect.commands.doctor_checks import UnexpectedError
from avdetect.commands.options import FAILED, OK

if TYPE_CHECKING:
    from rich.table import Table

HELP = "check that everything avdetect needs works here"
DESCRIPTION = "Tries each library on a small example and prints what works, with versions."


@dataclass(frozen=True)
class Check:
    """A check: `run` returns a description of what works, or raises."""

    name: str
    run: Callable[[], str]
    package: str | None = None  # whose version is shown
    required: bool = True


@dataclass(frozen=True)
class Checked:
    """The result of a check."""

    name: str
    version: str
    works: bool
    required: bool
    detail: str


def add_arguments(verb: ArgumentParser) -> None:
    """Add nothing: the verb has no options."""


def run(options: Namespace) -> int:
    """Run all checks and print what works."""
    from rich.console import Console

    from avdetect.terminal.output import quiet_libraries

    with quiet_libraries():
        findings = examine()
    Console().print(findings_table(findings))
    return FAILED if any(f.required and not f.works for f in findings) else OK


def examine(checks: Sequence[Check] | None = None) -> list[Checked]:
    """Return a finding for every check, in order; a check that fails stops no other."""
    return [_try(check) for check in (CHECKS if checks is None else checks)]


def findings_table(findings: Sequence[Checked]) -> Table:
    """Return the findings as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "version", "result", box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        if finding.works:
            mark = Text("ok", style="green")
        elif finding.required:
            mark = Text("FAILS", style="bold red")
        else:
            mark = Text("absent", style="yellow")
        table.add_row(mark, finding.name, finding.version, Text(finding.detail))
    return table


def _try(check: Check) -> Checked:
    try:
        works, detail = True, check.run()
    except UnexpectedError as error:
        works, detail = False, str(error)
    except Exception as error:  # noqa: BLE001  any exception is a finding
        works, detail = False, f"{type(error).__name__}: {error}"
    return Checked(check.name, _version(check.package), works, check.required, detail)


def _version(package: str | None) -> str:
    if package is None:
        return ""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


CHECKS = (
    Check("Python", doctor_checks.check_python),
    Check("PyTorch", doctor_checks.check_torch, "torch"),
    Check("torchaudio", doctor_checks.check_torchaudio, "torchaudio"),
    Check("pytorchvideo", doctor_checks.check_pytorchvideo, "pytorchvideo"),
    Check("PyAV", doctor_checks.check_pyav, "av"),
    Check("decord", doctor_checks.check_decord, "decord", required=False),
    Check("media reader", doctor_checks.check_media),
    Check("OpenCV", doctor_checks.check_opencv, "opencv-contrib-python-headless"),
    Check("MediaPipe", doctor_checks.check_mediapipe, "mediapipe"),
    Check("librosa", doctor_checks.check_librosa, "librosa"),
    Check("C2PA", doctor_checks.check_c2pa, "c2pa-python"),
    Check("weights", doctor_checks.check_weights, "safetensors"),
    Check("plug-ins", doctor_checks.check_plugins, required=False),
    Check("CUDA", doctor_checks.check_cuda, required=False),
    Check("pyworld", doctor_checks.check_pyworld, "pyworld", required=False),
    Check("espeak-ng", doctor_checks.check_espeak, required=False),
)
