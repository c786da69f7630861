"""Timelines of every face, scene and the sound, and the logits of their opinions together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from extractors.allocator import release_free_memory
from extractors.shapes import check_arrays
from extractors.spectrogram import loudness
from extractors.streams import MEASURES, Streams
from pipelines.detection.detector import Detector
from temporal.windows import (
    WindowConfig,
    WindowPlan,
    Windows,
    cut_windows,
    plan_windows,
    stitch_windows,
)


def clip_logit(timeline: Timeline, modality: int, detector: Detector, mask: Tensor | None) -> float:
    """Return a timeline's clip logit of one modality, over the steps of a mask (T,)."""
    with torch.inference_mode():
        device = detector.calibration.device
        steps = torch.ones(len(timeline.opinions), dtype=torch.bool) if mask is None else mask
        logits = detector.clip_logits(timeline.opinions[None].to(device), steps[None].to(device))
    return float(logits[0, modality])


def step_probabilities(timeline: Timeline, detector: Detector) -> Tensor:
    """Return P(fake) (T, 3) of a timeline's steps by all opinions together."""
    with torch.inference_mode():
        opinions = timeline.opinions[None].to(detector.calibration.device)
        every = torch.ones(opinions.shape[:2], dtype=torch.bool, device=opinions.device)
        return detector.step_logits(opinions, every)[0].sigmoid().cpu()


BATCH = 1  # windows that the networks take at once: bounds memory


@dataclass(frozen=True, eq=False)
class Timeline:
    """The detector's outputs for one face, scene or the sound, step by step."""

    track: int | None  # identity of the face
    scene: bool
    start: int  # step of the file at which it begins
    streams: frozenset[str]  # that were present
    face_size: float | None  # pixels
    yaw: float | None  # degrees
    opinions: Tensor  # (T, J) step logits of each opinion
    proposals: Tensor  # (T, K, 3) probabilities
    reach: Tensor  # (T, K, 3, 2) steps
    loudness: Tensor | None  # (T,) of the sound, nepers
    entry: list[float] | None = None  # the face's first and last place, see `Streams`
    exit: list[float] | None = None
    sound: int = 0  # index of the sound's track in `MediaInfo.audio_tracks`

    def __post_init__(self) -> None:
        check_arrays(self, opinions="T J", proposals="T K 3", reach="T K 3 2", loudness="T")

    speech: Tensor | None = None  # these (T,): see `Streams`
    change: Tensor | None = None
    brightness: Tensor | None = None
    detail: Tensor | None = None
    lips_inside: Tensor | None = None
    lips_covered: Tensor | None = None
    seen: Tensor | None = None

    @property
    def heard(self) -> bool:
        """Whether it is of the sound by itself."""
        return self.track is None and not self.scene

    @property
    def stop(self) -> int:
        """Step after the last one."""
        return self.start + len(self.opinions)


def within(timeline: Timeline, begin: int, end: int) -> Timeline:
    """Return the part of a timeline that lies in the steps [begin, end) of the file."""
    low = min(max(begin - timeline.start, 0), len(timeline.opinions))
    high = max(low, min(end - timeline.start, len(timeline.opinions)))
    along = ("opinions", "proposals", "reach", "loudness", *MEASURES)
    values = {name: getattr(timeline, name) for name in along}
    cut: dict[str, Any] = {n: None if v is None else v[low:high] for n, v in values.items()}
    return replace(timeline, start=timeline.start + low, **cut)


Observer = Callable[[Streams, Windows, dict[str, Tensor], Timeline], None]


@torch.inference_mode()
def judge_blocks(
    blocks: Sequence[Streams],
    detector: Detector,
    config: WindowConfig,
    precision: torch.dtype,
    batch: int = BATCH,
    observe: Observer | None = None,
) -> list[Timeline]:
    """Return the timeline of each block, without the steps that its neighbours decide.

    The experts run in the given precision, everything after them in float32. Windows of equal
    length and streams, of any block, are batched, `batch` at a time.
    """
    release_free_memory()  # of extraction, before the networks need theirs
    given = [block.given() for block in blocks]
    plans = [plan_windows(block.steps, config, block.lead, block.trail) for block in blocks]
    alike: defaultdict[tuple[int, tuple[str, ...]], list[tuple[int, int]]] = defaultdict(list)
    for i, plan in enumerate(plans):
        for n in range(len(plan.starts)):
            alike[plan.length, tuple(given[i])].append((i, n))
    device = next(detector.parameters()).device
    outputs: list[list[tuple[Tensor, ...]]] = [[] for _ in blocks]  # curves of each block's windows
    observed: list[list[dict[str, Tensor]]] = [[] for _ in blocks]  # their tokens, for `observe`
    for (length, names), places in alike.items():
        for begin in range(0, len(places), batch):
            some = places[begin : begin + batch]
            spans = [(i, slice(*plans[i].spans[n])) for i, n in some]
            streams = {
                name: torch.stack([given[i][name][span] for i, span in spans]).to(device)
                for name in names
            }
            mask = torch.ones(len(some), length, dtype=torch.bool, device=device)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                tokens = detector.tokens(streams, mask)
            tokens = {name: t.float() for name, t in tokens.items()}
            out = detector.fuse(tokens, mask)
            curves = (out.opinions, out.proposal_logits.sigmoid(), out.reach)
            for place, window in enumerate(some):
                outputs[window[0]].append(tuple(curve[place] for curve in curves))
                if observe is not None:
                    observed[window[0]].append({name: t[place] for name, t in tokens.items()})
    timelines = [
        _timeline(block, plan, *map(torch.stack, zip(*own, strict=True)))
        for block, plan, own in zip(blocks, plans, outputs, strict=True)
    ]
    if observe is not None:
        for i, (block, own) in enumerate(zip(blocks, observed, strict=True)):
            joined = {name: torch.stack([tokens[name] for tokens in own]) for name in own[0]}
            windows = cut_windows(given[i], config, block.lead, block.trail)
            observe(block, windows, joined, timelines[i])
    return timelines


def _timeline(
    block: Streams, windows: WindowPlan, opinions: Tensor, proposals: Tensor, reach: Tensor
) -> Timeline:
    sound = None if block.mel is None else loudness(block.mel)
    own = slice(block.lead, block.steps - block.trail)
    measures: dict[str, Any] = {name: m[own] for name, m in block.measures().items()}
    return Timeline(
        track=block.track,
        scene=block.scene,
        start=block.start + block.lead,
        streams=frozenset(block.present()),
        face_size=block.face_size,
        yaw=block.yaw,
        opinions=stitch_windows(opinions, windows).cpu(),
        proposals=stitch_windows(proposals, windows).cpu(),
        reach=stitch_windows(reach, windows).cpu(),
        loudness=None if sound is None else sound[own],
        entry=block.entry,
        exit=block.exit,
        **measures,
    )


def join_timelines(pieces: Iterable[Timeline]) -> list[Timeline]:
    """Return one timeline per face and per sound track, end to end; scenes stay in pieces."""
    groups: dict[tuple[int | None, int | None, int], list[Timeline]] = defaultdict(list)
    for piece in pieces:
        groups[(piece.track, piece.start if piece.scene else None, piece.sound)].append(piece)
    return [_join(sorted(group, key=lambda t: t.start)) for group in groups.values()]


def _join(pieces: list[Timeline]) -> Timeline:
    first = pieces[0]
    sizes = [piece.face_size for piece in pieces if piece.face_size is not None]
    yaws = [piece.yaw for piece in pieces if piece.yaw is not None]
    return Timeline(
        track=first.track,
        scene=first.scene,
        start=first.start,
        streams=first.streams,
        face_size=sum(sizes) / len(sizes) if sizes else None,
        yaw=sum(yaws) / len(yaws) if yaws else None,
        opinions=torch.cat([piece.opinions for piece in pieces]),
        proposals=torch.cat([piece.proposals for piece in pieces]),
        reach=torch.cat([piece.reach for piece in pieces]),
        entry=first.entry,
        exit=pieces[-1].exit,
        sound=first.sound,
        **{name: _joined(pieces, name) for name in ("loudness", *MEASURES)},
    )


def _joined(pieces: list[Timeline], name: str) -> Tensor | None:
    """Return what was measured of all pieces, end to end; None where it was not of all."""
    measured = [getattr(piece, name) for piece in pieces]
    return None if any(m is None for m in measured) else torch.cat(measured)
