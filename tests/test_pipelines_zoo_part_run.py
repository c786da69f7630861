"""A part on files of one's own: what it says, where, and what it cannot judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect import cli
from avdetect.example import example_clip
from extractors.media import SAMPLE_RATE, MediaError, write_clip
from pipelines.storage.weights import WeightsError
from pipelines.zoo.part_run import PartRunner, clip_probability

ROOT = Path(__file__).resolve().parents[1]
LOUDNESS = """
import torch

class Loud(torch.nn.Module):
    def forward(self, streams):
        return 2 * (streams["mel"].mean(dim=(2, 3)) + 9)

    def describe(self, streams):
        return {"steps": float(streams["mel"].shape[1]), "read": "bands\\x1b"}

class Bright(torch.nn.Module):
    def forward(self, streams):
        return streams["native"].float().mean(dim=(2, 3, 4)) - 127.5
"""


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of two parts without weights: one reads the sound, one the pixels."""
    (tmp_path / "loudness_of_tests.py").write_text(LOUDNESS)
    for name, rest in (
        ("loud", "modality: audio\nstreams: [mel]"),
        ("bright", "streams: [native]"),
    ):
        text = f"title: {name}\npart: loudness_of_tests:{name.title()}\n{rest}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def beeping(path: Path) -> Path:
    """Three seconds of near silence, with noise in the second of them."""
    rng = np.random.default_rng(0)
    sound = 1e-4 * rng.normal(size=3 * SAMPLE_RATE)
    sound[SAMPLE_RATE : 2 * SAMPLE_RATE] = 0.2 * rng.normal(size=SAMPLE_RATE)
    return write_clip(path, None, sound.astype(np.float32)) or path


def test_a_part_says_when_and_how_surely_in_table_and_json(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = beeping(parts / "noise.wav")
    words = ["zoo", "run", "loud", "--parts", str(parts), str(file)]
    assert cli.main([*words, "--json", "-"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["path"], row["status"], row["part"], row["modality"]) == (
        str(file), "ok", "loud", "audio",
    )  # fmt: skip
    forged = [point["start"] for point in row["curve"] if point["logit"] > 0]
    assert min(forged) == pytest.approx(1.0, abs=0.09)
    assert max(forged) == pytest.approx(1.96, abs=0.09)
    assert len(row["segments"]) >= 1
    best = row["segments"][0]
    assert [best["start"], best["end"]] == pytest.approx([1.0, 2.0], abs=0.2)
    logits = torch.tensor([point["logit"] for point in row["curve"]])
    assert row["score"] == pytest.approx(clip_probability(logits), abs=1e-3)
    assert row["facts"]["steps"] == 75
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert f"{row['score']:.2f}" in shown
    assert "\x1b" not in shown


def test_a_file_that_cannot_be_judged_stops_no_other(
    parts: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_clip("large.mp4", 0.4, size=(162, 164), sound=False)
    small = make_clip("small.mp4", 0.4, size=(120, 164), sound=False)
    words = ["zoo", "run", str(parts / "bright.yaml"), str(small), "nowhere.mp4", str(good)]
    assert cli.main([*words, "--json", "-"]) == 1
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["status"] for row in rows] == ["error", "error", "ok"]
    assert "no picture of at least 160 pixels" in rows[0]["error"]["message"]
    assert rows[2]["curve"][0]["start"] == 0.0
    assert len(rows[2]["curve"]) == 8
    assert printed.err.count("avdetect:") == 2


def test_what_the_file_does_not_give_is_named(parts: Path) -> None:
    with pytest.raises(MediaError, match=r"noise\.wav: gives no appearance, which this part reads"):
        PartRunner(ROOT / "configs/zoo/cifake.yaml", ROOT / "avdetect/weights/zoo").clip_of(
            beeping(parts / "noise.wav")
        )
    with pytest.raises(WeightsError, match="no weights at"):
        PartRunner(ROOT / "configs/zoo/cifake.yaml", parts)


def test_shipped_parts_judge_a_face_by_streams_and_by_the_experts_opinions(tmp_path: Path) -> None:
    clip = tmp_path / "face.mp4"
    example_clip(clip, 1.0)
    for name in ("cifake", "mean"):
        path = ROOT / "configs" / "zoo" / f"{name}.yaml"
        result = PartRunner(path, ROOT / "avdetect/weights/zoo").judge(clip)
        assert len(result.logits) == len(result.seconds) > 20
        assert 0 < result.score < 1
