"""Temporal AUPIMO of labelled timelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.data.samples import Sample
from pipelines.evaluation.timelines import aupimo_metrics


def sample(name: str, visual: object, audio: object) -> Sample:
    return Sample(Path(name), "dev", "m", "lab", name, visual, audio, None)  # type: ignore[arg-type]


def test_each_modality_is_measured_on_the_timelines_that_have_it() -> None:
    quiet = np.random.default_rng(0).uniform(0, 0.5, (4000, 3)).astype(np.float32)
    quiet[:, 2] = np.nan
    loud = quiet[:50].copy()
    loud[10:20, 0] = 0.9
    samples = [
        *(sample(f"r{i}", (), ()) for i in range(3)), sample("f", ((0.4, 0.8),), ()),
        sample("short", ((0.4, 0.401),), None),
    ]  # fmt: skip
    results = {f"r{i}": {"timeline": quiet} for i in range(3)}
    results |= {"f": {"timeline": loud}, "short": {"timeline": loud}}
    found = aupimo_metrics(samples, results)
    assert found["visual"]["by_video"] == {"f": 1.0}
    assert (found["any"]["aupimo"], found["any"]["missed"]) == (1.0, 0.0)
    assert (found["visual"]["real_videos"], found["visual"]["real_steps"]) == (3, 12_000)
    assert "no forged video" in found["audio"]["refused"]
    assert found["sync"]["real_videos"] == 0
    short = aupimo_metrics(samples, {**results, "r0": {}})
    assert "8000 real steps" in short["any"]["refused"]
