"""Contrastive training of the lip and voice experts for audio-visual synchronisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.transformer import LagProfile, lag_contrast
from pipelines.data.manifest import WHOLE
from pipelines.detection.detector import Detector
from pipelines.metrics.classification import auc
from pipelines.train.batches import Batch, draw_batches
from pipelines.train.clips import LONGEST, TrainClip
from pipelines.train.fit import Run, fit
from pipelines.train.stage import StageConfig
from temporal.experts import CONTEXT, normalise

FEWEST = 10  # steps over which a held-out clip's lag profile is averaged
OFFSETS = (0, -8, -6, -5, 5, 6, 8)  # steps by which held-out sound is shifted
SYNC_STREAMS = ("mouth", "landmarks", "mel")


def _in_sync(clip: TrainClip) -> bool:
    """Return whether lips and sound are in sync: a genuine clip, or a face driven by this sound."""
    sample = clip.sample
    driven = (
        sample.visual == WHOLE and sample.audio == () and not sample.method.startswith("forged")
    )
    return driven or (sample.sync == () and sample.visual == ())


class SyncNetwork(nn.Module):
    """The detector's own lip and voice experts with their lag profile."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        config = detector.config
        self.lips, self.voice = detector.experts["lips"], detector.experts["voice"]
        self.lag, self.near, self.far = detector.lag, config.lag_near, config.lag_far
        self.sharpness = nn.Parameter(torch.tensor(2.0))  # log of the softmax' inverse temperature

    def forward(self, streams: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return unit vectors (B, L, D) of lips and voice."""
        lips = self.lips(
            normalise("mouth", streams["mouth"]), normalise("landmarks", streams["landmarks"])
        )
        voice = self.voice(normalise("mel", streams["mel"]))
        return self.lag.embed(lips, voice)


def train_sync(
    detector: Detector, clips: dict[str, list[TrainClip]], config: StageConfig, run: Run
) -> None:
    """Train the lip and voice experts on clips in sync alone, by contrast.

    Contrastive (Chung & Zisserman 2016; Oord et al. 2018): the lips of a stretch are to match the
    sound of the same time better than that of other times of the clip and of other clips. All
    stretches lie away from the window's edges, where padding would reveal the time.
    """
    train, val = (
        [c for c in clips[split] if _in_sync(c) and set(SYNC_STREAMS) <= c.names]
        for split in ("train", "val")
    )
    train = [c for c in train if c.steps >= config.length]
    run.log(stage="sync", train=len(train), val=len(val))
    network = SyncNetwork(detector).to(run.device)
    weights = torch.tensor([float(min(c.steps, 150)) for c in train])

    def batches(first: int, last: int) -> Iterator[Batch]:
        return draw_batches(
            train, weights, SYNC_STREAMS, config.length, config.batch, run.seed, first, last,
            team=run.team,
        )  # fmt: skip

    def loss_of(module: SyncNetwork, batch: Batch) -> Tensor:
        lips, voice = module({n: s.to(run.device) for n, s in batch.streams.items()})
        return sync_loss(lips.float(), voice.float(), module.sharpness.exp(), module.lag)

    def score_of(module: SyncNetwork) -> float:
        return sync_auc(module, val, run)

    fit("sync", network, config, run, batches, loss_of, score_of)


def sync_loss(lips: Tensor, voice: Tensor, sharpness: Tensor, lag: LagProfile) -> Tensor:
    """Return the cross-entropy of picking lag 0 of the same clip among all lags and clips.

    Args:
        lips: (B, L, D) unit vectors; the stretch in the middle is compared.
        voice: (B, L, D) unit vectors.
        sharpness: inverse temperature, a factor on the similarities.
        lag: the profile whose range of lags and margins apply.
    """
    edge = CONTEXT["lips"] + lag.reach
    middle = lips[:, edge : lips.shape[1] - edge]
    count = middle.shape[1]
    starts = range(CONTEXT["lips"], CONTEXT["lips"] + 2 * lag.reach + 1)
    shifted = torch.stack([voice[:, s : s + count] for s in starts], dim=1)  # (B, J, count, D)
    own = torch.einsum("bld,bjld->bj", middle, shifted) / count
    others = torch.einsum("bld,cld->bc", middle, voice[:, edge : edge + count]) / count
    others = others.masked_fill(torch.eye(len(lips), dtype=torch.bool, device=lips.device), -1e4)
    logits = torch.cat([own, others], dim=1) * sharpness
    # soft targets over two steps to either side: lips lead or trail by that much in real clips
    truth = torch.zeros_like(logits)
    truth[:, lag.reach - 2 : lag.reach + 3] = torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1])
    return functional.cross_entropy(logits, truth)


def sync_auc(module: SyncNetwork, clips: Sequence[TrainClip], run: Run) -> float:
    """Return the AUC of telling clips in sync from the same clips with sound 5 to 8 steps off.

    A clip's score is that of its mean lag profile: the best match far from lag 0 minus that near.
    """
    scores, labels = [], []
    reach, widest = module.lag.reach, module.lag.reach + max(OFFSETS)
    edge = CONTEXT["lips"] + widest
    for clip in clips:
        steps = min(clip.steps, LONGEST)
        if steps < 2 * edge + FEWEST:
            continue
        streams = clip.chunk(0, steps, SYNC_STREAMS, None)
        lips, voice = module({n: s[None].to(run.device) for n, s in streams.items()})
        inner = lips[0, edge : steps - edge].float()
        lags = range(-widest, widest + 1)
        shifted = [voice[0, edge + lag : steps - edge + lag].float() for lag in lags]
        profile = torch.stack([(inner * other).sum(dim=1).mean() for other in shifted])
        for off in OFFSETS:
            around = profile[widest + off - reach : widest + off + reach + 1]
            scores.append(float(lag_contrast(around, module.near, module.far)))
            labels.append(int(off != 0))
    return auc(labels, scores)
