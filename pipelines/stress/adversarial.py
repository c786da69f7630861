"""How often a bounded adversarial attack flips a verdict.

The attack is white-box. On the picture it changes the crops of face and mouth, but not the
landmarks, flow and depth; on the sound it changes the waveform. Either is scored over one window
by its own modality. An attacker who has to get through a face tracker and a codec can do less, so
a verdict that holds here holds there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extractors.media import SAMPLES_PER_STEP, MediaError, open_media
from extractors.spectrogram import log_mel
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector
from pipelines.detection.session import DetectorSession
from pipelines.metrics.security import pgd
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from temporal.segment import MODALITIES
from temporal.windows import cut_windows

PAINTED = ("appearance", "mouth")
BOUNDS: dict[str, tuple[float, ...]] = {  # on the change of each value (maximum norm)
    "visual": (0.0, 1.0, 2.0, 4.0, 8.0),  # of 255
    "audio": (0.0, 0.0005, 0.002, 0.008),  # of full scale
}


def attack(
    samples: Sequence[Sample],
    session: DetectorSession,
    steps: int = 10,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return accuracy and success rate of the attack under each bound, for picture and sound.

    A clip counts for a modality that is known to be genuine or forged from end to end. Bound 0 is
    the clean window, so that the clean error is part of the result.

    Args:
        samples: the clips.
        session: the detector under attack.
        steps: gradient steps of the attack.
        kept: JSON lines; a clip in it with the same attack is not attacked again.
        on_step: called with the number of clips done and the total.

    Raises:
        ValueError: the file holds something else.
    """
    rows = KeptRows(kept, ("path", "steps", "bounds"), session.model)
    right: dict[str, list[list[bool]]] = {name: [] for name in BOUNDS}
    for done, sample in enumerate(samples, 1):
        row = rows.row((str(sample.path), steps, repr(BOUNDS)), partial(
            _attacked, sample, session, steps))  # fmt: skip
        for name, held in row["right"].items():
            right[name].append(held)
        on_step(done, len(samples))
    return {"given": len(samples), "steps": steps, **{n: _rates(n, r) for n, r in right.items()}}


def _attacked(sample: Sample, session: DetectorSession, steps: int) -> dict[str, Any]:
    """Return for each modality whether the clip is classified correctly under each bound."""
    try:
        windows = windows_of(sample, session)
    except MediaError as error:  # counted: fewer clips are attacked than given
        return {"right": {}, "error": str(error)}
    right = {}
    for name, window in windows.items():
        fake = bool(getattr(sample, name))
        right[name] = [_holds(*window, fake, bound, steps) for bound in BOUNDS[name]]
    return {"right": right}


def _rates(name: str, rows: Sequence[Sequence[bool]]) -> dict[str, Any]:
    rates: dict[str, Any] = {"clips": len(rows), "bounds": list(BOUNDS[name])}
    if rows:
        held = torch.tensor(rows, dtype=torch.float64)
        clean = held[:, :1]
        rates["accuracy"] = held.mean(dim=0).tolist()
        flipped = (clean * (1 - held)).sum(dim=0)
        rates["success"] = (flipped / clean.sum()).tolist() if clean.sum() else None
    return rates


Window = tuple[Callable[[Tensor], Tensor], Tensor, tuple[float, float]]  # logit, input, its range


def windows_of(sample: Sample, session: DetectorSession) -> dict[str, Window]:
    """Return the first window of picture and sound, of tracks that are genuine or wholly forged.

    Raises:
        MediaError: the clip cannot be read.
    """
    usable = {
        name
        for name in BOUNDS
        if (spans := getattr(sample, name)) is not None
        and (not spans or spans[0][1] == float("inf"))
    }
    inputs: dict[str, Window] = {}
    length = session.config.windows.length
    with open_media(sample.path, session.config.media) as reader:
        first = next(iter(reader))
    if "audio" in usable and first.waveform is not None:
        waveform = torch.from_numpy(first.waveform[: length * SAMPLES_PER_STEP].copy())
        inputs["audio"] = (_sound_logit(session.detector), waveform, (-1.0, 1.0))
    if "visual" in usable and first.frames is not None:
        block = next(
            (b for b in session.extractor(iter([first])) if b.appearance is not None), None
        )
        if block is not None and block.mouth is not None:
            windows = cut_windows(block.given(), session.config.windows, block.lead, block.trail)
            streams = {name: stream[:1] for name, stream in windows.streams.items()}
            logit = _picture_logit(session.detector, streams, windows.mask[:1])
            crops = torch.cat([streams[name].float().flatten() for name in PAINTED])
            inputs["visual"] = (logit, crops, (0.0, 255.0))
    return inputs


def _sound_logit(detector: Detector) -> Callable[[Tensor], Tensor]:
    def logit(waveform: Tensor) -> Tensor:
        mel = log_mel(waveform)[None]
        return _calibrated(
            detector, {"mel": mel}, torch.ones(mel.shape[:2], dtype=torch.bool), "audio"
        )

    return logit


def _picture_logit(
    detector: Detector, streams: Mapping[str, Tensor], mask: Tensor
) -> Callable[[Tensor], Tensor]:
    sizes = [streams[name].numel() for name in PAINTED]

    def logit(crops: Tensor) -> Tensor:
        pieces = torch.split(crops, sizes)
        painted = {n: p.view_as(streams[n]) for n, p in zip(PAINTED, pieces, strict=True)}
        return _calibrated(detector, {**streams, **painted}, mask, "visual")

    return logit


def _calibrated(
    detector: Detector, streams: Mapping[str, Tensor], mask: Tensor, modality: str
) -> Tensor:
    """Return the calibrated logit of one window in one modality, on the CPU."""
    column = MODALITIES.index(modality)
    device = detector.calibration.device
    inputs, valid = {name: s.to(device) for name, s in streams.items()}, mask.to(device)
    clip = detector.clip_logits(detector(inputs, valid).opinions, valid)[0, column]
    scale, shift = detector.calibration[column]
    return (scale * clip + shift).cpu()


def _holds(
    logit: Callable[[Tensor], Tensor], x: Tensor, limits: tuple[float, float], fake: bool,
    bound: float, steps: int,
) -> bool:  # fmt: skip
    """Return whether the clip is still classified correctly after an attack within the bound."""
    sign = -1.0 if fake else 1.0
    _, history = pgd(lambda point: sign * logit(point), x, bound, steps, limits)
    return history[-1] < 0
