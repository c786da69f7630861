"""Training by contrast between clips at two exits of an expert, on two tracks.

Source: Boychev and Cholakov, ImagiNet: A Multi-Content Dataset for Generalizable Synthetic Image
Detection via Contrastive Learning, 2024; the loss after Bae et al., Self-Contrastive Learning, AAAI
2023. There, contrast comes first and the classifier after; here both losses are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.clip import Frames
from pipelines.detection.pooling import clip_means
from pipelines.metrics.classification import auc
from pipelines.train.augment import recode
from pipelines.train.batches import Batch
from pipelines.train.changed_clip import ChangedClip
from pipelines.train.clips import LONGEST, TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.options.method import (
    Kinds,
    Method,
    MethodConfig,
    blocks_of,
    inner_products,
    pooled_rows,
    tapped,
)

EXIT = 1  # place of the block after which the side exit is
SMALLEST = 0.8  # share of a side that is kept of a shared picture, at least
CODED, QUALITY = 0.75, (60, 101)  # share of shared pictures that are coded, and the quality
MEMORY = 0.99  # of a generator's mean embedding, per update


@dataclass(frozen=True)
class SelfConConfig(MethodConfig):
    """Embeddings that are near within a class, and within a generator."""

    temperature: float = 0.07
    detection: float = 1.0  # weight of the contrast of genuine and forged
    generators: float = 1.0  # of that of generators, among fakes
    width: int = 64  # of the embedding

    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert."""
        return SelfCon(probe, modality, self, clips)


class SelfCon(Method):
    """An expert with a side exit; both ends are embedded for contrast, in training alone."""

    centres: Tensor  # (K, W): mean embedding of each generator, 0 before it is seen

    def __init__(
        self, probe: ExpertProbe, modality: str, config: SelfConConfig, clips: Sequence[TrainClip]
    ) -> None:
        super().__init__(probe, modality)
        self.config, self.kinds = config, Kinds(clips, modality)
        self.end, self.side = (
            nn.Sequential(first, nn.ReLU(), nn.Linear(probe.dim, config.width))
            for first in (nn.Linear(probe.dim, probe.dim), nn.LazyLinear(probe.dim))
        )
        one = clips[0].chunk(0, 1, (probe.name,), None)
        training = probe.training
        with torch.no_grad():  # sizes the side exit
            self.eval()._embedded({n: s[None] for n, s in one.items()}, torch.ones(1, 1).bool())
        self.train(training)
        self.register_buffer("centres", torch.zeros(self.kinds.count, config.width))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of the steps plus the contrast of classes and of generators."""
        tokens, end, side = self._embedded(batch.streams, batch.mask)
        forged = self.forged(batch)
        kinds = self.kinds(batch, forged)
        self._remember(end.detach(), kinds)
        exits = torch.stack([end, side], dim=1)  # (B, 2, W)
        total = self.step_loss(self.probe.linear(tokens), batch)
        for weight, rows, labels in (
            (self.config.detection, torch.ones_like(forged), forged.long()),
            (self.config.generators, forged, kinds),
        ):
            if rows.any():
                points, names = exits[rows].flatten(0, 1), labels[rows].repeat_interleave(2)
                total = total + weight * contrast(points, names, self.config.temperature)
        return total

    def _embedded(self, streams: dict[str, Tensor], mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (B, L, D), and unit vectors (B, W) of the end and of the side exit."""
        block = blocks_of(self.probe.expert)[EXIT]
        with tapped([block]) as seen:
            tokens = self.probe.tokens(streams)
        outputs = torch.cat([made for _, made in seen])  # of an expert that looks in parts
        ends = (
            self.end(clip_means(tokens.float(), mask)),
            self.side(pooled_rows(outputs, len(mask))),
        )
        end, side = (functional.normalize(x.float(), dim=1) for x in ends)
        return tokens, end, side

    @torch.no_grad()
    def _remember(self, embedded: Tensor, kinds: Tensor) -> None:
        names = functional.one_hot(kinds, self.kinds.count).to(embedded.dtype)  # (B, K)
        counts = names.sum(dim=0)[:, None]
        mean = inner_products(names.T, embedded.T) / counts.clamp(min=1)
        known = self.centres.any(dim=1, keepdim=True)
        moved = torch.where(known, self.centres.lerp(mean, 1 - MEMORY), mean)
        self.centres.copy_(torch.where(counts > 0, moved, self.centres))

    def report(self, held_out: Sequence[TrainClip], scores: Sequence[float]) -> dict[str, object]:
        """Return both tracks on held-out clips, as they are and as a social network shares them."""
        handed_on = [shared_clip(clip) for clip in held_out]
        return {"clean": self._tracks(held_out), "shared": self._tracks(handed_on)}

    @torch.inference_mode()
    def _tracks(self, clips: Sequence[TrainClip]) -> dict[str, float | None]:
        """Return AUC and accuracy of forged, and the share of fakes whose generator is nearest.

        None where no fake is of a generator that was seen in training.
        """
        device = self.centres.device
        labels, scores, named = [], [], []
        for clip in clips:
            steps = min(clip.steps, LONGEST)
            given = clip.chunk(0, steps, (self.probe.name,), None)
            streams = {n: s[None].to(device) for n, s in given.items()}
            mask = torch.ones(1, steps, dtype=torch.bool, device=device)
            tokens, end, _ = self.eval()._embedded(streams, mask)
            labels.append(bool(getattr(clip.sample, self.modality)))
            scores.append(float(self.probe.linear(tokens).mean()))
            if labels[-1] and clip.sample.method in self.kinds.names:
                near = int((end @ self.centres[1:-1].T).argmax())
                named.append(self.kinds.names[near] == clip.sample.method)
        right = [label == (score > 0) for label, score in zip(labels, scores, strict=True)]
        return {
            "auc": round(auc(labels, scores), 4),
            "accuracy": round(float(np.mean(right)), 4),
            "generator": round(float(np.mean(named)), 4) if named else None,
        }


def shared_clip(clip: TrainClip) -> TrainClip:
    """Return a clip as a social network hands it on: crops cut and coded, sound coded."""
    return ChangedClip(
        clip.sample, clip.face, clip.waveform,
        of_crops=lambda frames: shared(frames, np.random.default_rng(len(frames))),
        of_sound=lambda piece: recode(piece, np.random.default_rng(len(piece))),
    )  # fmt: skip


def shared(frames: Frames, rng: np.random.Generator) -> Frames:
    """Return frames (T, H, W, 3) uint8 cut alike, scaled back, mostly coded as JPEG or WebP."""
    height, width = frames.shape[1:3]
    share = rng.uniform(SMALLEST, 1.0)
    tall, wide = max(int(height * share), 1), max(int(width * share), 1)
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    suffix, flag = ((".jpg", cv2.IMWRITE_JPEG_QUALITY), (".webp", cv2.IMWRITE_WEBP_QUALITY))[
        int(rng.integers(2))
    ]
    coded, quality = rng.random() < CODED, int(rng.integers(*QUALITY))
    out = np.empty_like(frames)
    for place, frame in enumerate(frames):
        cut = np.ascontiguousarray(frame[top : top + tall, left : left + wide])
        whole = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
        if coded:
            _, data = cv2.imencode(suffix, whole, [flag, quality])
            whole = cv2.imdecode(data, cv2.IMREAD_COLOR)
        out[place] = whole
    return out


def contrast(points: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss of unit vectors (n, W) and labels (n,).

    For each anchor the mean of -log softmax over all others at those of its label (Khosla et al.
    2020), averaged over anchors that have one.
    """
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    alike = (labels[:, None] == labels) & ~itself
    logits = (inner_products(points, points) / temperature).masked_fill(itself, -torch.inf)
    chances = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(~alike, 0.0)
    mates = alike.sum(dim=1)
    losses = -chances.sum(dim=1) / mates.clamp(min=1)
    return losses[mates > 0].mean() if mates.any() else losses.sum()
