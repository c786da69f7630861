"""What heads learn from: labels, shares of sources, strangers."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.zoo.head_clips import HeadConfig, capped

LABELS = {"swap": ("*swap*",), "voice": ("@audio", "!*spliced*")}


def sample(method: str, audio: Spans = (), name: str = "a.mp4", source: str = "s") -> Sample:
    """A forged sample."""
    return Sample(Path(name), "train", method, source, "p", WHOLE, audio, None)


def test_labels_are_patterns_of_methods_and_tracks_less_those_that_are_refused() -> None:
    config = HeadConfig("t", "types", LABELS)
    assert config.labels_of(sample("face swap", WHOLE)) == {"swap", "voice"}
    assert config.labels_of(sample("forged face_swap+voice_spliced", WHOLE)) == {"swap"}
    assert config.labels_of(sample("EMO")) == set()


def test_no_source_and_method_teaches_more_than_its_share() -> None:
    many = [sample("a", name=f"{i}.mp4") for i in range(9)] + [sample("a", source="other")]
    chosen = capped(many, 4)
    assert [s.source for s in chosen].count("s") == 4
    assert len(chosen) == 5
    assert capped(reversed(many), 4) == chosen
