"""The command that makes the card's numbers again, on two drawn recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from avdetect.example import example_waveform
from avdetect.model_card import main
from extractors.media import write_clip
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)


def test_clips_are_judged_once_and_every_number_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = DetectorConfig(experts=TINY, opinions=("mel",))
    save_detector(tmp_path / "tiny.safetensors", Detector(config).eval(), {})
    for name in ("a", "b"):
        write_clip(tmp_path / f"{name}.wav", None, example_waveform(2.0))
    (tmp_path / "speech.csv").write_text("path,label,method\na.wav,real,\nb.wav,fake,made\n")
    card = tmp_path / "CARD.md"
    card.write_text("# Development speech\n\n| | d |\n|---|---|\n| fakes called fake | 9 of 9 |\n")
    call = [
        "--speech", f"d={tmp_path / 'speech.csv'}", "--weights", str(tmp_path / "tiny.safetensors"),
        "--card", str(card), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(call) == 0
    page = Path(capsys.readouterr().out.strip())
    text = page.read_text(encoding="utf-8")
    assert "## Speech" in text
    assert "| Development speech | fakes called fake | 9, 9 | 0 of 1 |" in text
    parts = list((tmp_path / "out").glob("speech/d/*/results/part-*.parquet"))
    assert len(parts) == 1
    before = parts[0].stat().st_mtime_ns
    assert main(call) == 0, "again"
    assert parts[0].stat().st_mtime_ns == before, "nothing was judged a second time"


def test_a_manifest_without_a_name_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "CARD.md"
    card.write_text("")
    assert main(["--speech", "speech.csv", "--card", str(card), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error == (
        "model_card: speech.csv: expected NAME=FILE, the title of a column and its manifest\n"
    )
