"""The relighting audit: the same persons with darker and lighter skin, in dim and in bright light.

Groups of real persons differ in more than their skin. Here nothing else differs: each clip is its
own control, and a gap between its renderings is the detector's. Skin is the inside of the face's
outline; its luminance is scaled, and colours keep their hue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Array, Frames
from extractors.faces import track_faces
from pipelines.data.samples import Sample
from pipelines.forge.picture.geometry import MaskShape, soft_mask
from pipelines.probes.panel import Panel
from pipelines.probes.under_changes import CLEAN, MakeChange, falls, judged
from pipelines.progress import OnStep
from pipelines.stress.operators.picture import FrameChange

# How many times as much light an area gives back: the skin alone, or all of the frame.
SKIN = {"skin half as light": 0.5, "skin 0.7 times": 0.7, "skin 1.4 times": 1.4}
LIGHT = {"light half as strong": 0.5, "light 1.5 times": 1.5}
GAMMA = 2.2  # of the grey levels: light is their power
WHOLE_FACE = MaskShape("face", feather=0.03)


def relight_probe(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return each expert's rates by rendering, and the widest gap of its false alarms and hits.

    Args:
        samples: genuine and forged clips.
        panel: the experts.
        kept: JSON lines; a clip in it is not judged again under the same rendering.
        on_step: called with the number of clips done and the total.

    Raises:
        InputError: the file holds something else.
    """
    changes: dict[str, MakeChange] = {
        name: partial(_made, skin_times, factor) for name, factor in SKIN.items()
    }
    changes |= {name: partial(_made, light_times, factor) for name, factor in LIGHT.items()}
    found = judged(samples, panel, changes, kept, on_step)
    table = falls(found, [CLEAN, *changes])
    return {
        "given": len(samples), "judged": len(found), "changes": table,
        "gaps": {
            expert: {f"{rate}_gap": _gap(table, expert, rate) for rate in ("fpr", "tpr")}
            for expert in table[CLEAN]["experts"]
        },
    }  # fmt: skip


def _made(make: Callable[[float], FrameChange], factor: float, clip: str) -> FrameChange:
    return make(factor)


def _gap(table: Mapping[str, Any], expert: str, rate: str) -> float | None:
    """Return the widest difference of a rate between renderings; None if one lacks it."""
    rates = [row["experts"].get(expert, {}).get(rate) for row in table.values()]
    return None if None in rates else float(np.ptp(rates))


def light_times(factor: float) -> FrameChange:
    """Return the change of frames (T, H, W, 3) to so many times as much light."""

    def change(frames: Frames) -> Frames:
        return relit(frames, np.full(frames.shape[:3], factor, np.float32))

    return change


def skin_times(factor: float) -> FrameChange:
    """Return the change of frames (T, H, W, 3) whose faces give back so many times the light."""

    def change(frames: Frames) -> Frames:
        return relit(frames, 1 + (factor - 1) * face_masks(frames))

    return change


def face_masks(frames: Frames) -> Array:
    """Return the faces' masks (T, H, W), 0 to 1 with a soft edge, of frames (T, H, W, 3)."""
    masks = np.zeros(frames.shape[:3], np.float32)
    for track in track_faces(frames):
        for step, landmarks in enumerate(track.landmarks, track.start):
            (left, top, right, bottom), share = soft_mask(landmarks, WHOLE_FACE, frames.shape[1:3])
            part = masks[step, top:bottom, left:right]
            np.maximum(part, share, out=part)
    return masks


def relit(frames: Frames, factors: Array) -> Frames:
    """Return frames (T, H, W, 3) with so many times the light (T, H, W) of each pixel."""
    light = (frames / 255.0) ** GAMMA * factors[..., None]
    return np.rint(255 * light.clip(0, 1) ** (1 / GAMMA)).astype(np.uint8)
