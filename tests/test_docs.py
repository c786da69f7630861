"""What the documents promise: links and paths lead somewhere, every wing is told of."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import avdetect

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("avdetect/**/*.md")])
SOURCES = ("avdetect/", "extractors/", "temporal/", "fusion/", "pipelines/", "configs/", "docs/",
           "tests/", "examples/")  # fmt: skip


def prose(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_and_link_of_a_page_leads_somewhere(page: Path) -> None:
    named = re.findall(r"(?<![\w./])\w+/[\w./-]*(?![\w./<*-])", prose(page))
    paths = {name.rstrip(".") for name in named if name.startswith(SOURCES)}
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose(page))
    gone = [name for name in sorted(paths) if not (ROOT / name).exists()]
    gone += [link for link in links if not (page.parent / link).exists()]
    assert not gone


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == avdetect.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert f"\n## {avdetect.__version__}" in prose(ROOT / "CHANGELOG.md")
    assert f"version = {{{avdetect.__version__}}}" in prose(ROOT / "README.md")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_detect_says_how_to_go_on_without_make() -> None:
    words = ["make", "--dry-run", "detect", "VIDEO=a.mp4", "VENV=env"]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 'echo "Without make: env/bin/avdetect detect ' in run.stdout


def test_every_package_has_its_page_of_the_reference_and_its_place_in_the_architecture() -> None:
    told = prose(ROOT / "docs" / "architecture.md")
    contracts = tomllib.loads(prose(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    wings = re.findall(r"pipelines\.(\w+)", str(contracts))
    folders = {path.parent.name for path in ROOT.glob("pipelines/*/__init__.py")}
    assert folders <= set(wings)
    for wing in folders:
        assert f"`{wing}`" in told
        page = ROOT / "docs" / "reference" / "pipelines" / f"{wing}.md"
        assert f"::: pipelines.{wing}\n" in prose(page)
    for package in ("avdetect", "extractors", "temporal", "fusion"):
        assert f"::: {package}\n" in prose(ROOT / "docs" / "reference" / f"{package}.md")
