"""The wheel, installed where there is no checkout: what it carries, and that every command runs.

Third-party packages are those of the running environment, which holds 7 GB; avdetect is the wheel's
alone. Needs the package index, for the build.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(900)  # each command is a process that imports everything
# mediapipe asks for these and does without; the headless build of OpenCV takes that one's place.
LEFT_OUT = {"jax", "jaxlib", "sentencepiece", "sounddevice", "opencv-contrib-python"}


class Installed:
    """An environment with the wheel, and an empty folder to run its commands in."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.bin, self.folder = environment / "bin", folder
        self.variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def __call__(self, *words: str) -> str:
        """Return what a command prints; it must end with 0."""
        done = subprocess.run(
            [str(self.bin / words[0]), *words[1:]], cwd=self.folder, env=self.variables,
            capture_output=True, text=True, timeout=840, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", place, ROOT], check=True)
    (wheel,) = place.glob("avdetect-*.whl")
    environment = place / "environment"
    venv.create(environment, with_pip=True)
    own = environment / "bin" / "pip"
    subprocess.run([own, "--quiet", "install", "--no-deps", wheel], check=True)
    site = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    # .pth files of a folder that a .pth file names are not read: the editable avdetect stays out.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    folder = place / "empty"
    folder.mkdir()
    return Installed(environment, folder)


@pytest.fixture(scope="module")
def clip(installed: Installed) -> str:
    draw = "from pathlib import Path; from avdetect.example import example_clip as draw; "
    installed("python", "-c", draw + "draw(Path('clips/drawn.mp4'), 2.0)")
    return "clips/drawn.mp4"


@pytest.mark.wheel
def test_the_packages_are_the_wheels_own(installed: Installed) -> None:
    names = "avdetect, extractors, fusion, temporal, pipelines"
    printed = installed("python", "-c", f"import {names}\nfor m in ({names}): print(m.__file__)")
    assert [Path(line).parents[1].name for line in printed.split()] == ["site-packages"] * 5
    assert all(line.startswith(str(installed.bin.parent)) for line in printed.split())


@pytest.mark.wheel
def test_the_doctor_finds_everything_that_is_required(installed: Installed) -> None:
    assert "FAILS" not in installed("avdetect", "doctor")


@pytest.mark.wheel
def test_a_clip_is_judged_and_its_report_written(installed: Installed, clip: str) -> None:
    installed("avdetect", "detect", clip, "--json", "result.jsonl")
    result = json.loads((installed.folder / "result.jsonl").read_text())
    assert result["status"] == "ok"
    assert 0 <= result["score"] <= 1
    (installed.folder / "result.json").write_text(json.dumps(result))
    installed("avdetect", "report", "result.json", "--video", clip, "--out", "page.html")
    assert result["sha256"] in (installed.folder / "page.html").read_text()


@pytest.mark.wheel
def test_the_zoo_lists_the_parts_that_configs_describe(installed: Installed) -> None:
    listed = installed("avdetect", "zoo", "list")
    parts = [path.stem for path in (ROOT / "configs" / "zoo").glob("*.yaml")]
    assert len(parts) > 10
    assert set(parts) <= set(re.findall(r"[\w-]+", listed))


@pytest.mark.wheel
def test_the_recipe_and_its_splits_are_found(installed: Installed) -> None:
    code = (
        "from pathlib import Path\nfrom pipelines.config import load_config\n"
        "from pipelines.data.samples import read_splits\n"
        "from pipelines.train.recipe import TrainConfig\n"
        "recipe = load_config(TrainConfig, Path('configs/starter.yaml'))\n"
        "print(len(read_splits(Path(recipe.data.splits)).dev))"
    )
    assert int(installed("python", "-c", code)) > 0


@pytest.mark.wheel
def test_a_folder_is_scanned(installed: Installed, clip: str) -> None:
    assert "results: verdicts" in installed("avdetect", "scan", "clips", "--out", "verdicts")


@pytest.fixture
def server(installed: Installed) -> Iterator[str]:
    process = subprocess.Popen(
        [str(installed.bin / "avdetect"), "serve", "--port", "0"],
        cwd=installed.folder, env=installed.variables, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        yield address[0]
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.wheel
def test_the_server_shows_its_page(server: str) -> None:
    with urllib.request.urlopen(server, timeout=60) as answer:
        assert answer.status == 200
        assert "<title>avdetect" in answer.read().decode()


def test_the_pins_are_all_that_the_packages_ask_for() -> None:
    """requirements.txt is installed without dependencies: it must hold them all, and fit them."""
    pins = {
        canonicalize_name(pin.name): pin
        for pin in map(Requirement, _lines(ROOT / "requirements.txt"))
        if pin.marker is None or pin.marker.evaluate()
    }
    assert not LEFT_OUT & set(pins)
    for asking in ["avdetect", *pins]:
        for line in metadata.requires(asking) or ():
            need = Requirement(line)
            name = canonicalize_name(need.name)
            if name in LEFT_OUT or (need.marker and not need.marker.evaluate({"extra": ""})):
                continue
            assert name in pins, f"{asking} needs {need}"
            version = str(pins[name].specifier).removeprefix("==")
            assert need.specifier.contains(version), f"{asking} needs {need}, not {version}"


def test_both_files_of_pins_agree() -> None:
    run, develop = (
        {line.partition(" ;")[0] for line in _lines(ROOT / name)}
        for name in ("requirements.txt", "requirements.lock")
    )
    assert run < develop


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]
