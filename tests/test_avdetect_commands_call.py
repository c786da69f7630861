"""`avdetect call` from the first challenge to what was learned of calls."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from avdetect import cli
from avdetect.commands import call as call_verb
from avdetect.example import example_waveform
from extractors.media import write_clip


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that is sure of a forgery."""
    session = SimpleNamespace(detect=lambda path: SimpleNamespace(audio_score=0.99))
    monkeypatch.setattr(call_verb, "load_session", lambda options: session)


def run(*words: object) -> int:
    return cli.main(["call", *map(str, words)])


def answer(tmp_path: Path, number: int) -> Path:
    path = tmp_path / f"{number}.mp4"
    sound = example_waveform(2.0) + 1e-3 * np.random.default_rng(number).normal(size=32_000)
    write_clip(path, None, sound.astype(np.float32))
    return path


def last(path: Path) -> Any:
    return json.loads(path.read_text())["asked"][-1]


def test_a_voice_that_does_nothing_it_is_asked_is_called_forged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "call.json"
    for number in range(3):
        assert run("ask", path) == 0
        asked = last(path)
        said = capsys.readouterr().out
        assert asked["words"] in said
        assert asked["nonce"] in said
        assert run("answer", path, asked["nonce"], answer(tmp_path, number)) == 0
    assert "forged (genuine from -2.94 down, forged from 2.94 up); likely forged" in (
        capsys.readouterr().out
    )
    assert run("decide", path, "genuine") == 0
    assert "the listener decided: genuine, against the tag" in capsys.readouterr().out
    assert run("ask", path) == 2
    assert "the call is decided: forged" in capsys.readouterr().err
    assert run("learn", "--genuine", path, "--forged", path, "--out", tmp_path / "r.yaml") == 0
    assert len(yaml.safe_load((tmp_path / "r.yaml").read_text())["rates"]) == 2
    assert run("simulate", "--config", tmp_path / "r.yaml", "--calls", 100) == 0
    assert "assisted" in capsys.readouterr().out


def test_a_wrong_nonce_or_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "call.json"
    assert run("show", path) == 2
    assert run("ask", path) == 0
    assert run("answer", path, "0" * 16, answer(tmp_path, 0)) == 2
    assert run("show", answer(tmp_path, 0)) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 3
    assert "is of no challenge of this call" in said[1]
