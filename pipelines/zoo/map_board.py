"""Evaluation of a map of forgeries: spatial localization on the dev clips of a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extractors.media import MediaError
from pipelines.data.samples import Sample
from pipelines.evidence.forgery_map import Locator, load_map, stem_of
from pipelines.metrics.attribution import mean_interval
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.train.recipe import TrainConfig
from pipelines.zoo.head_clips import opening_detector
from pipelines.zoo.map_truth import twin_chunk
from pipelines.zoo.maps import FORGED, MapChunk, genuine_faces, held_chunks
from temporal.forgery_map import map_cosine, map_psnr, map_ssim

Row = dict[str, Any]  # a number and its interval by name
FEWEST = 5  # files that a method needs for a line of its own
ON_FACE = "AUC of the face's cells"


def evaluate_map(weights: Path, samples: Sequence[Sample], recipe: TrainConfig, out: Path) -> Row:
    """Return the metrics of a map on genuine faces forged on the fly, and on forged files.

    Args:
        weights: of the map.
        samples: of people who are not in its training clips.
        recipe: names the forged files and the cache of streams.
        out: folder of runs, where crops of forged files are cached.

    Raises:
        ConfigError: the weights cannot be used.
        OSError, ValueError: the metadata of the forged files cannot be read.
    """
    decoder, config = load_map(weights)
    locator = Locator(stem_of(opening_detector()), decoder)
    faces = genuine_faces(samples, recipe, out)
    made, whole = (held_chunks(faces, recipe.seed, share) for share in (1.0, 0.0))
    row: Row = {"title": config["title"]}
    row |= measured_maps("forged on the way", locator, made)
    row |= measured_genuine(locator, made, whole)
    by_method: dict[str, list[MapChunk]] = {}
    for method, chunk in twins(samples, recipe, out / "twins"):
        by_method.setdefault(method, []).append(chunk)
    row |= measured_maps("forged files", locator, [c for own in by_method.values() for c in own])
    for method, chunks in sorted(by_method.items()):
        if len(chunks) >= FEWEST:
            aucs = [clip_numbers(locator(c.crops, c.face), c, 1.0)[ON_FACE] for c in chunks]
            row[f"{method}, {len(chunks)} files: {ON_FACE}"] = mean_interval(aucs)
    return row


def twins(
    samples: Sequence[Sample], recipe: TrainConfig, folder: Path
) -> Iterator[tuple[str, MapChunk]]:
    """Yield method and crops of the samples partially forged from a known genuine file."""
    originals: dict[Path, Path] = {}
    for metadata in map(Path, recipe.data.forged):
        for row in json.loads(metadata.read_text()):
            if row["original"]:
                originals[metadata.parent / row["file"]] = metadata.parent / row["original"]
    for sample in samples:
        if sample.visual and sample.path in originals:
            try:
                chunk = twin_chunk(sample, originals[sample.path], recipe.data.min_face, folder)
            except MediaError:
                continue
            if chunk is not None and split_in_two(chunk.truth > FORGED):
                yield sample.method, chunk


def split_in_two(forged: Tensor) -> bool:
    """Return whether some cells are forged and some are not."""
    return bool(forged.any()) and not bool(forged.all())


def measured_maps(title: str, locator: Locator, chunks: Sequence[MapChunk]) -> Row:
    """Return the localization metrics of forged cells, as means over clips.

    Also those of a constant map, the mean of all: the baseline of a prior on where faces are
    forged.
    """
    usable = [chunk for chunk in chunks if split_in_two(chunk.truth > FORGED)]
    if not usable:
        return {}
    threshold = float(locator.decoder.threshold)
    maps = [locator(chunk.crops, chunk.face) for chunk in usable]
    metrics = [clip_numbers(m, chunk, threshold) for m, chunk in zip(maps, usable, strict=True)]
    same = torch.cat(maps).mean(dim=0)
    blind = [clip_numbers(same.expand_as(c.truth), c, threshold) for c in usable]
    row: Row = {f"{title}: clips": len(usable)}
    for name in metrics[0]:
        row[f"{title}: {name}"] = mean_interval([numbers[name] for numbers in metrics])
    row[f"{title}: {ON_FACE} by one map for all"] = mean_interval([n[ON_FACE] for n in blind])
    return row


def clip_numbers(cells: Tensor, chunk: MapChunk, threshold: float) -> dict[str, float]:
    """Return the metrics of a clip's map (N, 28, 28) against its true forged cells.

    One of the AUCs is over the face's cells only, since locating the face itself is easy.
    """
    forged, face = chunk.truth > FORGED, chunk.face > 0
    predicted = cells >= threshold
    on_face = forged[face]
    auc_on_face = auc(on_face.int().numpy(), cells[face].numpy()) if split_in_two(on_face) else 0.5
    return {
        "AUC of cells": auc(forged.flatten().int().numpy(), cells.flatten().numpy()),
        ON_FACE: auc_on_face,
        "IoU of cells": float((predicted & forged).sum() / (predicted | forged).sum().clamp(min=1)),
        "F1 of cells": float(
            2 * (predicted & forged).sum() / (predicted.sum() + forged.sum()).clamp(min=1)
        ),
        "cosine": float(map_cosine(cells, chunk.truth)),
        "PSNR": float(map_psnr(cells, chunk.truth)),
        "SSIM": float(map_ssim(cells, chunk.truth)),
    }


def measured_genuine(
    locator: Locator, forged: Sequence[MapChunk], genuine: Sequence[MapChunk]
) -> Row:
    """Return the level of maps of genuine crops, and the AUC of forged against genuine by it."""
    threshold = float(locator.decoder.threshold)
    shown = [[locator(c.crops, c.face) for c in chunks] for chunks in (genuine, forged)]
    means = [[float(m.mean()) for m in maps] for maps in shown]
    labels, scores = [0] * len(genuine) + [1] * len(forged), [*means[0], *means[1]]
    return {
        "genuine: mean of the map": mean_interval(means[0]),
        "forged on the way: mean of the map": mean_interval(means[1]),
        "genuine: share of cells called forged": mean_interval(
            [float((m >= threshold).float().mean()) for m in shown[0]]
        ),
        "AUC of forged against genuine, by the mean": (
            auc(labels, scores), *bootstrap_interval(auc, labels, scores),
        ),
    }  # fmt: skip
