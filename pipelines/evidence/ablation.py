"""Ablation of streams: the scores of a file with one kind of evidence hidden at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TypedDict

import torch
from torch import Tensor

from extractors.added_streams import made_of
from extractors.media import MediaInfo
from extractors.streams import Streams
from pipelines.detection.decide import decide
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.opinions import streams_behind
from pipelines.detection.result import Result
from pipelines.detection.timelines import BATCH, Timeline, join_timelines
from temporal.windows import Windows, stitch_windows

# Kinds of evidence that are hidden one at a time, and the streams of each.
EVIDENCE = {
    "portrait": frozenset({"portrait"}),
    "appearance": frozenset({"appearance"}),
    "lips": frozenset({"mouth", "landmarks"}),
    "flow": frozenset({"flow"}),
    "depth": frozenset({"depth"}),
    "sound": frozenset({"mel"}),
}


class Contribution(TypedDict):
    """The contribution of one kind of evidence to the score."""

    evidence: str  # one of EVIDENCE
    without: dict[str, float | None]  # the scores where it is hidden
    change: float | None  # score minus that without it; above 0 is evidence of fake; None: unknown


class Removals:
    """Timelines of a file with each kind of evidence hidden, made from the detection's tokens.

    Only fusion and head run again, in the precision of the experts: the experts' tokens do not
    depend on each other.
    """

    def __init__(self, detector: Detector, precision: torch.dtype = torch.float32) -> None:
        self.detector, self.precision = detector, precision
        self._pieces: dict[str, list[Timeline]] = defaultdict(list)

    @torch.inference_mode()
    def block(
        self, block: Streams, windows: Windows, tokens: dict[str, Tensor], said: Timeline
    ) -> None:
        """Judge a block again without each kind of evidence that it has."""
        for name, hidden in EVIDENCE.items():
            left = said.streams - made_of(hidden, said.streams)
            if left == said.streams:
                self._pieces[name].append(said)
            elif left:
                kept = {n: t for n, t in tokens.items() if streams_behind(n) <= left}
                opinions = stitch_windows(self._opinions(kept, windows.mask), windows).cpu()
                self._pieces[name].append(replace(said, streams=left, opinions=opinions))

    def other_sound(self, timelines: list[Timeline]) -> None:
        """Add a further sound track, which is hidden when sound is."""
        for name in EVIDENCE:
            self._pieces[name] += [
                t for t in timelines if t.streams - made_of(EVIDENCE[name], t.streams)
            ]

    def _opinions(self, tokens: dict[str, Tensor], mask: Tensor) -> Tensor:
        """Return opinions (N, L, J) on tokens (N, L, D), a few windows at a time."""
        parts = []
        for begin in range(0, len(mask), BATCH):
            part = {name: t[begin : begin + BATCH] for name, t in tokens.items()}
            device = next(iter(part.values())).device
            with torch.autocast(
                device.type, self.precision, enabled=self.precision != torch.float32
            ):
                out = self.detector.fuse(part, mask[begin : begin + BATCH].to(device))
            parts.append(out.opinions.float())
        return torch.cat(parts)

    def contributions(self, result: Result, config: JudgeConfig) -> list[Contribution]:
        """Return the contribution of each kind of evidence that the result has."""
        rows: list[Contribution] = []
        info = MediaInfo(path=result["path"], **result["media"])
        for name, hidden in EVIDENCE.items():
            if any(result["streams"][stream] for stream in hidden):
                timelines = join_timelines(self._pieces[name])
                scores = decide(timelines, self.detector, config, info).scores
                full, less = result["score"], scores["score"]
                change = None if full is None or less is None else round(full - less, 4)
                rows.append({"evidence": name, "without": scores, "change": change})
        return rows
