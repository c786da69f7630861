"""Blocks of streams in, step logits of whole faces, scenes and sound out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from extractors.spectrogram import loudness
from extractors.streams import Streams
from pipelines.detector import Detector
from temporal.windows import WindowConfig, Windows, cut_windows, stitch_windows

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
    logits: Tensor  # (T, 3)
    proposals: Tensor  # (T, K, 3) probabilities
    reach: Tensor  # (T, K, 3, 2) steps
    loudness: Tensor | None  # (T,) of the sound, nepers

    @property
    def stop(self) -> int:
        """Step after the last one."""
        return self.start + len(self.logits)


# Is told of a block, its windows, the experts' tokens (N, L, D) in them, and what came of it.
Observer = Callable[[Streams, Windows, dict[str, Tensor], Timeline], None]


@torch.inference_mode()
def judge_block(
    block: Streams,
    detector: Detector,
    config: WindowConfig,
    precision: torch.dtype,
    observe: Observer | None = None,
) -> Timeline:
    """Return the timeline of a block, without the steps that its neighbours hold as well.

    The experts run in the given precision, what is made of their tokens in float32.
    """
    windows = cut_windows(block.present(), config, block.lead, block.trail)
    device = next(detector.parameters()).device
    parts, heard = [], []
    for begin in range(0, len(windows.starts), BATCH):
        streams = {n: s[begin : begin + BATCH].to(device) for n, s in windows.streams.items()}
        mask = windows.mask[begin : begin + BATCH].to(device)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            tokens = detector.tokens(streams, mask)
        tokens = {name: t.float() for name, t in tokens.items()}
        parts.append(detector.fuse(tokens, mask))
        if observe is not None:
            heard.append(tokens)
    logits = torch.cat([part.logits for part in parts])
    proposals = torch.cat([part.proposal_logits for part in parts]).sigmoid()
    reach = torch.cat([part.reach for part in parts])
    sound = None if block.mel is None else loudness(block.mel)
    timeline = Timeline(
        track=block.track,
        scene=block.scene,
        start=block.start + block.lead,
        streams=frozenset(block.present()),
        face_size=block.face_size,
        yaw=block.yaw,
        logits=stitch_windows(logits, windows).cpu(),
        proposals=stitch_windows(proposals, windows).cpu(),
        reach=stitch_windows(reach, windows).cpu(),
        loudness=None if sound is None else sound[block.lead : block.steps - block.trail],
    )
    if observe is not None:
        joined = {name: torch.cat([tokens[name] for tokens in heard]) for name in heard[0]}
        observe(block, windows, joined, timeline)
    return timeline


def join_timelines(pieces: Iterable[Timeline]) -> list[Timeline]:
    """Return one timeline a face and one of the sound, end to end; scenes stay in pieces."""
    groups: dict[tuple[int | None, int | None], list[Timeline]] = defaultdict(list)
    for piece in pieces:
        groups[(piece.track, piece.start if piece.scene else None)].append(piece)
    return [_join(sorted(group, key=lambda t: t.start)) for group in groups.values()]


def _join(pieces: list[Timeline]) -> Timeline:
    first = pieces[0]
    sounds = [piece.loudness for piece in pieces if piece.loudness is not None]
    sizes = [piece.face_size for piece in pieces if piece.face_size is not None]
    yaws = [piece.yaw for piece in pieces if piece.yaw is not None]
    return Timeline(
        track=first.track,
        scene=first.scene,
        start=first.start,
        streams=first.streams,
        face_size=sum(sizes) / len(sizes) if sizes else None,
        yaw=sum(yaws) / len(yaws) if yaws else None,
        logits=torch.cat([piece.logits for piece in pieces]),
        proposals=torch.cat([piece.proposals for piece in pieces]),
        reach=torch.cat([piece.reach for piece in pieces]),
        loudness=torch.cat(sounds) if sounds else None,
    )
