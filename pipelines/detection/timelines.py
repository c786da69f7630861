"""Timelines of every face, scene and the sound, and the logits that they add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from extractors.spectrogram import loudness
from extractors.streams import MEASURES, Streams
from pipelines.detection.detector import Detector
from temporal.windows import WindowConfig, WindowPlan, Windows, cut_windows, stitch_windows


def clip_logit(timeline: Timeline, modality: int, detector: Detector, mask: Tensor | None) -> float:
    """Return a timeline's clip logit of one modality, over the steps of a mask (T,)."""
    with torch.inference_mode():
        device = detector.calibration.device
        steps = torch.ones(len(timeline.opinions), dtype=torch.bool) if mask is None else mask
        logits = detector.clip_logits(timeline.opinions[None].to(device), steps[None].to(device))
    return float(logits[0, modality])


def step_probabilities(timeline: Timeline, detector: Detector) -> Tensor:
    """Return what all judges together say of a timeline's steps (T, 3)."""
    with torch.inference_mode():
        opinions = timeline.opinions[None].to(detector.calibration.device)
        every = torch.ones(opinions.shape[:2], dtype=torch.bool, device=opinions.device)
        return detector.step_logits(opinions, every)[0].sigmoid().cpu()


BATCH = 2  # windows that the networks take at once: bounds memory


@dataclass(frozen=True, eq=False)
class Timeline:
    """What the detector says of one face, scene or the sound, step by step."""

    track: int | None  # identity of the face
    scene: bool
    start: int  # step of the file at which it begins
    streams: frozenset[str]  # which it was judged by
    face_size: float | None  # pixels
    yaw: float | None  # degrees
    opinions: Tensor  # (T, J) step logits of each judge
    proposals: Tensor  # (T, K, 3) probabilities
    reach: Tensor  # (T, K, 3, 2) steps
    loudness: Tensor | None  # (T,) of the sound, nepers
    entry: list[float] | None = None  # where the face was first and last, see `Streams`
    exit: list[float] | None = None
    speech: Tensor | None = None  # these (T,): see `Streams`
    change: Tensor | None = None
    brightness: Tensor | None = None
    detail: Tensor | None = None
    lips_inside: Tensor | None = None
    seen: Tensor | None = None

    @property
    def stop(self) -> int:
        """Step after the last one."""
        return self.start + len(self.opinions)


# Is told of a block, its windows, the experts' tokens (N, L, D) in them, and what came of it.
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
    """Return the timeline of each block, without the steps that its neighbours hold as well.

    The experts run in the given precision, what is made of their tokens in float32. Windows of
    equal length and streams, of whichever block, are judged together, `batch` at a time.
    """
    cut = [cut_windows(block.given(), config, block.lead, block.trail) for block in blocks]
    alike: defaultdict[tuple[object, ...], list[tuple[int, int]]] = defaultdict(list)
    for i, windows in enumerate(cut):
        for n in range(len(windows.starts)):
            alike[windows.length, *windows.streams].append((i, n))
    device = next(detector.parameters()).device
    said: list[list[tuple[Tensor, ...]]] = [[] for _ in blocks]  # of each block, a window each
    heard: list[list[dict[str, Tensor]]] = [[] for _ in blocks]  # tokens, where they are observed
    for places in alike.values():
        for begin in range(0, len(places), batch):
            some = places[begin : begin + batch]
            streams = {
                name: torch.stack([cut[i].streams[name][n] for i, n in some]).to(device)
                for name in cut[some[0][0]].streams
            }
            mask = torch.stack([cut[i].mask[n] for i, n in some]).to(device)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                tokens = detector.tokens(streams, mask)
            tokens = {name: t.float() for name, t in tokens.items()}
            out = detector.fuse(tokens, mask)
            curves = (out.opinions, out.proposal_logits.sigmoid(), out.reach)
            for place, window in enumerate(some):
                said[window[0]].append(tuple(curve[place] for curve in curves))
                if observe is not None:
                    heard[window[0]].append({name: t[place] for name, t in tokens.items()})
    timelines = [
        _timeline(block, windows, *map(torch.stack, zip(*mine, strict=True)))
        for block, windows, mine in zip(blocks, cut, said, strict=True)
    ]
    if observe is not None:
        for block, windows, mine, timeline in zip(blocks, cut, heard, timelines, strict=True):
            joined = {name: torch.stack([tokens[name] for tokens in mine]) for name in mine[0]}
            observe(block, windows, joined, timeline)
    return timelines


def _timeline(
    block: Streams, windows: WindowPlan, opinions: Tensor, proposals: Tensor, reach: Tensor
) -> Timeline:
    sound = None if block.mel is None else loudness(block.mel)
    own = slice(block.lead, block.steps - block.trail)
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
        **{name: measure[own] for name, measure in block.measures().items()},
    )


def join_timelines(pieces: Iterable[Timeline]) -> list[Timeline]:
    """Return one timeline a face and one of the sound, end to end; scenes stay in pieces."""
    groups: dict[tuple[int | None, int | None], list[Timeline]] = defaultdict(list)
    for piece in pieces:
        groups[(piece.track, piece.start if piece.scene else None)].append(piece)
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
        **{name: _joined(pieces, name) for name in ("loudness", *MEASURES)},
    )


def _joined(pieces: list[Timeline], name: str) -> Tensor | None:
    """Return what was measured of all pieces, end to end; None where it was not of all."""
    measured = [getattr(piece, name) for piece in pieces]
    return None if any(m is None for m in measured) else torch.cat(measured)
