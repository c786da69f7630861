"""Training of the sound's localizer on splices that are drawn while it trains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Array
from extractors.clock import SAMPLE_RATE
from extractors.spectrogram import log_mel
from pipelines.data.manifest import WHOLE
from pipelines.detection.detector import Detector
from pipelines.forge.segments import Segments
from pipelines.forge.sound.alignment import aligned
from pipelines.forge.sound.segments import active_level
from pipelines.train.augment import augment_waveform, recode
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.localizer import (
    LocalizerBatch,
    calibrate_localizer,
    fit_localizer,
    localizer_batch,
)
from pipelines.train.splices import Recording, Splicer
from pipelines.train.stage import StageConfig
from temporal.localization import LocalizationConfig

SOUND = "localizer of sound"
LENGTHS = (50, 75, 100, 125, 150, 200, 250)  # steps of a batch's examples
EXAMPLES = 4000  # of each length; each is augmented anew, but seen too often it is remembered
AHEAD = 3  # batches that are made before they are needed
RECODED = 0.6  # share of the draws that go through a lossy codec after they were spliced
HELD_OUT = 24  # held-out examples of each length
QUIETEST = 3e-3  # level of the louder half of a recording that is used


class ExampleMaker:
    """Makes batches of examples; keeps the spliced waveforms, and augments them at every draw."""

    def __init__(
        self, splicer: Splicer, localization: LocalizationConfig, seed: int, rank: int = 0
    ) -> None:
        """Make examples by a seed; workers of a team draw others by their rank."""
        self.splicer, self.localization, self.seed, self.rank = splicer, localization, seed, rank
        self._made: dict[tuple[int, int], tuple[np.ndarray, Segments]] = {}  # type: ignore[type-arg]

    def batch(self, size: int, update: int) -> LocalizerBatch:
        """Return the batch of an update: `size` examples of 5 s, or fewer of longer ones."""
        rng = np.random.default_rng((self.seed, update, self.rank))
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
    detector: Detector, clips: dict[str, list[TrainClip]], config: StageConfig, run: Run
) -> None:
    """Train the sound's localizer on examples that another process draws.

    It begins as the sound expert, which knows synthetic speech already.
    """
    localization = detector.config.localization
    localizer = detector.eval().network(SOUND)  # in training mode PyTorch's attention is slow
    localizer.get_submodule("trunk").load_state_dict(detector.experts["mel"].state_dict())
    maker = ExampleMaker(
        Splicer(*recordings(clips["train"])), localization, run.seed, run.team.rank
    )
    judge = ExampleMaker(Splicer(*recordings(clips["val"])), localization, run.seed + 1)
    held_out = [judge.held_out(steps) for steps in LENGTHS]

    def batches(first: int, last: int) -> Iterator[LocalizerBatch]:
        context = get_context("spawn")
        with ProcessPoolExecutor(1, context, _begin, (maker,)) as pool:
            coming = [pool.submit(_batch, config.batch, u) for u in range(first, first + AHEAD)]
            for update in range(first, last):
                ready = coming.pop(0).result()
                coming.append(pool.submit(_batch, config.batch, update + AHEAD))
                yield ready

    fit_localizer(SOUND, localizer, batches, held_out, config, run)
    calibrate_localizer(SOUND, detector, held_out, run)


def recordings(clips: Sequence[TrainClip]) -> tuple[list[Recording], list[Recording]]:
    """Return the genuine recordings of speech among clips, and the synthetic ones.

    A genuine one has the resyntheses that were made from it, where they are in time with it.
    """
    heard = [
        (c.sample, c.waveform.numpy() / np.float32(32768)) for c in clips if c.waveform is not None
    ]
    heard = [(s, x) for s, x in heard if len(x) >= SAMPLE_RATE and active_level(x) > QUIETEST]
    genuine = {s.path: (s, x) for s, x in heard if s.audio == () and not s.fake}
    again: defaultdict[Path, list[Array]] = defaultdict(list)
    synthetic = []
    for sample, waveform in heard:
        if sample.audio != WHOLE:
            continue
        synthetic.append(Recording(waveform, f"{sample.source} {sample.method}", sample.person))
        if sample.pair in genuine:
            made = aligned(genuine[sample.pair][1], waveform)
            again[sample.pair] += [] if made is None else [made]
    spoken = [
        Recording(x, s.source, s.person or s.path.name, tuple(again[path]))
        for path, (s, x) in genuine.items()
    ]
    return spoken, synthetic
