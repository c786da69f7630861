"""Cross-set evaluation: one detector on its own data set and on those that it never saw.

After DeepfakeBench (Yan and others, NeurIPS 2023): trained on one set, tested within it, whole and
method by method, and on each other set; a video's score is the mean of its frames' scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.evaluation.markdown import head, line, text
from pipelines.evaluation.protocols.scored import Results, ScoredClips, mean_of, scored_clips
from pipelines.metrics.classification import auc

METRICS = {"auc": "AUC", "frame_auc": "AUC of frames", "accuracy": "accuracy at 0.5", "eer": "EER",
           "ap": "AP"}  # fmt: skip


def set_of(sample: Sample) -> str:
    """Return the data set that a clip belongs to: its domain, or else its source."""
    return sample.domain or sample.source


def cross_set(
    samples: Sequence[Sample],
    results: Results,
    within: str,
    frames: Mapping[str, Doubles] | None = None,
) -> dict[str, Any]:
    """Return the metrics of each set, of each method and compression of `within`, and the means.

    Args:
        samples: clips of several sets.
        results: by path, of a detector that was trained on `within`.
        within: the set that it was trained on.
        frames: P(fake) of the frames (F,) by path, for the AUC over frames.

    Raises:
        InputError: no clip is of the set `within`.
    """
    names = sorted({set_of(sample) for sample in samples})
    if within not in names:
        raise InputError(f"no clip is of {within!r}; the truth has {', '.join(names) or 'none'}")

    def row(name: str, members: Sequence[Sample]) -> dict[str, Any]:
        clips = scored_clips(members, results)
        found = clips.metrics() | _over_frames(clips, frames or {})
        return {"set": name, "given": len(members), **found}

    home = [s for s in samples if set_of(s) == within]
    parts = {within: home}
    for method in sorted({s.method for s in home if s.fake}):
        parts[f"{within}: {method}"] = [s for s in home if s.method in (method, "real")]
    for level in sorted({_quality(s) for s in home} - {""}):
        parts[f"{within}: {level}"] = [s for s in home if _quality(s) == level]
    own = [row(name, members) for name, members in parts.items()]
    others = [row(n, [s for s in samples if set_of(s) == n]) for n in names if n != within]
    return {
        "within": within, "own": own, "others": others,
        "mean_within": {key: mean_of(own, key) for key in METRICS},
        "mean_cross": {key: mean_of(others, key) for key in METRICS},
    }  # fmt: skip


def _quality(sample: Sample) -> str:
    return dict(sample.groups).get("quality", "")


def _over_frames(clips: ScoredClips, frames: Mapping[str, Doubles]) -> dict[str, float]:
    """Return the AUC over frames, each with its video's label."""
    held = [
        (label, found)
        for sample, label in zip(clips.samples, clips.labels, strict=True)
        if (found := frames.get(str(sample.path))) is not None
    ]
    if len({label for label, _ in held}) < 2:
        return {}
    labels = np.repeat([label for label, _ in held], [len(found) for _, found in held])
    return {"frame_auc": auc(labels, np.concatenate([found for _, found in held]))}


def cross_set_table(metrics: Mapping[str, Any]) -> list[str]:
    """Return a row per set, and one for either mean."""
    lines = head([f"trained on {metrics['within']}", "fakes", "genuine", "given",
                  *METRICS.values()])  # fmt: skip
    for row in [*metrics["own"], *metrics["others"]]:
        counts = [row["fakes"], row["reals"], row["given"]]
        lines.append(line([row["set"], *counts, *(text(row.get(key)) for key in METRICS)]))
    for name in ("within", "cross"):
        means = metrics[f"mean_{name}"]
        lines.append(line([f"mean {name}", "", "", "", *(text(means[key]) for key in METRICS)]))
    return lines
