"""A panel of two experts of known cues, on drawn clips: light of the left half, and grain."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from extractors.media import Clip, MediaError
from pipelines.data.samples import WHOLE, Sample
from pipelines.probes.picture_loss import fine_power


def drawn_samples(count: int) -> list[Sample]:
    """Genuine and forged clips in turn; each fake was made from the genuine one before it."""
    return [
        Sample(Path(f"{i}.mp4"), "dev", "m" if i % 2 else "real", "s", "", WHOLE if i % 2 else (),
               None, None, forgery_type="swap" if i % 2 else "",
               pair=Path(f"{i - 1}.mp4") if i % 2 else None)
        for i in range(count)
    ]  # fmt: skip


class DrawnPanel:
    """Odd clips are brighter on the left and grainy throughout; genuine ones are smooth."""

    def __init__(self) -> None:
        self.session = SimpleNamespace(model={"name": "drawn", "version": "1", "sha256": "ab"})
        self.broken: set[Path] = set()
        self.asked = 0

    def frames(self, path: Path) -> Any:
        number = int(path.stem)
        fake, rng = number % 2 == 1, np.random.default_rng(number)
        rows, columns = np.mgrid[:72, :72]
        soft = 100 + 20 * np.sin(columns / 11 + number) + 20 * np.sin(rows / 13)
        frames = np.repeat(soft[None, ..., None], 3, axis=0).repeat(3, axis=-1)
        frames[:, :, :36] += 30 * fake
        frames += rng.normal(0, 8.0 if fake else 1.0, frames.shape)
        return frames.clip(0, 255).astype(np.uint8)

    def opening(self, path: Path, session: object) -> Clip | None:
        if path in self.broken:
            raise MediaError(f"{path}: no")
        return Clip(0, self.frames(path), None)

    def logits(self, frames: Any) -> dict[str, float]:
        self.asked += 1
        grey = frames[0].mean(axis=-1)
        grain = fine_power(grey) * grey.var()
        return {"light": (float(grey[:, :36].mean()) - 115) / 10, "grain": float(np.log(grain / 6))}
