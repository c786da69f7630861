"""Training of the sound's localizer on splices that are drawn while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from extractors.spectrogram import log_mel
from pipelines.forge.segments import Segments
from pipelines.train.augment import augment_waveform, recode
from pipelines.train.fit import Run
from pipelines.train.localizer import LocalizerBatch, fit_localizer, localizer_batch
from pipelines.train.splices import Splicer
from pipelines.train.stage import StageConfig
from temporal.localization import LocalizationConfig
from temporal.localizer import SoundLocalizer

STAGE = "localizer of sound"
LENGTHS = (50, 75, 100, 125, 150, 250)  # steps of a batch's examples
EXAMPLES = 900  # of each length; each is augmented anew whenever it is drawn
AHEAD = 3  # batches that are made before they are needed
RECODED = 0.6  # share of the draws that go through a lossy codec after they were spliced
HELD_OUT = 24  # held-out examples of each length


class ExampleMaker:
    """Makes batches of examples; keeps the spliced waveforms, and augments them at every draw."""

    def __init__(self, splicer: Splicer, localization: LocalizationConfig, seed: int) -> None:
        self.splicer, self.localization, self.seed = splicer, localization, seed
        self._made: dict[tuple[int, int], tuple[np.ndarray, Segments]] = {}  # type: ignore[type-arg]

    def batch(self, size: int, update: int) -> LocalizerBatch:
        """Return the batch of an update: `size` examples of 5 s, or fewer of longer ones."""
        rng = np.random.default_rng((self.seed, update))
        steps = int(rng.choice(LENGTHS))
        count = max(2, round(size * 125 / steps))
        return self._collated([self._drawn(steps, rng) for _ in range(count)])

    def held_out(self, steps: int) -> LocalizerBatch:
        """Return the held-out examples of a length, always the same ones."""
        rng = np.random.default_rng((self.seed, steps))
        return self._collated([self._drawn(steps, rng) for _ in range(HELD_OUT)])

    def _collated(self, examples: list[tuple[Tensor, Segments]]) -> LocalizerBatch:
        inputs, truths = [(mel,) for mel, _ in examples], [segments for _, segments in examples]
        return localizer_batch(inputs, truths, self.localization)

    def _drawn(self, steps: int, rng: np.random.Generator) -> tuple[Tensor, Segments]:
        key = steps, int(rng.integers(EXAMPLES))
        if key not in self._made:
            forged, segments = self.splicer(steps, np.random.default_rng((self.seed, *key)))
            self._made[key] = (forged * 32767).astype(np.int16), segments
        kept, segments = self._made[key]
        waveform = augment_waveform(kept.astype(np.float32) / 32767, rng)
        if rng.random() < RECODED:
            waveform = recode(waveform, rng)
        return log_mel(waveform), segments


_maker: ExampleMaker


def _begin(maker: ExampleMaker) -> None:
    global _maker
    _maker = maker
    torch.set_num_threads(1)


def _batch(size: int, update: int) -> LocalizerBatch:
    return _maker.batch(size, update)


def train_sound_localizer(
    localizer: SoundLocalizer,
    train: Splicer,
    val: Splicer,
    localization: LocalizationConfig,
    config: StageConfig,
    run: Run,
) -> None:
    """Train the sound's localizer on examples that another process draws.

    train, val: draw the examples that it learns from, and those that it is scored on.
    """
    maker = ExampleMaker(train, localization, run.seed)
    judge = ExampleMaker(val, localization, run.seed + 1)
    held_out = [judge.held_out(steps) for steps in LENGTHS]

    def batches(first: int, last: int) -> Iterator[LocalizerBatch]:
        context = get_context("spawn")
        with ProcessPoolExecutor(1, context, _begin, (maker,)) as pool:
            coming = [pool.submit(_batch, config.batch, u) for u in range(first, first + AHEAD)]
            for update in range(first, last):
                ready = coming.pop(0).result()
                coming.append(pool.submit(_batch, config.batch, update + AHEAD))
                yield ready

    fit_localizer(STAGE, localizer, batches, held_out, config, run)
