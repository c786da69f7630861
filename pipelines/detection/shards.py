"""The shards of a long video: how it is cut, and how their timelines are joined.

Shards are judged separately, with some context on either side that their neighbours decide. So
several workers can share one film, and the joined timelines equal those of the film judged at once,
except for differences where MediaPipe's tracking starts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import dist

import torch
from safetensors.torch import load, save
from torch import Tensor

from extractors.media import MediaInfo
from pipelines.detection.timelines import Timeline, join_timelines
from pipelines.progress import Elapsed, added

NEAR = 0.5  # face sizes; faces of two shards that are nearer at the same step are one face


@dataclass(frozen=True, eq=False)
class Piece:
    """The timelines of a shard, or of a whole file."""

    span: range  # steps of the file that it decides
    reached: int  # step up to which the file could be read, context included
    info: MediaInfo
    sha256: str | None  # of the file's bytes; the first shard alone has it
    timelines: list[Timeline]
    warnings: list[str]
    elapsed: Elapsed


def join_pieces(pieces: Iterable[Piece]) -> Piece:
    """Return the whole file's piece from those of its shards, in order.

    It ends where reading broke off, as when the file is read at once.
    """
    used: list[Piece] = []
    for piece in pieces:
        used.append(piece)
        if piece.reached < piece.span.stop:
            break
    first, last = used[0], used[-1]
    return Piece(
        span=range(first.span.start, last.span.stop),
        reached=last.reached,
        info=first.info,
        sha256=first.sha256,
        timelines=join_timelines(_one_number_a_face(used)),
        warnings=list(dict.fromkeys(w for piece in used for w in piece.warnings)),
        elapsed=added(piece.elapsed for piece in used),
    )


def _one_number_a_face(pieces: Iterable[Piece]) -> Iterator[Timeline]:
    """Yield all timelines with faces numbered across pieces."""
    count = 0
    leaving: list[Timeline] = []  # timelines, renumbered, of faces that the next piece has too
    for piece in pieces:
        numbers = _same_faces(leaving, piece.timelines)
        leaving = []
        for timeline in sorted(piece.timelines, key=lambda t: t.start):
            if timeline.track is not None:
                if timeline.track not in numbers:
                    numbers[timeline.track] = count
                    count += 1
                timeline = replace(timeline, track=numbers[timeline.track])
                if timeline.exit is not None:
                    leaving.append(timeline)
            yield timeline


def _same_faces(leaving: Sequence[Timeline], timelines: Sequence[Timeline]) -> dict[int, int]:
    """Return the numbers of faces that continue from the piece before, by their next number.

    Both pieces contain the step between them, at which a face is at the same place in both.
    """
    pairs = sorted(
        (dist(old.exit[:2], new.entry[:2]) / max(old.exit[2], new.entry[2]), i, j)
        for i, old in enumerate(leaving)
        for j, new in enumerate(timelines)
        if old.exit is not None and new.entry is not None
    )
    numbers: dict[int, int] = {}
    for distance, i, j in pairs:
        old, new = leaving[i].track, timelines[j].track
        if old is None or new is None or distance > NEAR:
            continue
        if new not in numbers and old not in numbers.values():
            numbers[new] = old
    return numbers


def pack(piece: Piece) -> bytes:
    """Return a piece as safetensors, with all but the tensors as JSON."""
    tensors: dict[str, Tensor] = {}
    facts = asdict(replace(piece, timelines=[]))
    facts["span"] = [piece.span.start, piece.span.stop]
    for index, timeline in enumerate(piece.timelines):
        values = {name: getattr(timeline, name) for name in timeline.__dataclass_fields__}
        curves = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        tensors |= {f"{index}.{name}": curve.contiguous() for name, curve in curves.items()}
        others = {name: value for name, value in values.items() if name not in curves}
        facts["timelines"].append(others | {"streams": sorted(timeline.streams)})
    tensors["facts"] = torch.frombuffer(bytearray(json.dumps(facts).encode()), dtype=torch.uint8)
    return bytes(save(tensors))


def unpack(content: bytes) -> Piece:
    """Return the piece that `pack` packed."""
    tensors = load(content)
    facts = json.loads(tensors["facts"].numpy().tobytes())
    timelines = []
    for index, others in enumerate(facts.pop("timelines")):
        own = f"{index}."
        curves = {n.removeprefix(own): t for n, t in tensors.items() if n.startswith(own)}
        timelines.append(Timeline(**others | curves | {"streams": frozenset(others["streams"])}))
    span, info = range(*facts.pop("span")), MediaInfo(**facts.pop("info"))
    return Piece(span=span, info=info, timelines=timelines, **facts)


class LongVideoError(Exception):
    """The video is to be judged in shards."""

    def __init__(self, spans: Sequence[range]) -> None:
        super().__init__(f"is to be judged in {len(spans)} shards")
        self.spans = spans


def plan_shards(steps: int, length: int) -> list[range]:
    """Return the shards of a video, `length` steps each; the last has 0.5 to 1.5 times as many."""
    count = max(1, round(steps / length))
    starts = [length * index for index in range(count)]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], steps], strict=True)]
