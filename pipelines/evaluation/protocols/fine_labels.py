"""Fine-grained labels: not only whether a clip is forged, but what about it, platform by platform.

After FineFake (Zhou and others, 2024), whose labels tell news apart by what is wrong with them: 0
real, 1 text and image do not fit, 3 the text is made up, 4 the image is. Of a video they become: 1
lips and sound do not fit, 3 the sound is forged, 4 the picture is. Its labels 2 (against knowledge)
and 5 (other) have no counterpart. In its files the binary label is 1 for *real*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.data.samples import Sample
from pipelines.evaluation.markdown import head, line, text
from pipelines.evaluation.protocols.cross_set import set_of
from pipelines.evaluation.protocols.scored import Results, mean_of, scored_clips

LABELS = {0: "real", 1: "lips and sound do not fit", 3: "sound forged", 4: "picture forged"}
TRACKS = {1: "sync", 3: "audio", 4: "visual"}


def true_labels(sample: Sample) -> set[int]:
    """Return the labels of a clip; none of a fake whose forged track is unknown."""
    if not sample.fake:
        return {0}
    return {label for label, track in TRACKS.items() if getattr(sample, track)}


def found_label(result: Mapping[str, Any], threshold: float = 0.5) -> int | None:
    """Return the label of a result: of a fake, its track of the highest score; None: no score."""
    if result.get("score") is None:
        return None
    if result["score"] < threshold:
        return 0
    scores = {label: result.get(f"{track}_score") for label, track in TRACKS.items()}
    known = {label: score for label, score in scores.items() if score is not None}
    return max(known, key=lambda label: known[label]) if known else None


def fine_labels(
    samples: Sequence[Sample], results: Results, left_out: Mapping[str, Results]
) -> dict[str, Any]:
    """Return how well labels are told, and the metrics on each platform.

    A clip with several labels is right if the one that was found is among them, and its row in the
    table is the first of them.

    Args:
        samples: clips with their platforms (`domain`, or else `source`).
        results: by path, of a detector that saw none of the platforms, or all.
        left_out: results by path, by the platform that was left out of training: they take the
            place of `results` on that platform.
    """
    platforms = sorted({set_of(sample) for sample in samples})
    rows = []
    judged: list[tuple[set[int], int]] = []
    for platform in platforms:
        members = [s for s in samples if set_of(s) == platform]
        own = left_out.get(platform, results)
        told = [
            (true, found)
            for sample in members
            if (true := true_labels(sample))
            and (found := found_label(own.get(str(sample.path), {}))) is not None
        ]
        judged += told
        rows.append({
            "platform": platform, "left_out": platform in left_out, "given": len(members),
            **scored_clips(members, own).metrics(), **_accuracy(told),
        })  # fmt: skip
    table = {LABELS[a]: {LABELS[b]: 0 for b in LABELS} for a in LABELS}
    for true, found in judged:
        table[LABELS[min(true)]][LABELS[found]] += 1
    return {
        "platforms": rows, "labels": table, **_accuracy(judged),
        "mean_auc": mean_of(rows, "auc"),
        "worst": min((r for r in rows if "auc" in r), key=lambda r: r["auc"], default={}).get(
            "platform"),
    }  # fmt: skip


def _accuracy(told: Sequence[tuple[set[int], int]]) -> dict[str, Any]:
    """Return the share of right labels, and its mean over the true labels."""
    if not told:
        return {"told": 0}
    shares = []
    for label in LABELS:
        own = [found in true for true, found in told if label in true]
        shares += [float(np.mean(own))] if own else []
    return {
        "told": len(told), "label_accuracy": float(np.mean([f in true for true, f in told])),
        "label_recall": float(np.mean(shares)),
    }  # fmt: skip


def fine_labels_table(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table of platforms, and one of true against found labels."""
    lines = head(["platform", "left out of training", "fakes", "genuine", "AUC", "label right",
                  "recall, mean of labels"])  # fmt: skip
    keys = ("auc", "label_accuracy", "label_recall")
    for row in metrics["platforms"]:
        out = "yes" if row["left_out"] else "not said"
        cells = (text(row.get(key)) for key in keys)
        lines.append(line([row["platform"], out, row["fakes"], row["reals"], *cells]))
    lines += ["", *head(["true label, found as", *LABELS.values()])]
    lines += [line([name, *row.values()]) for name, row in metrics["labels"].items()]
    return lines
