"""Kinds of forgeries: who is asked for one, and what a page takes from the answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from extractors.media import file_sha256
from pipelines.attribution import kinds
from pipelines.attribution.kinds import ORIGINS, Kind, KindHeads, Tagger
from pipelines.detection.starter import STARTER
from pipelines.streams.stream_cache import Extract
from pipelines.zoo.heads import nothing_said


def test_the_heads_name_kinds_that_they_know_the_surest_first() -> None:
    heads = KindHeads()
    said = {name: torch.randn(t.shape) for name, t in nothing_said().items()}
    with torch.no_grad():
        heads.types.thresholds.fill_(-100.0)  # all are above
    kind = heads(said)
    assert sorted(kind.types) == sorted(heads.types_config.labels)
    vector = kinds.vector_of(heads.types_config, said)[None]
    with torch.inference_mode():
        logits = dict(zip(heads.types_config.labels, heads.types(vector)[0].tolist(), strict=True))
    assert [logits[name] for name in kind.types] == sorted(logits.values(), reverse=True)
    assert kind.origin in ORIGINS
    silent = {**said, "opinions": torch.full_like(said["opinions"], torch.nan)}
    assert heads(silent).origin is None


def test_only_fakes_of_the_starter_have_a_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = Tagger()
    monkeypatch.setattr(kinds, "expert_outputs", lambda _, clip, *rest: {"of": clip.waveform})
    monkeypatch.setattr(tagger, "heads", lambda said: Kind(["splice"], None))
    fake: Any = {"path": "a.mp4", "verdict": "fake", "model": {"sha256": file_sha256(STARTER)}}
    heard, nothing = Extract([], torch.zeros(64_000, dtype=torch.int16)), Extract([], None)
    assert tagger(heard, fake) == "splice"
    assert tagger(heard, {**fake, "verdict": "real"}) is None
    assert tagger(heard, {**fake, "model": {"sha256": "0"}}) is None
    assert tagger(nothing, fake) is None  # neither a face nor sound
