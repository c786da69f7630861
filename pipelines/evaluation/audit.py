"""Shortcut audit: how well container and level statistics alone tell fake from real.

A plain logistic regression, blind to faces and voices. Where it tells fake from real, a detector
may have used the same shortcut, and its AUC on these clips proves little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Doubles
from extractors.errors import InputError
from extractors.media import Clip, MediaError, open_media
from pipelines.data.samples import Sample
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.progress import OnStep

Statistics = Mapping[str, float | str]
SUSPICIOUS = 0.6  # the audit's AUC above which a result is to be read with care
SILENCE = 0.01  # of full scale (-40 dB): what lies below counts as silence
RATE = 16000  # of the waveforms of `extractors.media`
FOLDS = 5


def audit(
    samples: Sequence[Sample],
    train: Sequence[Sample] = (),
    model_auc: float | None = None,
    read: Callable[[Path], Statistics] | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the AUC of the statistics alone, beside the model's, and a sentence on its meaning.

    Args:
        samples: the clips that the model was measured on; the audit is cross-validated on them,
            and no person is in two folds.
        train: clips to fit on; with them the audit is also fitted there and measured on `samples`.
        model_auc: of the model on `samples`.
        read: clip -> statistics. Default: `clip_statistics`.
        on_step: called with the number of clips read and the total.

    Raises:
        InputError: fewer than ten readable clips of a class.
    """
    table: dict[Path, Statistics] = {}
    everyone = [*samples, *train]
    for done, sample in enumerate(everyone, 1):
        with suppress(MediaError):  # counted: the report has both `given` and `read`
            table[sample.path] = (read or clip_statistics)(sample.path)
        on_step(done, len(everyone))
    judged = [sample for sample in samples if sample.path in table]
    labels = np.array([sample.fake for sample in judged], dtype=float)
    if min(labels.sum(), len(labels) - labels.sum()) < 2 * FOLDS:
        raise InputError(f"the audit needs {2 * FOLDS} readable clips of each class")
    rows = [table[sample.path] for sample in judged]
    groups = [sample.person or str(sample.path) for sample in judged]
    report: dict[str, Any] = {"given": len(samples), "read": len(judged)}
    report |= _rated("auc", labels, _cross_validated(rows, labels, groups))
    report["strongest"] = _strongest(rows, labels)
    fitted = [sample for sample in train if sample.path in table]
    if len({sample.fake for sample in fitted}) == 2:
        model = _model().fit([table[s.path] for s in fitted], [s.fake for s in fitted])
        report["train_read"] = len(fitted)
        report |= _rated("train_to_dev_auc", labels, model.predict_proba(rows)[:, 1])
    report["model_auc"] = model_auc
    return report | {"words": _words(report)}


def clip_statistics(path: Path) -> dict[str, float | str]:
    """Return statistics of a file's container and of the levels of its first five seconds.

    Raises:
        MediaError: the file cannot be decoded.
    """
    with open_media(path) as reader:
        info, clip = reader.info, next(reader, None)
    row: dict[str, float | str] = {
        "duration": info.duration,
        "fps": info.fps or 0.0,
        "width": float(info.width or 0),
        "height": float(info.height or 0),
        "bits a second": np.log10(8 * path.stat().st_size / max(info.duration, 0.04)),
        "sample rate": float(info.sample_rate or 0),
        "video codec": info.video_codec or "none",
        "audio codec": info.audio_codec or "none",
    }
    return row if clip is None else row | _levels(clip)


def _levels(clip: Clip) -> dict[str, float | str]:
    import cv2

    row: dict[str, float | str] = {}
    if clip.waveform is not None and len(clip.waveform):
        loud = np.flatnonzero(np.abs(clip.waveform) > SILENCE)
        first = loud[0] if len(loud) else len(clip.waveform)
        row["loudness"] = 10 * np.log10(np.square(clip.waveform).mean() + 1e-10)
        row["leading silence"] = float(first) / RATE
    if clip.frames is not None and len(clip.frames):
        greys = [
            cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in clip.frames[:: len(clip.frames) // 4 + 1]
        ]
        row["brightness"] = float(np.mean([grey.mean() for grey in greys]))
        edges = np.mean([cv2.Laplacian(grey, cv2.CV_64F).var() for grey in greys])
        row["sharpness"] = float(np.log10(edges + 1e-3))
    return row


def _model() -> Any:  # scikit-learn has no types
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(class_weight="balanced", max_iter=1000)
    return make_pipeline(DictVectorizer(sparse=False), StandardScaler(), regression)


def _cross_validated(rows: list[Statistics], labels: Doubles, groups: list[str]) -> Doubles:
    """Return P(fake) of each clip by a regression that was fitted on no clip of its person."""
    from sklearn.model_selection import StratifiedGroupKFold

    values = np.full(len(labels), labels.mean())
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for seen, kept in folds.split(rows, labels, groups):
        if len(kept) and len(np.unique(labels[seen])) == 2:
            model = _model().fit([rows[i] for i in seen], labels[seen])
            values[kept] = model.predict_proba([rows[i] for i in kept])[:, 1]
    return values


def _strongest(rows: list[Statistics], labels: Doubles, count: int = 3) -> list[str]:
    """Return the statistics with the largest weights, the largest first."""
    model = _model().fit(rows, labels)
    weights = np.abs(model[-1].coef_[0])
    names = model[0].get_feature_names_out()
    return [str(names[i]) for i in np.argsort(-weights, kind="stable")[:count]]


def _rated(name: str, labels: Doubles, values: Doubles) -> dict[str, Any]:
    interval = bootstrap_interval(auc, labels, values)
    return {name: auc(labels, values), f"{name}_interval": interval}


def _words(report: Mapping[str, Any]) -> str:
    """Return the audit's result as a sentence."""
    worst = max(report["auc"], report.get("train_to_dev_auc", 0.0))
    model = "" if report["model_auc"] is None else f"; the model reaches {report['model_auc']:.2f}"
    if worst <= SUSPICIOUS:
        return f"Container and levels alone reach an AUC of {worst:.2f}: no shortcut found{model}."
    return (
        f"SHORTCUT: container and levels alone reach an AUC of {worst:.2f}, above {SUSPICIOUS}, "
        f"chiefly by {', '.join(report['strongest'])}{model}. Rebalance these clips or make them "
        "alike before trusting a result on them."
    )
