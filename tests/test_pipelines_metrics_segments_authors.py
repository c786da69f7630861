"""Cross-check with AV-Deepfake1M's own scorer, where `pip install avdeepfake1m` has put it.

None of its numbers is copied here. Version 0.0.4 breaks off at a video without proposals, so that
every video here has some.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.metrics.segment_matching import RECALL_IOUS
from pipelines.metrics.segments import AP_IOUS, AR_COUNTS, localization


def corpus(seed: int) -> tuple[dict[str, list[list[float]]], dict[str, list[list[float]]]]:
    """Return truth and rows (score, start, end) of 60 videos, near the truth and far from it."""
    rng = np.random.default_rng(seed)
    truth, rows = {}, {}
    for number in range(60):
        segments = np.sort(rng.uniform(0, 10, (int(rng.integers(0, 4)), 2)), axis=1)
        near = segments + rng.normal(0, 0.1, segments.shape)
        far = np.sort(rng.uniform(0, 10, (int(rng.integers(1, 60)), 2)), axis=1)
        spans = np.concatenate([near, far])
        spans = spans[spans[:, 1] > spans[:, 0]]
        scores = rng.random((len(spans), 1))
        truth[f"{number}.mp4"] = segments.tolist()
        rows[f"{number}.mp4"] = rng.permutation(np.hstack([scores, spans])).round(4).tolist()
    return truth, rows


@pytest.mark.parametrize("seed", range(3))
def test_the_authors_scorer_gives_the_same_numbers(tmp_path: Path, seed: int) -> None:
    scorer = pytest.importorskip("avdeepfake1m.evaluation")
    truth, rows = corpus(seed)
    (tmp_path / "p.json").write_text(json.dumps(rows))
    metadata = [{"file": name, "fake_segments": spans} for name, spans in truth.items()]
    (tmp_path / "t.json").write_text(json.dumps(metadata))
    theirs = scorer.ap_ar_1d(
        str(tmp_path / "p.json"), str(tmp_path / "t.json"), "file", "fake_segments", 1.0,
        list(AP_IOUS["av1m"]), list(AR_COUNTS["av1m"]), list(RECALL_IOUS),
    )  # fmt: skip
    ours = localization(rows, truth, "av1m")
    for iou, value in theirs["ap"].items():  # its keys are float32
        assert ours.average_precision[round(float(iou), 2)] == pytest.approx(value, abs=1e-6)
    for count, value in theirs["ar"].items():
        assert ours.average_recall[int(count)] == pytest.approx(value, abs=1e-6)
    assert len(theirs["ap"]) == len(AP_IOUS["av1m"])
