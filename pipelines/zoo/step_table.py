"""Temporal localization by a part's step logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from extractors.media import STEP_RATE
from pipelines.evaluation.segments import union
from pipelines.metrics.segments import localization
from pipelines.train.clips import TrainClip
from pipelines.zoo.native_clips import NativeClip
from temporal.localization import LocalizationConfig, decode_segments
from temporal.proposals import soft_nms
from temporal.segment import MODALITIES

IOU = 0.5
LEAST, MOST = 1e-4, 100  # score below which a candidate is dropped, and how many are kept


@runtime_checkable
class Proposer(Protocol):
    """A part that proposes intervals itself, besides its step logits."""

    def proposals(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return candidates (P, 3) of streams (1, L, ...): score, start and end in steps."""


def steps_precision(
    clips: Sequence[TrainClip],
    curves: Sequence[Tensor],
    modality: str,
    proposed: Sequence[Tensor] = (),
) -> dict[str, float]:
    """Return `AP@0.5` of the segments decoded from step logits; empty where it is undefined.

    Where the part proposes intervals itself, also `own AP@0.5` of those on the same clips.

    It is undefined if no clip is partially forged, or if steps are selected frames. Only the
    seconds with logits count.

    Args:
        clips: whose label of the modality is known.
        curves: (T,) step logits of each clip, from its first step on.
        modality: visual, audio, sync or any.
        proposed: the candidates (P, 3) of each clip, if the part is a `Proposer`.
    """
    truth: dict[str, list[list[float]]] = {}
    proposals: dict[str, list[list[float]]] = {}
    partial = False
    for clip, curve in zip(clips, curves, strict=True):
        if isinstance(clip, NativeClip):
            return {}
        name, begin = str(clip.sample.path), clip.start / STEP_RATE
        end = begin + len(curve) / STEP_RATE
        spans = [(max(s, begin), min(e, end)) for s, e in getattr(clip.sample, modality)]
        truth[name] = [[s, e] for s, e in union(spans) if e > s]
        proposals[name] = segment_rows(curve, begin)
        partial |= bool(truth[name]) and truth[name] != [[begin, end]]
    if not partial:
        return {}
    row = {f"AP@{IOU}": localization(proposals, truth, ious=[IOU]).average_precision[IOU]}
    if proposed:
        own = {
            str(clip.sample.path): proposal_rows(candidates, clip.start / STEP_RATE)
            for clip, candidates in zip(clips, proposed, strict=True)
        }
        row[f"own AP@{IOU}"] = localization(own, truth, ious=[IOU]).average_precision[IOU]
    return row


def proposal_rows(candidates: Tensor, begin: float) -> list[list[float]]:
    """Return rows (score, start, end) in seconds of candidates (P, 3) in steps, by soft-NMS.

    At most 100, the best first, as BMN keeps them; begin: the time of the first step, in seconds.
    """
    scores, spans = candidates[:, 0].double().numpy(), candidates[:, 1:].double().numpy()
    chosen, left = soft_nms(spans, scores, LocalizationConfig().sigma, LEAST)
    return [
        [score, begin + spans[i, 0] / STEP_RATE, begin + spans[i, 1] / STEP_RATE]
        for i, score in zip(chosen[:MOST].tolist(), left[:MOST].tolist(), strict=True)
    ]


def segment_rows(logits: Tensor, begin: float) -> list[list[float]]:
    """Return rows (score, start, end) of the segments that detection decodes from logits (T,).

    begin: the time of the first step, in seconds; start and end are in seconds as well.
    """
    config = LocalizationConfig()
    curves = torch.full((len(logits), len(MODALITIES)), torch.nan)
    curves[:, 0] = logits.sigmoid()
    no_proposals = torch.zeros(len(logits), len(config.dilations), len(MODALITIES))
    no_reach = torch.zeros(*no_proposals.shape, 2)
    return [
        [segment.score, begin + segment.start, begin + segment.end]
        for segment in decode_segments(curves, no_proposals, no_reach, config)
    ]
