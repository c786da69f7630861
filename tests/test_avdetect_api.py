"""What `import avdetect` gives, and what it costs."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import subprocess
import sys
import types
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import avdetect

ROOT = Path(__file__).resolve().parents[1]


def test_import_loads_nothing_of_others() -> None:
    code = (
        "import sys; before = set(sys.modules); import avdetect\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["avdetect"]


def test_public_classes_are_those_of_their_packages() -> None:
    from extractors.media import MediaError
    from temporal.segment import Segment

    assert avdetect.MediaError is MediaError
    assert avdetect.Segment is Segment
    assert {"detect", "load", "Verdict"} <= set(dir(avdetect))
    for name in avdetect.__all__:
        assert getattr(avdetect, name).__doc__ or name == "__version__"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'detekt'"):
        avdetect.detekt  # noqa: B018


def test_weights_are_loaded_once_and_by_the_callers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(weights, device, overrides):
        loaded.append((weights, device, overrides))
        return types.SimpleNamespace(detect=lambda path: f"verdict on {path}")

    module = types.ModuleType("pipelines.detection.session")
    module.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipelines.detection.session", module)
    avdetect._starter.cache_clear()
    verdicts: list[object] = [avdetect.detect("a.mp4"), avdetect.detect("b.mp4")]
    assert verdicts == ["verdict on a.mp4", "verdict on b.mp4"]
    assert loaded == [(None, "cpu", [])]
    avdetect.load("best.safetensors", device="cuda", overrides=["a=1"])
    assert loaded[1:] == [(Path("best.safetensors"), "cuda", ["a=1"])]
    avdetect._starter.cache_clear()


def test_the_overrides_named_in_the_docstring_exist() -> None:
    named = re.findall(r"`([\w.]+=[^`]+)`", avdetect.load.__doc__ or "")
    assert len(named) == 2
    config = avdetect.load(overrides=named).config
    assert config.judge.uncertain == (0.3, 0.7)
    assert config.localization.min_score == 0.05
    with pytest.raises(ValueError, match="unknown key"):
        avdetect.load(overrides=["localization.threshold=0.6"])


def test_a_session_names_its_device_and_its_weights() -> None:
    session = avdetect.load()
    assert str(session.device) == "cpu"
    assert set(session.model) == {"name", "version", "sha256"}
    with pytest.raises(AttributeError):
        session.device = "cuda"  # type: ignore[misc]


def test_a_pool_of_processes_gives_verdicts(face_clip: Path) -> None:
    code = (
        "import pickle, sys, avdetect\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(1) as pool:\n"
        "    verdict = pool.submit(avdetect.detect, sys.argv[1]).result()\n"
        "print(verdict, len(pickle.dumps(verdict)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(face_clip)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    line, size = done.stdout.strip().rsplit(" ", 1)
    assert re.fullmatch(r"<Verdict \w+, score [01]\.\d\d, 'face\.mp4', \d+ segments?>", line)
    assert int(size) < 10_000


def test_a_process_forked_off_too_late_says_so() -> None:
    session, fork = avdetect.load(), multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork, initializer=_take, initargs=(session,)) as pool:
        message = str(pool.submit(_complaint).exception(60))
    assert "cannot be judged in a process forked off" in message


def _take(session: avdetect.DetectorSession) -> None:
    global _TAKEN
    _TAKEN = session


def _complaint() -> None:
    _TAKEN.detect("a.mp4")


def test_the_readmes_python_runs(
    face_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from pipelines.detection.session import STARTER

    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if not torch.cuda.is_available():
        block = block.replace('device="cuda"', 'device="cpu"')
    shutil.copy(face_clip, tmp_path / "clip.mp4")
    shutil.copy(STARTER, tmp_path / "best.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(block, names)
    verdict = names["verdict"]
    assert isinstance(verdict, avdetect.Verdict)
    page = (tmp_path / "clip.html").read_text()
    assert verdict.sha256 in page
    assert verdict.model["sha256"] in page


def test_a_page_is_refused_where_other_weights_or_another_file_made_the_verdict(
    face_clip: Path, tmp_path: Path
) -> None:
    verdict, page = avdetect.detect(face_clip), tmp_path / "page.html"
    others = replace(verdict, model={**verdict.model, "sha256": "0" * 64})
    with pytest.raises(avdetect.AvdetectError, match="made by other weights, of SHA-256 0000"):
        avdetect.save_report(others, page)
    with pytest.raises(avdetect.AvdetectError, match=r"face\.mp4 has changed"):
        avdetect.save_report(replace(verdict, sha256="0" * 64), page)
    assert not page.exists()
