"""Parts of the zoo beside the detector: what they say is added, and never changes the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avdetect import cli
from avdetect.example import example_waveform
from extractors.media import write_clip
from pipelines.config import ConfigError
from pipelines.zoo.part_run import PartRunner
from pipelines.zoo.parts import PARTS, SHIPPED
from pipelines.zoo.second_opinions import SecondOpinions


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip of moving noise with a voice."""
    path = tmp_path_factory.mktemp("clips") / "noise.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (50, 288, 320, 3), np.uint8)
    write_clip(path, frames, example_waveform(2.0))
    return path


def test_a_part_says_what_it_says_when_it_is_run_alone(clip: Path) -> None:
    (row,) = SecondOpinions(["npr"])(clip)
    alone = PartRunner(PARTS / "npr.yaml", SHIPPED).judge(clip).to_dict("")
    assert row["part"] == "npr"
    assert row["score"] == alone["score"]
    assert row["curve"] == alone["curve"]


def test_a_part_that_cannot_judge_a_file_says_why_and_the_others_are_heard(clip: Path) -> None:
    rows = SecondOpinions(["error-level", "npr"])(clip)
    assert [row["status"] for row in rows] == ["error", "ok"]
    assert "this part reads" in rows[0]["error"]
    assert str(clip) not in rows[0]["error"]


def test_a_name_that_no_part_has_is_one_sentence_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"nobody: not a part of the zoo; .*cifake.*npr"):
        SecondOpinions(["nobody"])


def test_the_verdict_stands_beside_them_unchanged(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def judged(*options: str) -> dict[str, Any]:
        assert cli.main(["detect", str(clip), "--json", "-", *options]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        found.pop("elapsed")
        return found

    alone, beside = judged(), judged("--with", "error-level,npr")
    others = beside.pop("second_opinions")
    assert beside == alone
    assert [row["part"] for row in others] == ["error-level", "npr"]


def test_people_are_told_that_they_do_not_count(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["detect", str(clip), "--with", "npr"]) == 0
    said = capsys.readouterr().out
    assert "none enters the verdict" in said
    assert "npr (" in said
