"""Who may import whom: avdetect -> pipelines -> { fusion | temporal } -> extractors."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("avdetect", "extractors", "fusion", "temporal", "pipelines")
# A heavy or optional library is imported in these modules or packages alone.
HOMES = {
    "decord": ("extractors/decoding/picture.py", "avdetect/commands/doctor_checks.py"),
    "av": ("extractors/", "avdetect/commands/doctor_checks.py"),
    "mediapipe": ("extractors/faces.py",),
    "ray": ("pipelines/scan/", "pipelines/train/ray_train.py"),
    "pyarrow": (
        "pipelines/mutual/scan.py",
        "pipelines/results/",
        "pipelines/scan/corpus.py",
        "pipelines/storage/",
    ),
}
# These load nothing of others until they are used.
LIGHT = ("avdetect/__init__.py", "avdetect/__main__.py", "avdetect/cli.py", "avdetect/commands/")
# What a verb imports when it runs.
BENCHMARK = tuple(f"benchmark_{n}" for n in ("clips", "peers", "run", "scan", "stages"))
HELPERS = tuple(
    f"avdetect/commands/{name}.py" for name in (*BENCHMARK, "detect_follow", "scan_mutual")
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield each module's path in the repository and its syntax tree."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Return the top-level names that the import statements among the nodes load."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_the_contracts_in_pyproject_hold() -> None:
    # in a process of its own: import-linter disables the loggers of the one that it runs in
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_stays_in_its_home(library: str) -> None:
    users = {path for path, tree in modules() if library in imported(ast.walk(tree))}
    assert users
    assert not {path for path in users if not path.startswith(HOMES[library])}


def test_nothing_imports_from_the_facade_within() -> None:
    for path, tree in modules():
        if not path.startswith("avdetect/"):
            assert "avdetect" not in imported(ast.walk(tree)), path


def test_the_command_and_the_facade_begin_light() -> None:
    for path, tree in modules():
        if path.startswith(LIGHT) and path not in HELPERS:
            body = (n for n in tree.body if getattr(n, "module", None) != "extractors.errors")
            top = imported(body) - set(sys.stdlib_module_names)
            assert top <= {"avdetect"}, path


def test_packages_export_nothing_from_their_init() -> None:
    for path, tree in modules():
        if path.endswith("/__init__.py") and path != "avdetect/__init__.py":
            assert not imported(ast.walk(tree)), path
