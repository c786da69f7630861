"""Evaluation of heads on the dev clips of a recipe, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion.heads.closed import FamilyHead, LaunderingHead, TypeHead, mean_proxy
from fusion.heads.open import OpenFamilyHead
from pipelines.config import find_config, load_config
from pipelines.metrics.attribution import (
    cluster_accuracy,
    mean_interval,
    multi_label_metrics,
    resampled,
    tag_metrics,
)
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.zoo.anomaly import evaluate_anomaly
from pipelines.zoo.head_clips import HeadClips, head_clips, kind_of
from pipelines.zoo.heads import HEADS, load_head, newcomer_cosines
from pipelines.zoo.liveness import evaluate_liveness
from pipelines.zoo.map_board import evaluate_map
from pipelines.zoo.parts import SHIPPED

Row = dict[str, Any]  # a number and its interval by name
SHOTS = (1, 3, 5)  # clips by which a new generator is registered
FEWEST = 8  # clips that a generator needs to be registered
DRAWS = 50  # random choices of the clips to register by
# The kinds that are measured on forgeries drawn on genuine crops.
DRAWN = {"map": evaluate_map, "liveness": evaluate_liveness, "anomaly": evaluate_anomaly}


def evaluate_heads(
    data: Path, out: Path, names: Sequence[str] = (), weights: Path = SHIPPED
) -> dict[str, Row]:
    """Return the metrics of each head on the dev clips of a recipe, by name.

    Args:
        data: a training recipe (YAML), which names the clips.
        out: folder of runs, where the experts' outputs are cached.
        names: of the heads; empty: all of the project.
        weights: folder of their weights.

    Raises:
        ConfigError: a head or its weights cannot be used.
        OSError, ValueError: a manifest cannot be read.
    """
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    samples = [s for s in read_samples(recipe.data) if s.split == "dev"]
    rows: dict[str, Row] = {}
    for name in names or sorted(path.stem for path in find_config(HEADS).glob("*.yaml")):
        path = HEADS / f"{name}.yaml"
        file = weights / f"{path.stem}.safetensors"
        kind = kind_of(path)
        if kind in DRAWN:
            rows[name] = DRAWN[kind](file, samples, recipe, out)
            continue
        head, config = load_head(file)
        clips = head_clips(config, samples, recipe, out)
        labels = list(config.labels)
        if isinstance(head, TypeHead):
            measured = measured_types(head, labels, clips)
        elif isinstance(head, FamilyHead):
            measured = measured_families(head, labels, clips)
        else:
            measured = measured_laundering(head, clips)
        rows[name] = {"title": config.title, **measured}
    return rows


@torch.inference_mode()
def measured_types(head: TypeHead, labels: Sequence[str], clips: HeadClips) -> Row:
    """Return the multi-label metrics on clips that are genuine or have a label."""
    labelled = clips.labelled
    truth = clips.targets[labelled].numpy()
    scores = (head(clips.vectors[labelled]) - head.thresholds).numpy()
    whole = _label_metrics(truth, scores)
    row: Row = {"clips": len(truth), "forged": int(truth.any(axis=1).sum())}
    for name, value in whole.items():
        row[name] = (value, *resampled(partial(_resampled_labels, truth, scores, name), len(truth)))
    counts = truth.sum(axis=1)
    for count in (1, 2, 3):
        members = counts == count
        if members.any():
            right = truth[members][np.arange(members.sum()), scores[members].argmax(axis=1)]
            row[f"any_correct of {count}"] = mean_interval(right)
    pictured = clips.pictured[labelled].numpy()
    for label, column, score in zip(labels, truth.T, scores.T, strict=True):
        # a label that only clips with a face have is compared among those alone: otherwise telling
        # pictures from sound would be enough
        fair = pictured if not column[~pictured].any() else np.ones_like(pictured)
        if 0 < column[fair].sum() < fair.sum():
            title = f"AUC of {label}, {int(column.sum())} of {int(fair.sum())} clips"
            compared = column[fair], score[fair]
            row[title] = (auc(*compared), *bootstrap_interval(auc, *compared))
    return row


def _resampled_labels(
    truth: NDArray[np.float32], scores: NDArray[np.float32], name: str, picks: NDArray[np.intp]
) -> float:
    return _label_metrics(truth[picks], scores[picks])[name]


def _label_metrics(truth: NDArray[np.float32], scores: NDArray[np.float32]) -> dict[str, float]:
    return multi_label_metrics(truth, scores, 0.0) | tag_metrics(truth, scores, 0.0)


@torch.inference_mode()
def measured_laundering(head: LaunderingHead, clips: HeadClips) -> Row:
    """Return accuracies and AUCs of real, laundered and synthetic clips, by stage and overall."""
    labelled = clips.labelled
    vectors, targets = clips.vectors[labelled], clips.targets[labelled]
    truth = (targets @ torch.tensor([1.0, 2.0])).long().numpy()
    predicted, logits = head.classes(vectors).numpy(), head(vectors).numpy()
    row: Row = {}
    shares = []
    for place, name in enumerate(("real", "laundered", "synthetic")):
        members = truth == place
        if members.any():
            row[f"right of {int(members.sum())} {name}"] = mean_interval(
                predicted[members] == place
            )
            shares.append(row[f"right of {int(members.sum())} {name}"][0])
    row["balanced accuracy"] = float(np.mean(shares))
    forged = truth > 0
    for title, compared in (
        ("AUC of forged against real", (forged.astype(float), logits[:, 0])),
        ("AUC of synthetic against laundered", ((truth == 2)[forged], logits[forged, 1])),
    ):
        if 0 < compared[0].sum() < len(compared[0]):
            row[title] = (auc(*compared), *bootstrap_interval(auc, *compared))
    return row


@torch.inference_mode()
def measured_families(head: FamilyHead, labels: Sequence[str], clips: HeadClips) -> Row:
    """Return metrics of attribution to families, open-set rejection and few-shot registration.

    Clips of known families are of generators that were not in training, but whose family was.
    Strangers are generators of no known family, newcomers those registered by a few clips.
    """
    cosines = head(clips.vectors)
    nearest, which = (t.numpy() for t in cosines.max(dim=1))
    known = (clips.targets == 1).any(dim=1).numpy()
    stranger, genuine = ~clips.labelled.numpy(), (clips.targets == 0).all(dim=1).numpy()
    truth = clips.targets.nan_to_num(0.0).argmax(dim=1).numpy()
    row: Row = {"known": int(known.sum()), "strangers": int(stranger.sum())}
    row["genuine"] = int(genuine.sum())
    right = (which == truth)[known]
    counts = Counter(truth[known].tolist())
    row["family right"] = mean_interval(right)
    row["always the commonest family"] = max(counts.values()) / int(known.sum())
    for family in counts:
        row[f"right of {labels[family]}"] = mean_interval(right[truth[known] == family])
    threshold = float(head.threshold)
    for title, members in (("known", known), ("strangers", stranger), ("genuine", genuine)):
        if members.any():
            row[f"{title} called unknown"] = mean_interval(nearest[members] < threshold)
    if stranger.any():
        both = known | stranger
        compared = stranger[both].astype(float), -nearest[both]
        row["AUC of strangers against known"] = (
            auc(*compared),
            *bootstrap_interval(auc, *compared),
        )
    described, methods = head.describe(clips.vectors), np.array(clips.methods)
    forged = known | stranger
    if isinstance(head, OpenFamilyHead) and stranger.any():
        own_classes = head.clusters(clips.vectors[torch.from_numpy(stranger)]).numpy()
        row |= clustered("strangers by the head's classes:", methods[stranger], own_classes)
    pairs = newcomer_cosines(described, clips.methods, torch.from_numpy(forged))
    if pairs is not None:
        cosines, own = pairs
        near = (cosines >= head.newcomer).numpy()
        row["own clips near enough to a newcomer"] = mean_interval(near[own.numpy()])
        row["other clips near enough to it"] = mean_interval(near[~own.numpy()])
    return row | newcomers(described[forged], methods[forged])


def newcomers(described: Tensor, methods: NDArray[np.str_]) -> Row:
    """Return the few-shot accuracy of attribution to generators registered by a few clips each.

    Also the agreement of k-means clusters, as many as generators, with the generators.
    """
    from sklearn.cluster import KMeans

    counts = Counter(methods.tolist())
    names = sorted(name for name, count in counts.items() if count >= FEWEST)
    row: Row = {"generators to register": len(names)}
    if len(names) < 2:
        return row
    places = [np.flatnonzero(methods == name) for name in names]
    for shots in SHOTS:
        shares = [_few_shots(described, places, shots, seed) for seed in range(DRAWS)]
        low, high = np.quantile(shares, [0.025, 0.975])
        row[f"right by {shots} clips"] = (float(np.mean(shares)), float(low), float(high))
    row["right by chance"] = 1 / len(names)
    chosen = np.concatenate(places)
    clusters = KMeans(len(names), n_init=10, random_state=0).fit_predict(described[chosen].numpy())
    return row | clustered("cluster", methods[chosen], clusters)


def clustered(title: str, methods: NDArray[np.str_], clusters: NDArray[np.int_]) -> Row:
    """Return the agreement of clusters (N,) with generators (N,): Hungarian accuracy, NMI, ARI."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return {
        f"{title} accuracy": cluster_accuracy(methods, clusters),
        f"{title} NMI": float(normalized_mutual_info_score(methods, clusters)),
        f"{title} ARI": float(adjusted_rand_score(methods, clusters)),
    }


def _few_shots(
    described: Tensor, places: Sequence[NDArray[np.intp]], shots: int, seed: int
) -> float:
    """Return the nearest-proxy accuracy on the clips not registered, averaged over generators."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(own) for own in places]
    proxies = torch.stack([mean_proxy(described[own[:shots]]) for own in drawn])
    nearest = [(described[own[shots:]] @ proxies.T).argmax(dim=1) for own in drawn]
    return float(np.mean([(n == i).float().mean().item() for i, n in enumerate(nearest)]))


def heads_table(rows: Mapping[str, Row]) -> str:
    """Return the rows as Markdown, one table per head."""
    lines: list[str] = []
    for name, row in rows.items():
        lines += ["", f"### {name}: {row['title']}", "", "| what | value (95 %) |", "|---|---|"]
        lines += [f"| {key} | {_cell(value)} |" for key, value in row.items() if key != "title"]
    return "\n".join(lines).lstrip("\n") + "\n"


def _cell(value: int | float | tuple[float, float, float]) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.2f} ({value[1]:.2f}–{value[2]:.2f})"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
