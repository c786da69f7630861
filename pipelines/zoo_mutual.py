"""Unlabelled files in, how little each has in common with the others out (MuSc)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from extractors.media import STEP_RATE, MediaError, open_media
from extractors.stream_extractor import StreamExtractor
from pipelines.batches import TrainClip, train_clip
from pipelines.datasets import Sample
from pipelines.detect import STARTER
from pipelines.detector import load_detector
from pipelines.judge import JudgeConfig
from pipelines.stream_cache import Extract
from pipelines.train_experts import LONGEST
from pipelines.zoo_clips import said_of
from temporal.experts import EXPERTS, fold_norms
from temporal.mutual import mutual_scores

# The experts whose tokens are compared.
COMPARED = {"visual": ("appearance", "flow", "depth"), "audio": ("mel",)}


@dataclass(frozen=True)
class MutualRow:
    """One file beside the others."""

    path: Path
    score: float  # higher: fewer others are like it; means nothing beyond this run
    second: float  # of the most peculiar step
    peers: int  # other files that have something peculiar in common with it


def mutual_files(
    paths: Sequence[Path],
    modality: Literal["visual", "audio"],
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[MutualRow], dict[Path, str], str | None]:
    """Return a row for each file, most peculiar first, what could not be compared, and a warning.

    The first six seconds of each file are looked at, so that neither memory nor time grows with its
    length. The warning says where an artefact is too common to be found.

    Raises:
        ValueError: fewer than three files can be compared.
    """
    detector = load_detector(STARTER)
    fold_norms(detector.experts)
    extractor, min_face = StreamExtractor(), JudgeConfig().min_face
    places = [list(EXPERTS).index(name) for name in COMPARED[modality]]
    tokens: dict[Path, Tensor] = {}
    failed: dict[Path, str] = {}
    starts: dict[Path, int] = {}
    for done, path in enumerate(paths, 1):
        try:
            clip = opening(path, extractor, min_face)
            said = None if clip is None else said_of(detector, clip)["tokens"][:, places]
            if clip is None or said is None or bool(said.isnan().any()):
                failed[path] = f"{path}: there is no {modality} track to compare"
            else:
                tokens[path], starts[path] = said.flatten(1).half(), clip.start
        except MediaError as error:
            failed[path] = str(error)
        on_step(done, len(paths))
    found = mutual_scores(list(tokens.values()))
    rows = [
        MutualRow(path, float(score), (starts[path] + int(curve.argmax())) / STEP_RATE, int(peers))
        for path, score, curve, peers in zip(
            tokens, found.scores, found.curves, found.peers, strict=True
        )
    ]
    return sorted(rows, key=lambda row: -row.score), failed, found.warning


def opening(path: Path, extractor: StreamExtractor, min_face: float) -> TrainClip | None:
    """Return the main face and the sound of a file's first seconds; None: neither can be used.

    Raises:
        MediaError: the file cannot be decoded.
    """
    chunks = []
    with open_media(path) as reader:
        for chunk in reader:
            chunks.append(chunk)
            if chunk.start + chunk.steps >= LONGEST:
                break
    waveform = None
    sounds = [chunk.waveform for chunk in chunks if chunk.waveform is not None]
    if sounds:
        levels = (np.concatenate(sounds) * 32767).round().clip(-32768, 32767)
        waveform = torch.from_numpy(levels.astype(np.int16))
    nothing = Sample(path, "", "", "", "", None, None, None)
    return train_clip(nothing, Extract(list(extractor(chunks)), waveform), min_face)
