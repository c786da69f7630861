"""Files compared with each other by the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avdetect import cli
from extractors.media import SAMPLE_RATE, write_clip


def test_the_file_that_sounds_unlike_the_others_comes_first_and_bad_files_stop_none(
    tmp_path: Path,
    make_clip: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # no name is broken
    rng, times = np.random.default_rng(0), np.arange(SAMPLE_RATE) / SAMPLE_RATE
    paths = []
    for index in range(5):
        sound = 0.3 * np.sin(2 * np.pi * (300 + 5 * index) * times) + 0.01 * rng.normal(size=16000)
        if index == 3:
            sound[6000:12000] = 0.5 * np.sign(np.sin(2 * np.pi * 2000 * times[6000:12000]))
        paths.append(tmp_path / f"{index}.m4a")
        write_clip(paths[-1], None, sound.astype(np.float32))
    broken, silent = tmp_path / "broken.mp4", make_clip("picture.mp4", 0.4, sound=False)
    broken.write_bytes(b"no video")
    files = [str(p) for p in (*paths, broken, silent)]
    assert cli.main(["zoo", "mutual", "--modality", "audio", *files]) == 1
    out, errors = capsys.readouterr()
    listed = [line.split("│")[1:3] for line in out.splitlines() if ".m4a" in line]
    assert len(listed) == 5
    assert listed[0][0].strip().endswith("3.m4a")
    assert "broken.mp4" in errors
    assert "picture.mp4: there is no audio track to compare" in errors
    assert cli.main(["zoo", "mutual", "--modality", "audio", str(paths[0])]) == 2
    assert "expected 3 or more, got 1" in capsys.readouterr().err
