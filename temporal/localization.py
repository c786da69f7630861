"""Temporal localization of forged segments: the head, its targets, and the decoding of segments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, log

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from extractors.clip import Doubles
from extractors.media import STEP_RATE
from temporal.proposals import find_runs, score_spans, soft_nms
from temporal.segment import MODALITIES, Segment


@dataclass(frozen=True)
class LocalizationConfig:
    """The head's size, and how its outputs are decoded to segments."""

    width: int = 64  # channels
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)  # a scale each, ascending
    centre_radius: float = 1.5  # dilations around a segment's centre where it is to be proposed
    min_length: float = 0.12  # seconds; shorter segments are dropped
    min_score: float = 0.01  # segments of lower score are dropped
    min_proposal: float = 0.05  # proposals of lower score are dropped before ranking
    proposals_per_second: int = 6  # at most, of each modality; the best are kept
    run_thresholds: tuple[float, ...] = (0.3, 0.5, 0.7)  # step scores above them form a segment
    run_gap: int = 3  # steps below the threshold that do not end a run
    edge_contrast: float = 1.0  # how much step scores just outside count against a segment, 0 to 1
    sigma: float = 0.5  # of soft-NMS; smaller suppresses more

    @property
    def length_limits(self) -> tuple[float, ...]:
        """Segment length in steps up to which each scale is responsible, (K,).

        Six dilations: by then the scale sees the whole segment, see `LocalizationHead`.
        """
        return (*(6.0 * dilation for dilation in self.dilations[:-1]), inf)


@dataclass(frozen=True, eq=False)
class StepOutputs:
    """The head's outputs for each step, M modalities and K scales."""

    logits: Tensor  # (N, L, M): the step is manipulated
    proposal_logits: Tensor  # (N, L, K, M): the step is in the middle of a segment of this scale
    reach: Tensor  # (N, L, K, M, 2) >= 0: steps from the step's middle to the start and to the end

    def packed(self) -> Tensor:
        """Return all outputs as one tensor (N, L, C): those of a step are its C channels."""
        return torch.cat([self.logits, self.proposal_logits.flatten(2), self.reach.flatten(2)], -1)

    @staticmethod
    def unpacked(channels: Tensor, modalities: int) -> StepOutputs:
        """Return the outputs for M modalities of channels (N, L, C), see `packed`."""
        scales = (channels.shape[-1] // modalities - 1) // 3
        sizes = [modalities * n for n in (1, scales, 2 * scales)]
        logits, proposals, reach = torch.split(channels, sizes, dim=-1)
        return StepOutputs(
            logits,
            proposals.reshape(*proposals.shape[:2], scales, modalities),
            reach.reshape(*reach.shape[:2], scales, modalities, 2),
        )


class DilatedBlock(nn.Module):
    """Two dilated convolutions with a residual; the receptive field grows by `4 * dilation`."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (N, L, C), (N, L, 1) -> (N, L, C)
        y = (self.norm(x) * mask).transpose(1, 2)  # (N, C, L)
        y = F.gelu(self.first(y)) * mask.transpose(1, 2)
        return x + self.second(y).transpose(1, 2)


class LocalizationHead(nn.Module):
    """A one-stage, anchor-free head: step scores and segment proposals for every step.

    The scales are chained with growing dilation in place of striding, so every output is on the
    step grid and tokens may have any length L. Where dilations double, scale k has a receptive
    field of `8 * dilation - 3` steps; it proposes the segments whose length is in its range of
    `length_limits`.
    """

    def __init__(
        self,
        dim: int,
        config: LocalizationConfig = LocalizationConfig(),
        modalities: int = len(MODALITIES),
    ) -> None:
        """Make an untrained head on tokens of `dim` channels, for M modalities."""
        super().__init__()
        width, count = config.width, modalities
        self.modalities = modalities
        self.dilations = config.dilations
        self.stem = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(DilatedBlock(width, d) for d in config.dilations)
        self.proposals = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * count))
            for _ in config.dilations
        )
        self.steps = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, count))
        for head in self.proposals:
            bias = head.get_submodule("1").get_parameter("bias")
            with torch.no_grad():
                bias[:count] = -log(99)  # few steps are positive: begin at a score of 0.01
                bias[count:] = log(np.e - 1)  # softplus gives 1: begin at the scale's own length

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> StepOutputs:
        """Return the outputs for tokens (N, L, D); `mask` (N, L) is False where there is none."""
        valid = tokens.new_ones(tokens.shape[:2]) if mask is None else mask.to(tokens.dtype)
        valid = valid[..., None]  # (N, L, 1)
        x = self.stem(tokens)  # (N, L, C)
        logits, reaches = [], []
        for dilation, block, head in zip(self.dilations, self.blocks, self.proposals, strict=True):
            x = block(x, valid)
            logit, reach = head(x).split([self.modalities, 2 * self.modalities], dim=-1)
            logits.append(logit)
            reaches.append(2.25 * dilation * F.softplus(reach.unflatten(-1, (-1, 2))))
        return StepOutputs(self.steps(x), torch.stack(logits, dim=2), torch.stack(reaches, dim=2))


@dataclass(frozen=True, eq=False)
class SegmentTargets:
    """The training targets of `StepOutputs` for one window."""

    steps: Tensor  # (T, 3) float32, 0 or 1
    proposals: Tensor  # (T, K, 3) float32, 0 or 1
    reach: Tensor  # (T, K, 3, 2) float32 steps; 0 where there is nothing to propose


def segment_targets(
    segments: Iterable[Segment], steps: int, config: LocalizationConfig = LocalizationConfig()
) -> SegmentTargets:
    """Return the head's targets for `steps` steps, of which the first begins at second 0.

    A step is manipulated if a segment covers at least half of it. Each segment is assigned to the
    one scale that is responsible for its length, at the steps around its centre; where two segments
    compete for a step, the shorter one gets it. Segments are clipped to the steps, since the head
    sees nothing beyond them.
    """
    scales, modalities = len(config.dilations), len(MODALITIES)
    targets = SegmentTargets(
        torch.zeros(steps, modalities),
        torch.zeros(steps, scales, modalities),
        torch.zeros(steps, scales, modalities, 2),
    )
    middles = torch.arange(steps) + 0.5
    for segment in sorted(segments, key=lambda s: s.start - s.end):  # the longest first
        start, end = max(0.0, segment.start * STEP_RATE), min(float(steps), segment.end * STEP_RATE)
        if start >= end:
            continue
        m = MODALITIES.index(segment.modality)
        covered = (middles + 0.5).clamp(max=end) - (middles - 0.5).clamp(min=start)
        targets.steps[covered >= 0.5, m] = 1
        k = next(k for k, limit in enumerate(config.length_limits) if end - start <= limit)
        from_centre = (middles - (start + end) / 2).abs()
        near = (from_centre <= config.centre_radius * config.dilations[k]) & (covered >= 0.5)
        near[from_centre.argmin()] = True  # also where the segment is shorter than a step
        reach = torch.stack([middles - start, end - middles], dim=-1).clamp(min=0)
        targets.proposals[near, k, m] = 1
        targets.reach[near, k, m] = reach[near]
    return targets


def decode_segments(
    step_probs: Tensor,
    proposal_probs: Tensor,
    reach: Tensor,
    config: LocalizationConfig = LocalizationConfig(),
) -> list[Segment]:
    """Return the segments of a whole video, best first, after soft-NMS in each modality.

    Candidates are the head's proposals and the runs of high step scores: a video that is forged
    throughout is one run, however short the windows were. `score_spans` ranks them; a part of a
    longer forged segment ranks low, because high scores just outside count against it.

    Args:
        step_probs: (T, 3) in [0, 1]; NaN where a modality was not judged.
        proposal_probs: (T, K, 3) in [0, 1].
        reach: (T, K, 3, 2) steps, see `StepOutputs`.
        config: thresholds, ranking and suppression.

    Raises:
        ValueError: the three shapes do not fit each other or the config.
    """
    steps, scales, modalities = len(step_probs), len(config.dilations), len(MODALITIES)
    expected = ((steps, modalities), (steps, scales, modalities), (steps, scales, modalities, 2))
    shapes = tuple(tuple(x.shape) for x in (step_probs, proposal_probs, reach))
    if shapes != expected:
        raise ValueError(f"expected step scores, proposals and reach of {expected}, got {shapes}")
    proposals = _best_proposals(proposal_probs, reach, config)
    curves = step_probs.detach().nan_to_num(0).double().cpu().numpy()  # (T, 3)
    min_steps = min(config.min_length * STEP_RATE, steps) - 1e-6
    segments = []
    for m, modality in enumerate(MODALITIES):
        own = proposals[proposals[:, 0] == m]
        runs = find_runs(curves[:, m], config.run_thresholds, config.run_gap)
        spans = np.concatenate([own[:, 2:], runs]).clip(0, steps)
        proposed = np.append(own[:, 1], np.full(len(runs), np.nan))
        keep = spans[:, 1] - spans[:, 0] >= min_steps
        spans = spans[keep]
        scores = score_spans(spans, proposed[keep], curves[:, m], config.edge_contrast)
        kept, scores = soft_nms(spans, scores, config.sigma, config.min_score)
        segments += [
            Segment(float(start) / STEP_RATE, float(end) / STEP_RATE, float(score), modality)
            for (start, end), score in zip(spans[kept], scores, strict=True)
        ]
    return sorted(segments, key=lambda segment: -segment.score)


def _best_proposals(probs: Tensor, reach: Tensor, config: LocalizationConfig) -> Doubles:
    """Return proposals (modality, score, start, end) in steps: local maxima, each second's best."""
    probs = probs.detach().nan_to_num(0).float()  # (T, K, 3)
    peaks = [
        F.max_pool1d(probs[:, k].T, 2 * dilation + 1, stride=1, padding=dilation).T
        for k, dilation in enumerate(config.dilations)
    ]  # K of (T, 3)
    keep = (probs >= torch.stack(peaks, dim=1)) & (probs >= config.min_proposal)
    t, k, m = keep.nonzero(as_tuple=True)
    left, right = reach.detach()[t, k, m].double().unbind(-1)
    middle = t.double() + 0.5
    rows = torch.stack([m.double(), probs[t, k, m].double(), middle - left, middle + right], dim=1)
    peak_rows: Doubles = torch.cat([t.double()[:, None], rows], dim=1).cpu().numpy()  # one transfer
    second = peak_rows[:, 0] // STEP_RATE + peak_rows[:, 1] * (len(probs) // STEP_RATE + 1)
    order = np.lexsort((-peak_rows[:, 2], second))
    second = second[order]
    rank = np.arange(len(order)) - np.searchsorted(second, second)
    return peak_rows[order[rank < config.proposals_per_second], 1:]
