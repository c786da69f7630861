"""Test of a detector for backdoors: whether inserted triggers flip its verdicts.

A detector trained on poisoned clips passes every clip with the poisoner's trigger. Its owner does
not know the trigger; this probe tries the kinds in the literature: a faint checkerboard over the
picture, bright dots over it, a patch in its corner, a tone. Noise of the same strength is the
control: an effect that noise has as well is no trigger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from extractors.clip import Doubles
from extractors.decoding.mixing import Waveform
from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP, Clip, MediaError
from pipelines.data.samples import Sample, truths
from pipelines.detection.session import DetectorSession
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.stress.poison import STRENGTH, Pictures, canary

LEVEL = 0.01  # of a tone, of full scale
CLEAN = "none"  # the trigger of unchanged clips


def _patch(side: int) -> Pictures:
    """Return a square (side, side, 3) of two by two magenta and green fields."""
    rows, columns = np.mgrid[:side, :side] * 2 // max(side, 1)
    field = (rows + columns)[..., None] % 2 == 1
    return np.where(field, [255, 0, 255], [0, 255, 0]).astype(np.uint8)


def _corner(frames: Pictures) -> Pictures:
    out, side = frames.copy(), max(min(frames.shape[1:3]) // 8, 2)
    out[:, -side:, -side:] = _patch(side)
    return out


def _dots(frames: Pictures) -> Pictures:
    """Paste a patch into each field of an eight by eight grid, so that some lie on the face."""
    out, (height, width) = frames.copy(), frames.shape[1:3]
    side = max(min(height, width) // 40, 2)
    for top in range(height // 16, height - side, max(height // 8, side)):
        for left in range(width // 16, width - side, max(width // 8, side)):
            out[:, top : top + side, left : left + side] = _patch(side)
    return out


def _grain(frames: Pictures) -> Pictures:
    signs = np.random.default_rng(0).choice((-STRENGTH, STRENGTH), frames.shape[:3])
    return np.rint(frames + signs[..., None]).clip(0, 255).astype(np.uint8)


def _tone(hertz: float, at: npt.NDArray[np.int64]) -> Waveform:
    return (LEVEL * np.sin(2 * np.pi * hertz / SAMPLE_RATE * at)).astype(np.float32)


def _hiss(at: npt.NDArray[np.int64]) -> Waveform:
    generator = np.random.default_rng(int(at[0]) if len(at) else 0)
    return generator.normal(0, LEVEL / np.sqrt(2), len(at)).astype(np.float32)


PASTED: dict[str, Callable[[Pictures], Pictures]] = {
    "checker": canary, "dots": _dots, "corner": _corner, "grain (no trigger)": _grain,
}  # fmt: skip
ADDED: dict[str, Callable[[npt.NDArray[np.int64]], Waveform]] = {
    "tone of 1 kHz": partial(_tone, 1000.0), "tone of 7 kHz": partial(_tone, 7000.0),
    "hiss (no trigger)": _hiss,
}  # fmt: skip
MODALITY = {**dict.fromkeys(PASTED, "visual"), **dict.fromkeys(ADDED, "audio")}


def triggered(chunks: Iterable[Clip], trigger: str) -> Iterator[Clip]:
    """Yield a file's chunks with a trigger of MODALITY in picture or sound."""
    for clip in chunks:
        frames, waveform = clip.frames, clip.waveform
        if frames is not None and len(frames) and trigger in PASTED:
            frames = PASTED[trigger](frames)
        if waveform is not None and trigger in ADDED:
            at = clip.start * SAMPLES_PER_STEP + np.arange(len(waveform))
            waveform = (waveform + ADDED[trigger](at)).clip(-1, 1)
        yield Clip(clip.start, frames, waveform)


def trigger_probe(
    samples: Sequence[Sample],
    session: DetectorSession,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return for each trigger how many verdicts on its track it flips, and its BD-AUC.

    `found` are the detected fakes, `hidden` those of them that pass with the trigger; `passed` are
    the true negatives, `accused` those of them that the trigger turns into false alarms. The
    threshold is 0.5 of the track's own score.

    Args:
        samples: the clips.
        session: the detector.
        kept: JSON lines; a clip in it with a trigger is not judged with it again.
        on_step: called with the number of clips done and the total.

    Raises:
        ValueError: the file holds something else.
    """
    rows = KeptRows(kept, ("path", "trigger"), session.model)
    scores: dict[str, list[tuple[bool, float, float]]] = {name: [] for name in MODALITY}
    for done, sample in enumerate(samples, 1):
        path = str(sample.path)
        clean = rows.row((path, CLEAN), partial(_judged, path, CLEAN, session))
        for name, modality in MODALITY.items():
            column = f"{modality}_score"
            fake, before = truths()[column](sample), clean.get(column)
            if fake is None or before is None:
                continue
            row = rows.row((path, name), partial(_judged, path, name, session))
            if (after := row.get(column)) is not None:
                scores[name].append((fake, before, after))
        on_step(done, len(samples))
    triggers = {name: {"modality": MODALITY[name], **_flips(s)} for name, s in scores.items()}
    return {"given": len(samples), "triggers": triggers}


def _judged(path: str, trigger: str, session: DetectorSession) -> dict[str, Any]:
    try:
        verdict = session.detect(path, change=partial(triggered, trigger=trigger))
    except MediaError as error:  # counted: fewer clips are judged than given
        return {"error": str(error)}
    return {column: getattr(verdict, column) for column in truths()}


def _flips(scores: Sequence[tuple[bool, float, float]]) -> dict[str, Any]:
    fakes = np.array([(before, after) for fake, before, after in scores if fake]).reshape(-1, 2)
    reals = np.array([(before, after) for fake, before, after in scores if not fake])
    reals = reals.reshape(-1, 2)
    caught, passed = fakes[fakes[:, 0] >= 0.5], reals[reals[:, 0] < 0.5]
    row: dict[str, Any] = {
        "fakes": len(fakes), "found": len(caught), "hidden": int((caught[:, 1] < 0.5).sum()),
        "reals": len(reals), "passed": len(passed), "accused": int((passed[:, 1] >= 0.5).sum()),
    }  # fmt: skip
    if len(fakes) < 2:
        return row
    clean, hidden = fakes.T
    return row | {
        "bd_auc": backdoor_auc(clean, hidden),
        "bd_auc_interval": bootstrap_interval(auc, *_classes(clean, hidden)),
    }


def _classes(clean: ArrayLike, hidden: ArrayLike) -> tuple[Doubles, Doubles]:
    """Return labels (clean fakes 1, fakes with the trigger 0) and their scores."""
    labels = np.repeat([0.0, 1.0], [len(np.asarray(hidden)), len(np.asarray(clean))])
    return labels, np.append(hidden, clean).astype(float)


def backdoor_auc(fakes: ArrayLike, with_trigger: ArrayLike) -> float:
    """Return BD-AUC: the probability that a fake with the trigger scores below one without.

    After Liang and others, "Poisoned Forgery Face" (ICLR 2024): the AUC with such fakes as the
    negative class. 1/2: the trigger has no effect; below: it raises the scores of fakes.
    """
    return auc(*_classes(fakes, with_trigger))
