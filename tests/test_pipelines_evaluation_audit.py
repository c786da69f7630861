"""The shortcut audit: a planted shortcut is found and named, and none is found where none is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from extractors.media import MediaError
from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.audit import audit, clip_statistics


def corpus(count: int, split: str = "dev") -> list[Sample]:
    return [
        Sample(
            Path(f"{split}{i}.mp4"), split, "x" if i % 2 else "real", "lab", f"{split}{i // 4}",
            WHOLE if i % 2 else (), None, None,
        )
        for i in range(count)
    ]  # fmt: skip


def statistics(path: Path, shortcut: bool) -> dict[str, float | str]:
    number = int("".join(filter(str.isdigit, path.stem)))
    generator = np.random.default_rng(number)
    return {
        "fps": 25.0 + 5 * (number % 2) * shortcut + generator.normal(),
        "loudness": generator.normal(),
        "video codec": "h264",
    }


def test_a_planted_shortcut_is_found_and_named() -> None:
    found = audit(corpus(120), model_auc=0.97, read=lambda path: statistics(path, shortcut=True))
    assert found["auc"] > 0.95
    assert found["strongest"][0] == "fps"
    assert found["words"].startswith("SHORTCUT: ")
    assert "fps" in found["words"]
    assert "the model reaches 0.97" in found["words"]


def test_statistics_that_say_nothing_reach_chance() -> None:
    found = audit(corpus(200), read=lambda path: statistics(path, shortcut=False))
    assert 0.35 < found["auc"] < 0.6
    assert "no shortcut found" in found["words"]


def test_a_shortcut_of_the_training_clips_alone_does_not_reach_the_others() -> None:
    def read(path: Path) -> dict[str, float | str]:
        return statistics(path, shortcut=path.stem.startswith("train"))

    found = audit(corpus(200), corpus(100, "train"), read=read)
    assert found["train_read"] == 100
    assert 0.35 < found["train_to_dev_auc"] < 0.65


def test_unreadable_clips_are_counted_and_too_few_are_an_error() -> None:
    def read(path: Path) -> dict[str, float | str]:
        if path.stem == "dev3":
            raise MediaError("broken")
        return statistics(path, shortcut=True)

    found = audit(corpus(60), read=read)
    assert (found["given"], found["read"]) == (60, 59)
    with pytest.raises(ValueError, match="10 readable clips of each class"):
        audit(corpus(12), read=read)


def test_statistics_of_a_written_clip(make_clip) -> None:  # type: ignore[no-untyped-def]
    row = clip_statistics(make_clip())
    assert row["duration"] == pytest.approx(1.0, abs=0.1)
    assert row["width"] == 64
    assert row["video codec"] == "h264"
    assert row["brightness"] == pytest.approx(110 + 145 / 64, abs=3)  # of frames 0, 7, 14 and 21
    assert row["loudness"] == pytest.approx(20 * np.log10(0.5 / 2**0.5), abs=0.5)  # of a sine
    assert row["leading silence"] == pytest.approx(0.0, abs=0.05)
