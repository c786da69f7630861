"""Cross-set evaluation: a row for each set, own methods apart, and the frames' means for videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from extractors.errors import InputError
from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.frames import pooled_results
from pipelines.evaluation.protocols.cross_set import cross_set, cross_set_table


def clip(name: str, method: str, domain: str, quality: str = "c23") -> Sample:
    spans = () if method == "real" else WHOLE
    return Sample(Path(name), "test", method, "bench", "", spans, None, None,
                  groups=(("quality", quality),), domain=domain)  # fmt: skip


SAMPLES = [
    clip(f"{domain}-{method}-{i}", method, domain)
    for domain, methods in (("FF", ("real", "DF", "FS")), ("CDF", ("real", "CDF fake")))
    for method in methods
    for i in range(6)
]
FRAMES = {
    str(s.path): np.random.default_rng(i).uniform(0.2 * (s.method != "real"), 1.0, 4 + i % 3)
    for i, s in enumerate(SAMPLES)
}


def test_sets_methods_and_means_are_those_of_another_library() -> None:
    found = cross_set(SAMPLES, pooled_results(FRAMES, "deepfakebench"), "FF", FRAMES)
    assert [row["set"] for row in found["own"]] == ["FF", "FF: DF", "FF: FS", "FF: c23"]
    assert [row["set"] for row in found["others"]] == ["CDF"]
    for row, chosen in (
        (found["own"][0], [s for s in SAMPLES if s.domain == "FF"]),
        (found["own"][1], [s for s in SAMPLES if s.domain == "FF" and s.method != "FS"]),
        (found["others"][0], [s for s in SAMPLES if s.domain == "CDF"]),
    ):
        labels = [s.fake for s in chosen]
        frames = [FRAMES[str(s.path)] for s in chosen]
        assert row["auc"] == pytest.approx(roc_auc_score(labels, [f.mean() for f in frames]))
        each = np.repeat(labels, [len(f) for f in frames])
        assert row["frame_auc"] == pytest.approx(roc_auc_score(each, np.concatenate(frames)))
    assert found["mean_within"]["auc"] == pytest.approx(
        np.mean([row["auc"] for row in found["own"]])
    )
    assert found["mean_cross"]["auc"] == found["others"][0]["auc"]
    assert cross_set_table(found)[-1].startswith("| mean cross")


def test_the_order_of_frames_changes_nothing() -> None:
    turned = {name: frames[::-1] for name, frames in FRAMES.items()}
    first, second = (
        cross_set(SAMPLES, pooled_results(f, "deepfakebench"), "FF", f) for f in (FRAMES, turned)
    )
    for a, b in zip(first["own"] + first["others"], second["own"] + second["others"], strict=True):
        assert a == b


def test_clips_that_were_not_judged_are_counted_and_an_unknown_home_is_refused() -> None:
    results = pooled_results(FRAMES, "deepfakebench")
    del results[str(SAMPLES[0].path)]
    row = cross_set(SAMPLES, results, "FF")["own"][0]
    assert (row["given"], row["fakes"], row["reals"]) == (18, 12, 5)
    assert "frame_auc" not in row
    with pytest.raises(InputError, match="the truth has CDF, FF"):
        cross_set(SAMPLES, results, "DFDC")
