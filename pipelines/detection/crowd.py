"""How many faces are in the picture, and how many of them are judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from extractors.media import STEP_RATE
from pipelines.detection.notes import Notes
from pipelines.detection.result import Crowd
from pipelines.detection.timelines import Timeline


def crowd_of(faces: Sequence[Timeline], judged: Sequence[Timeline], notes: Notes) -> Crowd:
    """Return the moment at which most faces were left out, or else were seen; warn of the first.

    Args:
        faces: all that were followed.
        judged: those of them that are judged.
        notes: to which the warning is added.
    """
    steps = max((face.stop for face in faces), default=0)
    if not steps:
        return {"seen": 0, "judged": 0, "time": 0.0}
    followed, usable = _at_once(faces, steps), _at_once(judged, steps)
    counted = torch.zeros(steps)
    for face in faces:
        if face.seen is not None:
            own = slice(face.start, face.stop)
            counted[own] = torch.maximum(counted[own], face.seen)
    seen = torch.maximum(counted, followed)
    step = int((1000 * (seen - usable) + seen).argmax())
    most, few, known = int(seen[step]), int(usable[step]), int(followed[step])
    if most > few:
        sentence = f"{most} faces were seen at once, of which {few} were judged: "
        if most > known:
            notes.warn(
                sentence + "the setting faces.max_faces decides how many are followed, "
                "and small ones among many may not be found"
            )
        else:
            notes.warn(sentence + "the others are too small, or seen too briefly")
    return {"seen": most, "judged": few, "time": step / STEP_RATE}


def _at_once(faces: Iterable[Timeline], steps: int) -> Tensor:
    """Return how many of the faces there are at each step (T,)."""
    count = torch.zeros(steps)
    for face in faces:
        count[face.start : face.stop] += 1
    return count
