"""What `import avdetect` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import types
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
