"""Fine-tuning of the sound expert on pairs of genuine speech and its vocoder resynthesis.

Both clips of a pair have the same words, room and codec and differ only in the vocoder. Within a
pair the resynthesis is to score higher, which content and recording cannot explain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.encoding import reencode_waveform
from pipelines.data.manifest import WHOLE
from pipelines.detection.detector import Detector
from pipelines.forge.sound.neural_vocoder import Vocoder, respeak
from pipelines.train.batches import (
    Batch,
    TrainChunk,
    balanced_weights,
    draw_batches,
    targets_of,
)
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.experts import probe_auc
from pipelines.train.fit import Run, fit
from pipelines.train.losses import step_loss
from pipelines.train.stage import StageConfig
from pipelines.train.vocoder import genuine_speech

PAIRS = 10  # per batch, besides its other clips
MARGIN = 1.0  # by which the resynthesis' logit is to exceed the genuine clip's
SHORTEST = 10  # steps of a clip that is resynthesised
BIT_RATES = (32_000, 48_000, 64_000)  # of AAC
STREAMS = ("mel",)


class Pairs:
    """The genuine clips and their resyntheses, each made when it is first drawn."""

    def __init__(self, clips: Sequence[TrainClip], vocoder: Vocoder, length: int) -> None:
        self.speech = genuine_speech(clips, SHORTEST)
        self.vocoder, self.length = vocoder, length
        sources = Counter(c.sample.source for c, _ in self.speech)
        weights = np.array([sources[c.sample.source] ** -0.5 for c, _ in self.speech])
        self._weights = weights / weights.sum()
        self._made: dict[int, tuple[TrainClip, TrainClip]] = {}

    def chunks(self, rng: np.random.Generator) -> list[TrainChunk]:
        """Return chunks of genuine clips, then of their resyntheses, with equal augmentation."""
        picks = rng.choice(len(self.speech), PAIRS, p=self._weights)
        genuine: list[TrainChunk] = []
        forged: list[TrainChunk] = []
        for index, seed in zip(picks, rng.integers(2**31, size=PAIRS), strict=True):
            clips = self.pair(int(index))
            begin = int(rng.integers(0, max(clips[0].steps - self.length, 0) + 1))
            end = min(begin + self.length, clips[0].steps)
            for clip, chunks in zip(clips, (genuine, forged), strict=True):
                streams = clip.chunk(begin, end, STREAMS, np.random.default_rng(seed))
                chunks.append((streams, clip.targets()[begin:end]))
        return genuine + forged

    def pair(self, index: int) -> tuple[TrainClip, TrainClip]:
        """Return a genuine clip and its resynthesis, sound only, after the same codec."""
        if index not in self._made:
            clip, waveform = self.speech[index]
            rng = np.random.default_rng((index, len(waveform)))  # one version per clip
            sound = waveform.numpy().astype(np.float32) / 32768
            bit_rate = int(rng.choice(BIT_RATES))
            sample = replace(clip.sample, visual=None, sync=None)
            spoken = replace(sample, audio=WHOLE, method="forged voice_vocoded")
            self._made[index] = (
                TrainClip(sample, None, _encoded(sound, bit_rate)),
                TrainClip(spoken, None, _encoded(respeak(self.vocoder, sound, rng), bit_rate)),
            )
        return self._made[index]


def _encoded(sound: np.ndarray, bit_rate: int) -> Tensor:  # type: ignore[type-arg]
    heard = reencode_waveform(sound, "aac", bit_rate) * 32767
    return torch.from_numpy(heard.round().clip(-32768, 32767).astype(np.int16))


def ranking_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Return the soft margin ranking loss of pairs: the forged clip is to score MARGIN higher.

    Args:
        logits: (2 P, L) of the genuine clips, then of the forged ones in the same order.
        mask: (2 P, L) bool, False where there is no step.
    """
    means = (logits * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    genuine, forged = means.chunk(2)
    return functional.softplus(MARGIN - (forged - genuine)).mean()


def train_pairs(
    detector: Detector, vocoder: Vocoder, clips: dict[str, list[TrainClip]],
    config: StageConfig, run: Run,
) -> None:  # fmt: skip
    """Fine-tune the sound expert on the clips as before and on pairs besides.

    Its weights end halfway between before and after (Wortsman et al. 2022, WiSE-FT): the pairs
    teach it vocoders, and it would forget much about other forgeries.
    """
    train, val = (
        [c for c in clips[split] if "mel" in c.names and c.sample.audio is not None]
        for split in ("train", "val")
    )
    pairs = Pairs(train, vocoder, config.length)
    run.log(stage="pairs", train=len(train), pairs=len(pairs.speech), val=len(val))
    weights = balanced_weights(train, "audio")

    def batches(first: int, last: int) -> Iterator[Batch]:
        return draw_batches(
            train, weights, STREAMS, config.length, config.batch, run.seed, first, last,
            team=run.team, more=pairs.chunks,
        )  # fmt: skip

    def loss_of(module: ExpertProbe, batch: Batch) -> Tensor:
        logits = module({n: s.to(run.device) for n, s in batch.streams.items()}).float()
        mask = batch.mask.to(run.device)
        targets = targets_of(batch.targets.to(run.device), "audio")[..., None]
        ranked = ranking_loss(logits[-2 * PAIRS :], mask[-2 * PAIRS :])
        return step_loss(logits[..., None], targets, mask) + ranked

    def score_of(module: ExpertProbe) -> float:
        return probe_auc(module, val, STREAMS, "audio", run.device)

    probe = ExpertProbe("mel", detector).to(run.device)
    before = {name: t.clone() for name, t in probe.state_dict().items()}
    fit("pairs", probe, config, run, batches, loss_of, score_of)
    halfway(probe, before)


@torch.no_grad()
def halfway(module: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Average a module's weights and running statistics with their values `before`."""
    for name, now in module.state_dict().items():
        if now.is_floating_point():
            now.lerp_(before[name], 0.5)
