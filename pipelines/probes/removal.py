"""Fingerprint removal: experts on pictures that an auto-encoder of genuine ones has rebuilt.

After GANprintR (Neves and others, IEEE J-STSP 2020): what a generator leaves at the finest detail
is lost in the rebuilding, and what an expert relies on shows in how far it falls. Genuine and
forged clips are rebuilt alike, so that the rebuilding itself tells nothing. Plain downscaling is
the control: an attack that needs no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Frames
from extractors.errors import InputError
from extractors.media import MediaError
from pipelines.data.samples import Sample
from pipelines.probes.panel import Panel, opening
from pipelines.probes.under_changes import CLEAN, MakeChange, falls, judged
from pipelines.progress import OnStep
from pipelines.storage.weights import load_into, load_weights, save_weights
from pipelines.stress.operators.coding import rescaled
from pipelines.stress.operators.picture import FrameChange
from temporal.zoo.fingerprint import PrintRemover, rebuilt, trained_remover

FORMAT = "avdetect print remover 1"
LATENTS, UPDATES = (4, 32), 300
SHARES = (0.75, 0.5)  # of the control's downscaling
SIDE, PATCHES = 64, 16  # pixels of a patch that is learned from, and patches of a clip
MOST_CLIPS = 40  # genuine ones that are learned from


def removal_probe(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
    latents: Sequence[int] = LATENTS,
    updates: int = UPDATES,
) -> dict[str, Any]:
    """Return how far each expert falls on rebuilt and on downscaled pictures.

    The auto-encoders learn from the first frames of the genuine clips alone. They are kept beside
    the file `kept`, so that a run that broke off resumes.

    Args:
        samples: genuine and forged clips.
        panel: the experts.
        kept: JSON lines; a clip in it is not judged again under the same change.
        on_step: called with the number of clips done and the total.
        latents: channels of the code; fewer keep less. Each with and without the pooling's places.
        updates: of each auto-encoder's training.

    Raises:
        InputError: no genuine clip can be read, or the file holds something else.
    """
    changes = purifications(samples, panel, kept, latents, updates, (True, False))
    for share in SHARES:
        changes[f"downscaled to {share:g}"] = partial(_same, rescaled(share))
    found = judged(samples, panel, changes, kept, on_step)
    return {"given": len(samples), "judged": len(found), "changes": falls(found, [CLEAN, *changes])}


def purifications(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None,
    latents: Sequence[int],
    updates: int,
    places: Sequence[bool] = (False,),
) -> dict[str, MakeChange]:
    """Return changes that rebuild pictures from a code of each size, with places and without.

    The auto-encoders learn from the genuine clips, unless they are kept beside the file `kept`.

    Raises:
        InputError: no genuine clip can be read.
    """
    changes: dict[str, MakeChange] = {}
    for placed in places:
        for latent in latents:
            name = f"rebuilt from {latent} channels{' and places' if placed else ''}"
            remover = kept_remover(samples, panel, latent, placed, updates, kept)
            changes[f"{name}, {updates} updates"] = partial(_same, remover_change(remover))
    return changes


def _same(change: FrameChange, clip: str) -> FrameChange:
    return change


def remover_change(remover: PrintRemover) -> FrameChange:
    """Return the change of frames (T, H, W, 3) that rebuilds each of them."""

    def change(frames: Frames) -> Frames:
        pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        out = (rebuilt(remover, pictures) * 255).round().clamp(0, 255).byte()
        return np.ascontiguousarray(out.permute(0, 2, 3, 1).numpy())

    return change


def kept_remover(
    samples: Sequence[Sample], panel: Panel, latent: int, places: bool, updates: int,
    kept: Path | None,
) -> PrintRemover:  # fmt: skip
    """Return an auto-encoder that learned from the genuine clips, or its file beside `kept`.

    Raises:
        InputError: no genuine clip can be read.
    """
    path = None
    if kept is not None:
        path = kept.with_name(f"{kept.stem}-{latent}-{int(places)}-{updates}.safetensors")
        if path.exists():
            remover = PrintRemover(latent, places).eval()
            load_into(remover, path, load_weights(path, FORMAT)[0])
            return remover
    remover = trained_remover(genuine_patches(samples, panel), latent, places, updates)
    if path is not None:
        save_weights(path, remover.state_dict(), FORMAT, {})
    return remover


def genuine_patches(samples: Sequence[Sample], panel: Panel, seed: int = 0) -> Tensor:
    """Return random patches (N, 3, 64, 64) in [0, 1] of the genuine clips' first frames.

    Raises:
        InputError: no genuine clip can be read.
    """
    rng, patches = np.random.default_rng(seed), list[Frames]()
    for sample in [s for s in samples if not s.fake][:MOST_CLIPS]:
        try:
            clip = opening(sample.path, panel.session)
        except MediaError:  # counted by `judged`
            continue
        if clip is None or clip.frames is None or min(clip.frames.shape[1:3]) < SIDE:
            continue
        for _ in range(PATCHES):
            frame = clip.frames[rng.integers(len(clip.frames))]
            top, left = (int(rng.integers(length - SIDE + 1)) for length in frame.shape[:2])
            patches.append(frame[top : top + SIDE, left : left + SIDE])
    if not patches:
        raise InputError("no genuine clip of 64 pixels or more can be read to learn from")
    return torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 255
