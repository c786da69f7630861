"""ActivityNet's scorer once more in plain Python: the same numbers, and how much longer it takes.

AV-Deepfake1M's own scorer is timed too where `pip install avdeepfake1m` has put it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.metrics.segment_matching import RECALL_IOUS
from pipelines.metrics.segments import AP_IOUS, AR_COUNTS, localization

Table = dict[str, list[list[float]]]


def corpus(videos: int, proposals: int, seed: int = 0) -> tuple[Table, Table]:
    """Return rows (score, start, end) and truth; a quarter of the videos is genuine."""
    rng = np.random.default_rng(seed)
    rows: Table = {}
    truth: Table = {}
    for number in range(videos):
        segments = int(rng.integers(1, 4)) if number % 4 else 0
        starts = 3.0 * np.arange(segments)
        spans = np.stack([starts, starts + rng.uniform(0.2, 2, segments)], axis=1)
        begin = rng.uniform(0, 9, proposals)
        table = np.stack([rng.random(proposals), begin, begin + rng.uniform(0.1, 2, proposals)], 1)
        near = proposals // 3 if segments else 0
        table[:near, 1:] = spans[rng.integers(0, max(segments, 1), near)] if near else 0
        table[:near, 1:] += rng.normal(0, 0.05, (near, 2))
        table[:, 2] = np.maximum(table[:, 2], table[:, 1] + 0.04)
        rows[f"{number}.mp4"] = table[np.argsort(-table[:, 0])].tolist()
        truth[f"{number}.mp4"] = spans.tolist()
    return rows, truth


def plain_precision(rows: Table, truth: Table) -> dict[float, float]:
    """Return AP by IoU as ActivityNet defines it, loop by loop."""
    pooled = sorted(
        ((row[0], name, row[1], row[2]) for name, table in rows.items() for row in table),
        reverse=True,
    )
    total = sum(len(spans) for spans in truth.values())
    taken = {(t, n): [False] * len(spans) for t in RECALL_IOUS for n, spans in truth.items()}
    hits: dict[float, list[bool]] = {t: [] for t in RECALL_IOUS}
    for _, name, start, end in pooled:
        overlaps = []
        for low, high in truth[name]:
            shared = max(0.0, min(end, high) - max(start, low))
            overlaps.append(shared / max((end - start) + (high - low) - shared, 1e-8))
        ranked = sorted(range(len(overlaps)), key=lambda i: -overlaps[i])
        for t in RECALL_IOUS:
            free = taken[t, name]
            best = next((i for i in ranked if overlaps[i] >= t and not free[i]), None)
            hits[t].append(best is not None)
            if best is not None:
                free[best] = True
    return {t: interpolated(found, total) for t, found in hits.items()}


def interpolated(hits: list[bool], total: int) -> float:
    found, curve = 0, []
    for place, hit in enumerate(hits, 1):
        found += hit
        curve.append((found / total, found / place))
    area, best, recall = 0.0, 0.0, curve[-1][0]
    for reached, precision in reversed(curve):
        area += (recall - reached) * best
        best, recall = max(best, precision), reached
    return area + recall * best


def test_plain_loops_give_the_same_precision() -> None:
    rows, truth = corpus(60, 40)
    ours = localization(rows, truth, "activitynet").average_precision
    theirs = plain_precision(rows, truth)
    assert list(ours) == list(theirs)
    assert list(ours.values()) == pytest.approx(list(theirs.values()), abs=1e-9)
    assert 0.05 < ours[0.5] < 0.95


def seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


@pytest.mark.slow
def test_the_scorer_is_faster_than_plain_python(tmp_path: Path) -> None:
    videos = 3000
    rows, truth = corpus(videos, 100)
    ours, plain = "activitynet, avdetect, AP and AR", "activitynet, plain Python, AP alone"
    taken = {
        plain: seconds(lambda: plain_precision(rows, truth)),
        ours: seconds(lambda: localization(rows, truth, "activitynet")),
        "av1m, avdetect, AP and AR": seconds(lambda: localization(rows, truth, "av1m")),
    }  # fmt: skip
    try:
        from avdeepfake1m.evaluation import ap_ar_1d  # type: ignore[import-not-found]
    except ImportError:
        pass
    else:
        (tmp_path / "p.json").write_text(json.dumps(rows))
        metadata = [{"file": name, "fake_segments": spans} for name, spans in truth.items()]
        (tmp_path / "t.json").write_text(json.dumps(metadata))
        taken["av1m, its authors, AP and AR, with reading"] = seconds(
            lambda: ap_ar_1d(
                str(tmp_path / "p.json"), str(tmp_path / "t.json"), "file", "fake_segments", 1.0,
                list(AP_IOUS["av1m"]), list(AR_COUNTS["av1m"]), list(RECALL_IOUS),
            )
        )  # fmt: skip
    for name, value in taken.items():
        print(f"{videos} videos of 100 proposals, {name}: {value:.2f} s of processor time")
    assert taken[ours] < taken[plain]


MEASURE = """
import json, resource, sys, time
from pathlib import Path
from pipelines.evaluation.segments import segment_file_metrics
found = segment_file_metrics(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([found["proposals"], time.process_time(), peak]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["activitynet", "av1m", "avdetect"])
def test_ten_million_proposals_take_a_minute_and_two_gigabytes(
    protocol: str, tmp_path: Path
) -> None:
    rows, truth = corpus(1000, 100)  # a hundred times under other names: quickly written
    proposals, metadata = tmp_path / "p.json", tmp_path / "t.json"
    with proposals.open("w") as file:
        texts = {
            name: json.dumps([[round(value, 4) for value in row] for row in table])
            for name, table in rows.items()
        }
        for turn in range(100):
            lead = "," if turn else "{"
            for name, text in texts.items():
                file.write(f'{lead}"{turn}_{name}": {text}')
                lead = ","
        file.write("}")
    entries = [
        {"file": f"{turn}_{name}", "fake_segments": spans}
        for turn in range(100)
        for name, spans in truth.items()
    ]
    metadata.write_text(json.dumps(entries))
    command = [sys.executable, "-c", MEASURE, str(proposals), str(metadata), protocol]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, taken, peak = json.loads(done.stdout)
    print(f"{count} proposals, {protocol}, with reading: {taken:.0f} s, {peak:.2f} GiB")
    assert count == 10_000_000
    assert taken < 60
    assert peak < 2
