"""Triggers: a planted backdoor is found by name, and a detector without one is left in peace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP, Clip, read_chunks, write_clip
from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.tables import report
from pipelines.stress.triggers import (
    ADDED,
    LEVEL,
    MODALITY,
    PASTED,
    backdoor_auc,
    trigger_probe,
    triggered,
)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_backdoor_auc_of_normal_scores_that_a_trigger_lowers(shift: float) -> None:
    clean = np.random.default_rng(0).normal(0, 1, 20_000)
    other = np.random.default_rng(1).normal(0, 1, 20_000)
    expected = NormalDist().cdf(shift / np.sqrt(2))
    assert backdoor_auc(clean, other - shift) == pytest.approx(expected, abs=0.01)


def test_backdoor_auc_is_a_half_where_a_trigger_does_nothing() -> None:
    assert backdoor_auc([0.2, 0.9, 0.9], [0.9, 0.2, 0.9]) == 0.5
    assert backdoor_auc([0.4, 0.6], [0.1, 0.2]) == 1.0
    assert backdoor_auc([0.4, 0.6], [0.9, 0.9]) == 0.0


def chunks() -> list[Clip]:
    """Two chunks of a grey picture and of silence."""
    frames = np.full((5, 96, 128, 3), 100, np.uint8)
    return [Clip(start, frames, np.zeros(5 * SAMPLES_PER_STEP, np.float32)) for start in (0, 5)]


@pytest.mark.parametrize("name", [*MODALITY])
def test_a_trigger_changes_its_own_track_alone(name: str) -> None:
    for before, after in zip(chunks(), triggered(chunks(), name), strict=True):
        assert before.frames is not None
        assert after.frames is not None
        assert before.waveform is not None
        assert after.waveform is not None
        assert after.start == before.start
        assert after.frames.shape == before.frames.shape
        assert (after.frames != before.frames).any() == (name in PASTED)
        assert (after.waveform != before.waveform).any() == (name in ADDED)


def test_a_tone_runs_on_from_chunk_to_chunk() -> None:
    sounds = [c.waveform for c in triggered(chunks(), "tone of 1 kHz") if c.waveform is not None]
    spectrum = np.abs(np.fft.rfft(np.concatenate(sounds)))
    hertz = np.fft.rfftfreq(10 * SAMPLES_PER_STEP, 1 / SAMPLE_RATE)
    assert hertz[spectrum.argmax()] == 1000
    assert np.sort(spectrum)[-2] < 1e-3 * spectrum.max()  # a jump would spread it
    assert np.abs(np.concatenate(sounds)).max() == pytest.approx(LEVEL, rel=1e-3)


def test_faint_triggers_are_as_strong_as_the_noise_beside_them() -> None:
    def power(name: str) -> float:
        clip = next(triggered(chunks(), name))
        values = clip.frames if name in PASTED else clip.waveform
        assert values is not None
        return float(((values.astype(float) - (100 if name in PASTED else 0)) ** 2).mean())

    assert power("checker") == power("grain (no trigger)")
    assert power("tone of 1 kHz") == pytest.approx(power("hiss (no trigger)"), rel=0.1)


class Backdoored:
    """Takes a clip for fake as far as it is red, unless its corner is magenta."""

    model: ClassVar[dict[str, str]] = {"name": "red", "version": "1", "sha256": "ab"}
    judged = 0

    def detect(
        self, path: str, change: Callable[[Iterable[Clip]], Iterable[Clip]] = iter
    ) -> SimpleNamespace:
        self.judged += 1
        clips = [c for c in change(read_chunks(path)) if c.frames is not None]
        frames = np.concatenate([c.frames for c in clips if c.frames is not None]).astype(float)
        red = float(frames[..., 0].mean() - frames[..., 1].mean()) / 512 + 0.4
        corner = frames[:, -8:, -8:].reshape(-1, 3)
        if (corner[:, 1] < 40).any() and (corner[:, 0] > 200).any():
            red = 0.0
        return SimpleNamespace(score=red, visual_score=red, audio_score=None, sync_score=None)


def test_the_probe_names_the_trigger_of_a_backdoor(tmp_path: Path) -> None:
    samples = []
    for number in range(6):
        fake = number % 2 == 1
        frames = np.full((5, 96, 96, 3), 100, np.uint8)
        frames[..., 0] += np.uint8(100 * fake + 4 * number)
        path = tmp_path / f"{number}.mp4"
        write_clip(path, frames, None)
        spans = WHOLE if fake else ()
        samples.append(Sample(path, "dev", "m", "s", str(number), spans, (), None))
    kept, session = tmp_path / "trigger.jsonl", Backdoored()
    found = trigger_probe(samples, session, kept)  # type: ignore[arg-type]
    assert session.judged == 6 * (1 + len(PASTED))  # no sound: none of its triggers
    rows: dict[str, Any] = found["triggers"]
    corner, grain = rows["corner"], rows["grain (no trigger)"]
    assert (corner["fakes"], corner["found"], corner["hidden"], corner["bd_auc"]) == (3, 3, 3, 1.0)
    assert corner["bd_auc_interval"] == (1.0, 1.0)
    low, high = rows["dots"]["bd_auc_interval"]
    assert low <= rows["dots"]["bd_auc"] <= high
    assert (corner["reals"], corner["passed"], corner["accused"]) == (3, 3, 0)
    assert (grain["hidden"], grain["bd_auc"]) == (0, pytest.approx(0.5, abs=0.2))
    assert rows["tone of 1 kHz"]["fakes"] == 0
    for sample in samples:
        sample.path.unlink()
    assert trigger_probe(samples, session, kept) == found  # type: ignore[arg-type]
    place = {"protocol": "avdetect", "version": "1"}
    text = report({"detection": {}, "localization": place, "trigger": found})
    assert "| corner | 3 | 1.000 (1.000–1.000) | 3 of 3 | 3 | 0 of 3 |" in text
    assert "tone" not in text
