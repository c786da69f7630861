"""Training of fusion and localization on the experts' cached tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from extractors.media import STEP_RATE
from pipelines.detection.detector import Detector
from pipelines.detection.opinions import hears
from pipelines.train.batches import balanced_weights
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run, fit
from pipelines.train.losses import UNKNOWN, clip_loss, focal_loss, reach_loss, step_loss
from pipelines.train.stage import StageConfig
from pipelines.train.token_clips import (
    AUDIO,
    SYNC,
    VISUAL,
    TokenClip,
    clip_logits,
    clip_targets,
    modality_aucs,
    token_clips,
    with_lag,
    with_sound_shifted,
)
from temporal.localization import LocalizationConfig, segment_targets
from temporal.segment import MODALITIES, Segment

MOVES = (5, 20)  # steps that sound is moved by to make lips and sound fall apart


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Tokens of several clips with the same tracks, padded to one length."""

    tokens: dict[str, Tensor]  # (B, L, D)
    targets: Tensor  # (B, L, 3)
    mask: Tensor  # (B, L) bool


def train_fusion(
    detector: Detector, clips: dict[str, list[TrainClip]], config: StageConfig, run: Run
) -> None:
    """Train the detector's fusion, head and clip pooling; its experts are frozen."""
    if run.finished("fusion", detector):
        return
    train = token_clips(detector, clips["train"], run, versions=1)
    val = token_clips(detector, clips["val"], run, versions=0)
    run.log(stage="fusion", train=len(train), val=len(val))
    kinds = {kind: [c for c in train if c.kind == kind] for kind in ("both", "face", "sound")}
    weights = {kind: _weights(members) for kind, members in kinds.items() if members}
    shares = {"both": 0.6, "face": 0.2, "sound": 0.2}
    p = np.array([shares[kind] for kind in weights])

    def batches(first: int, last: int) -> Iterator[TokenBatch]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update))
            kind = list(weights)[int(rng.choice(len(weights), p=p / p.sum()))]
            size = config.batch * run.team.size
            picks = rng.choice(len(kinds[kind]), size, p=weights[kind])
            chunks = [
                random_stretch(
                    kinds[kind][i], config.length, np.random.default_rng((run.seed, update, place))
                )
                for place, i in run.team.share(picks.tolist())
            ]
            yield _without_some(pad(chunks), rng)

    def loss_of(module: Detector, batch: TokenBatch) -> Tensor:
        return fusion_loss(module, batch, run.device)

    def score_of(module: Detector) -> float:
        aucs = modality_aucs(module, val, run)
        run.log(stage="fusion", **{f"val_{m}": round(a, 4) for m, a in aucs.items()})
        return float(np.mean(list(aucs.values())))

    fit("fusion", detector, config, run, batches, loss_of, score_of)


def random_stretch(
    clip: TokenClip, length: int, rng: np.random.Generator
) -> tuple[dict[str, Tensor], Tensor]:
    """Return tokens and targets of a random stretch, sometimes with the sound shifted in time."""
    steps = len(clip.targets)
    fits = clip.kind == "both" and clip.clip.sample.sync == ()
    move = int(rng.integers(*MOVES)) * int(rng.choice((-1, 1))) if fits else 0
    if fits and rng.random() < 0.5 and steps > 2 * abs(move) + 20:
        low, high = max(-move, 0), steps - max(move, 0)
        first = int(rng.integers(low, max(high - length, low) + 1))
        last = min(first + length, high)
        return with_sound_shifted(clip, first, last, move, rng)
    first = int(rng.integers(0, max(steps - length, 0) + 1))
    last = min(first + length, steps)
    return {n: t[first:last].float() for n, t in clip.tokens.items()}, clip.targets[first:last]


def pad(chunks: Sequence[tuple[dict[str, Tensor], Tensor]]) -> TokenBatch:
    """Return stretches as one batch; shorter ones end in zeros outside the mask."""
    longest = max(len(targets) for _, targets in chunks)
    sequence = nn.utils.rnn.pad_sequence
    return TokenBatch(
        tokens={
            name: sequence([tokens[name] for tokens, _ in chunks], batch_first=True)
            for name in chunks[0][0]
        },
        targets=sequence([t for _, t in chunks], batch_first=True, padding_value=UNKNOWN),
        mask=torch.stack([torch.arange(longest) < len(t) for _, t in chunks]),
    )


def _without_some(batch: TokenBatch, rng: np.random.Generator) -> TokenBatch:
    """Return the batch, sometimes without one track (modality dropout), as files may lack one."""
    draw = rng.random()
    seen = {name: t for name, t in batch.tokens.items() if not hears(name)}
    heard = {name: t for name, t in batch.tokens.items() if hears(name)}
    if not (seen and heard) or draw > 0.4:
        return batch
    targets = batch.targets.clone()
    targets[..., SYNC] = UNKNOWN
    targets[..., VISUAL if draw < 0.25 else AUDIO] = UNKNOWN
    return TokenBatch(heard if draw < 0.25 else seen, targets, batch.mask)


def fusion_loss(detector: Detector, batch: TokenBatch, device: str) -> Tensor:
    """Return the sum of step, proposal, reach and clip losses of a batch."""
    mask, targets = batch.mask.to(device), batch.targets.to(device)
    tokens = with_lag(detector, {n: t.to(device) for n, t in batch.tokens.items()}, mask)
    out = detector.fuse(tokens, mask)
    proposals, reach = proposal_targets(batch.targets, detector.config.localization)
    proposals, reach = proposals.to(device), reach.to(device)
    clips = clip_logits(detector, out.opinions, mask, targets[..., SYNC] != UNKNOWN)
    return (
        step_loss(detector.step_logits(out.opinions, mask), targets, mask)
        + 0.5 * focal_loss(out.proposal_logits, proposals, mask)
        + 0.5 * reach_loss(out.reach, reach, proposals, mask)
        + clip_loss(clips, clip_targets(targets))
    )


def proposal_targets(targets: Tensor, config: LocalizationConfig) -> tuple[Tensor, Tensor]:
    """Return proposal targets (B, L, K, 3), -1 unknown, and reach (B, L, K, 3, 2) of targets."""
    made = [segment_targets(segments_of(t), len(t), config) for t in targets]
    proposals = torch.stack([m.proposals for m in made])
    unknown = (targets == UNKNOWN).all(dim=1)[:, None, None, :]  # (B, 1, 1, 3)
    return proposals.masked_fill(unknown, UNKNOWN), torch.stack([m.reach for m in made])


def segments_of(targets: Tensor) -> list[Segment]:
    """Return the forged runs of step targets (L, 3) as segments; unknown steps do not end one."""
    segments = []
    for column, modality in enumerate(MODALITIES):
        forged = (targets[:, column] == 1).numpy()
        if modality == "sync":  # pauses within a stretch that is out of sync belong to it
            forged = _bridge(forged, (targets[:, column] == UNKNOWN).numpy())
        edges = np.flatnonzero(np.diff(np.r_[0, forged.astype(np.int8), 0]))
        segments += [
            Segment(begin / STEP_RATE, end / STEP_RATE, 1.0, modality)
            for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        ]
    return segments


def _bridge(forged: np.ndarray, unknown: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Return `forged` (L,) with unknown steps between two forged ones set to forged."""
    known = np.flatnonzero(~unknown)
    if not len(known):
        return forged
    steps = np.arange(len(forged))
    right = known[np.searchsorted(known, steps).clip(max=len(known) - 1)]
    left = known[(np.searchsorted(known, steps, side="right") - 1).clip(min=0)]
    bridged: np.ndarray = forged | (unknown & forged[left] & forged[right])  # type: ignore[type-arg]
    return bridged


def _weights(clips: Sequence[TokenClip]) -> np.ndarray:  # type: ignore[type-arg]
    """Return sampling probabilities: half balanced by visual labels, half by audio labels."""
    both = [balanced_weights([c.clip for c in clips], m) for m in ("visual", "audio")]
    weights = sum(both).numpy().astype(np.float64)  # type: ignore[union-attr]
    normed: np.ndarray = weights / weights.sum()  # type: ignore[type-arg]
    return normed
