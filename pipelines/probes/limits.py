"""Limits: experts under noise and purification, beside the ceiling that noise sets to any detector.

After Saberi and others (ICLR 2024): noise takes away what genuine and forged pictures differ by,
and with it what any detector can tell; purification by an auto-encoder takes away what lies off
the pictures that it knows. Where a fake was made from a genuine clip of the same length, the
difference of their frames is known, and so is the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from extractors.clip import Frames
from extractors.media import MediaError
from pipelines.data.samples import Sample
from pipelines.metrics.security import noise_ceiling
from pipelines.probes.panel import Panel, opening
from pipelines.probes.removal import LATENTS, UPDATES, purifications
from pipelines.probes.under_changes import CLEAN, MakeChange, falls, judged
from pipelines.progress import OnStep
from pipelines.stress.operators.picture import FrameChange

SIGMAS = (0.02, 0.05, 0.1, 0.2)  # standard deviation of the noise, of full scale


def limits_probe(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
    latents: Sequence[int] = LATENTS,
    updates: int = UPDATES,
) -> dict[str, Any]:
    """Return each expert's AUC under noise and purification, and the ceiling of paired clips.

    `ceiling` is the mean over the pairs: an expert whose AUC on them lies above it uses information
    that it should not have. Pairs that differ much have a ceiling of 1 under any noise here.

    Args:
        samples: genuine and forged clips; a fake's `pair` is what it was made from.
        panel: the experts.
        kept: JSON lines; a clip in it is not judged again under the same change.
        on_step: called with the number of clips done and the total.
        latents: channels of the purifying auto-encoders' codes.
        updates: of their training.

    Raises:
        InputError: no genuine clip can be read, or the file holds something else.
    """
    changes: dict[str, MakeChange] = {f"noise of {s:g}": partial(noisy, s) for s in SIGMAS}
    changes |= purifications(samples, panel, kept, latents, updates)
    found = judged(samples, panel, changes, kept, on_step)
    table = falls(found, [CLEAN, *changes])
    distances = [d for sample in samples if (d := pair_distance(sample, panel)) is not None]
    for sigma in SIGMAS:
        if distances:
            ceilings = [noise_ceiling(distance, sigma).auc for distance in distances]
            table[f"noise of {sigma:g}"]["ceiling"] = float(np.mean(ceilings))
    return {"given": len(samples), "judged": len(found), "pairs": len(distances), "changes": table}


def noisy(sigma: float, clip: str) -> FrameChange:
    """Return a change that adds Gaussian noise, of the same draws for a clip's name every time."""

    def change(frames: Frames) -> Frames:
        rng = np.random.default_rng(crc32(clip.encode()))
        noise = 255 * sigma * rng.standard_normal(frames.shape, dtype=np.float32)
        return np.rint(frames + noise).clip(0, 255).astype(np.uint8)

    return change


def pair_distance(sample: Sample, panel: Panel) -> float | None:
    """Return the length of the difference of a fake's first frames from its genuine clip's, of 1.

    None where there is no pair, or one of both cannot be read or has another size.
    """
    if not sample.fake or sample.pair is None:
        return None
    try:
        both = [opening(path, panel.session) for path in (sample.path, sample.pair)]
    except MediaError:
        return None
    frames = [clip.frames for clip in both if clip is not None and clip.frames is not None]
    if len(frames) < 2 or frames[0].shape != frames[1].shape:
        return None
    return float(np.linalg.norm((frames[0].astype(np.float32) - frames[1]) / 255))
