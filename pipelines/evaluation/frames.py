"""Pooling of frame scores into video scores, by the rules of the field's detectors.

Published numbers of one detector differ by percentage points with the pooling rule, so the rule
has a name, and the AUC of every rule is reported beside the chosen one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.metrics.classification import auc, average_precision, balanced_accuracy, eer
from pipelines.results.reading import Row, results_of
from pipelines.storage.media_files import SUFFIXES
from pipelines.storage.tables import OUR_NAMES, Columns, open_table

FLOOR = 1e-7  # least distance of a probability from 0 and 1, so that logits are finite
CLIP, MOST = 25, 110  # frames of a clip of LipForensics, and the most that it reads of a video
SAMPLED = 15  # frames that GenConViT samples from a video
LAYOUT = {"frames", "videos"}  # folders by which DeepfakeBench's paths differ from the data sets'


def _logits(scores: Doubles) -> Doubles:
    probability = scores.clip(FLOOR, 1 - FLOOR)
    return np.log(probability) - np.log1p(-probability)


def _probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def _mean_of_clips(scores: Doubles) -> float:
    whole = min(len(scores), MOST) // CLIP * CLIP
    return _probability(float(_logits(scores[: whole or None]).mean()))


def _log_sum(scores: Doubles) -> float:
    return _probability(float(np.logaddexp.reduce(_logits(scores))))


def _mean_of_samples(scores: Doubles) -> float:
    return float(scores[:: max(1, len(scores) // SAMPLED)].mean())


POOLS: dict[str, Callable[[Doubles], float]] = {  # P(fake) of frames (F,), in order -> of a video
    "deepfakebench": lambda scores: float(scores.mean()),
    "lipforensics": _mean_of_clips,
    "av1m": lambda scores: float(scores.max()),
    "avh-align": _log_sum,
    "genconvit": _mean_of_samples,
}


def pooled(scores: Doubles, rule: str) -> float:
    """Return P(fake) of a video from the P(fake) of its frames (F >= 1,) in order.

    - "deepfakebench": the mean.
    - "lipforensics": the mean logit over whole clips of 25 frames among the first 110; over all
      frames of a video that is shorter than a clip.
    - "av1m": the highest, as AV-Deepfake1M's Xception baseline has it.
    - "avh-align": the log of the summed odds, as a probability: near 1 for any long video, so
      that it ranks videos but is not calibrated.
    - "genconvit": the mean over every (F // 15)th frame.

    Raises:
        InputError: the rule is unknown.
    """
    if rule not in POOLS:
        raise InputError(f"expected a rule of {', '.join(POOLS)}, got {rule!r}")
    return POOLS[rule](scores)


def read_frame_scores(path: Path, columns: Columns = OUR_NAMES) -> dict[str, Doubles]:
    """Return P(fake) of the frames (F,) of each video, in the file's order.

    The file has one row per frame: `score`, and either `video` or `frame`, the path of a picture
    in a folder named after its video.

    Raises:
        InputError: a column is missing, a score is not a probability, or there is no row.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    table = open_table(path, columns)
    if "score" not in table.kinds or not {"video", "frame"} & set(table.kinds):
        raise InputError(
            f"{path}: expected columns score and video or frame, got "
            f"{', '.join(table.names) or 'none'}; scores of clips have path instead, and --columns "
            "path=NAME,score=NAME tells which are meant"
        )
    for place, row in table.rows():
        name = row["video"] if "video" in table.kinds else _folder(row["frame"] or "")
        scores[name or ""].append(_checked(row["score"], place))
    if not scores:
        raise InputError(f"{path}: has no frame")
    return {name: np.array(values) for name, values in scores.items()}


def _folder(frame: str) -> str:
    """Return the folder of a picture; DeepfakeBench's lists write paths as Windows does."""
    return str(PurePath(frame.replace("\\", "/")).parent)


def _checked(word: str | None, place: str) -> float:
    try:
        score = float(word or "")
    except ValueError:
        score = float("nan")
    if not 0 <= score <= 1:
        raise InputError(f"{place}: expected a score from 0 to 1, got {word!r}")
    return score


def frames_of(samples: Sequence[Sample], frames: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """Return the frame scores of each video of the truth, by its path; suffixes are ignored."""
    bare = {_bare(sample.path): str(sample.path) for sample in samples}
    rows: dict[str, Row] = {}
    for name, scores in frames.items():
        if (key := str(_bare(PurePath(name)))) in rows:
            raise InputError(f"the frames name the video {key} in two ways")
        rows[key] = {"frames": scores}
    matches = results_of([Path(path) for path in bare], rows)
    return {bare[Path(path)]: row["frames"] for path, row in matches.items()}


def _bare(path: PurePath) -> PurePath:
    short = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return Path(*(part for part in short.parts if part not in LAYOUT))


def pooled_results(frames: Mapping[str, Doubles], rule: str) -> dict[str, Row]:
    """Return results by path in the form of evaluation: visual scores without segments."""
    return {
        path: {"path": path, "status": "frames", "score": score, "visual_score": score}
        for path, scores in frames.items()
        for score in [pooled(scores, rule)]
    }


def frame_metrics(
    samples: Sequence[Sample], frames: Mapping[str, Doubles], rule: str
) -> dict[str, Any]:
    """Return metrics over frames, each with its video's label, and the AUC of each rule.

    EER is DeepfakeBench's. Without videos of both classes there are only the counts.

    Args:
        samples: the truth.
        frames: by path, from `frames_of`.
        rule: the rule by which the videos' scores were pooled.
    """
    labelled = [(float(s.fake), f) for s in samples if (f := frames.get(str(s.path))) is not None]
    labels, scores = np.array([fake for fake, _ in labelled]), [values for _, values in labelled]
    metrics: dict[str, Any] = {
        "rule": rule,
        "videos": len(labelled),
        "frames": sum(map(len, scores)),
    }
    if len(np.unique(labels)) < 2:
        return metrics
    everyone = np.repeat(labels, [len(values) for values in scores]), np.concatenate(scores)
    return metrics | {
        "auc": auc(*everyone), "ap": average_precision(*everyone),
        "eer": eer(*everyone, variant="deepfakebench"),
        "balanced_accuracy": balanced_accuracy(*everyone),
        "auc_by_rule": {
            name: auc(labels, [pooled(values, name) for values in scores]) for name in POOLS
        },
    }  # fmt: skip
