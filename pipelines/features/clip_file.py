"""The file of one clip: its streams and tokens as safetensors, on the 25 Hz clock.

A tensor is named `PART.stream.NAME` or `PART.token.NAME`. A part is a face (`face0`), a stretch
without any face (`scene0`) or the sound by itself (`sound`); all of its tensors have T rows, a row
a step. The metadata `clip` is JSON, see `read_clip_facts`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from extractors.clock import STEP_RATE
from extractors.errors import InputError
from extractors.streams import MEASURES, STREAMS, Streams
from extractors.tensor_file import TensorWriter
from pipelines.detection.detector import Detector
from pipelines.detection.timelines import Timeline, judge_blocks
from pipelines.storage.files import write_by
from temporal.windows import WindowConfig, Windows, stitch_windows


@dataclass(frozen=True)
class Wanted:
    """The names of what is written of a clip; `all` stands for every one."""

    streams: tuple[str, ...] = ()  # of STREAMS and MEASURES
    tokens: tuple[str, ...] = ()  # see `token_names`

    def of(self, detector: Detector) -> Wanted:
        """Return the same with every name in full, in order.

        Raises:
            InputError: a name is unknown.
        """
        return Wanted(
            _named("stream", self.streams, [*STREAMS, *MEASURES]),
            _named("token", self.tokens, token_names(detector)),
        )


def _named(kind: str, names: tuple[str, ...], known: list[str]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in (*known, "all")]
    if unknown:
        raise InputError(f"unknown {kind} {', '.join(unknown)}; known: {', '.join(known)}, all")
    return tuple(name for name in known if name in names or "all" in names)


def token_names(detector: Detector) -> list[str]:
    """Return the names of the tokens of `Detector.tokens`: experts, `lag`, opinions on streams."""
    return [*detector.reads, "lag", *(o.name for o in detector.opinions if o.source == "streams")]


@dataclass
class _Part:
    """A face, a scene or the sound, as far as it was written."""

    start: int  # step of the file
    steps: int = 0
    sizes: list[float] = field(default_factory=list)
    yaws: list[float] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        return {
            "start_step": self.start, "start": self.start / STEP_RATE, "steps": self.steps,
            "face_size": _mean(self.sizes), "yaw": _mean(self.yaws),
        }  # fmt: skip


class FeatureWriter:
    """Writes the blocks of a clip, each without the steps that its neighbours decide."""

    def __init__(
        self,
        folder: Path,
        wanted: Wanted,
        detector: Detector,
        windows: WindowConfig,
        precision: Any,
    ) -> None:
        """Begin a clip; its tensors wait in `folder` until it is written."""
        self._tensors, self._wanted = TensorWriter(folder), wanted
        self._judging = detector, windows, precision
        self._parts: dict[str, _Part] = {}
        self._scenes = 0

    def add_all(self, blocks: Iterable[Streams]) -> None:
        """Take the blocks of a clip as they are extracted.

        Raises:
            ValueError: the blocks of a part do not join.
        """
        for block in blocks:
            name, own = self._name(block), slice(block.lead, block.steps - block.trail)
            part = self._parts.setdefault(name, _Part(block.start + block.lead))
            if part.start + part.steps != block.start + block.lead:
                raise ValueError(f"{name} goes on at step {block.start + block.lead}")
            part.steps += own.stop - own.start
            part.sizes += [] if block.face_size is None else [block.face_size]
            part.yaws += [] if block.yaw is None else [block.yaw]
            streams = block.present() | block.measures()
            for stream in streams.keys() & set(self._wanted.streams):
                self._tensors.add(f"{name}.stream.{stream}", streams[stream][own])
            if self._wanted.tokens:
                judge_blocks([block], *self._judging, observe=partial(self._take, name))

    def write(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the clip with what else is known of it, whole or not at all."""
        parts = {name: part.facts() for name, part in self._parts.items()}
        clip = json.dumps({**facts, "rate": STEP_RATE, "parts": parts})
        write_by(path, partial(self._tensors.write, metadata={"clip": clip}))

    def close(self) -> None:
        """Drop what waits."""
        self._tensors.close()

    def _take(
        self, name: str, block: Streams, windows: Windows, tokens: dict[str, Tensor], said: Timeline
    ) -> None:
        """Take the tokens of a block's windows."""
        for token in tokens.keys() & set(self._wanted.tokens):
            rows = stitch_windows(tokens[token], windows)
            self._tensors.add(f"{name}.token.{token}", rows.float())

    def _name(self, block: Streams) -> str:
        """Return the name of a block's part; a scene's first block has no lead."""
        if block.track is not None:
            return f"face{block.track}"
        if not block.scene:
            return "sound"
        self._scenes += block.lead == 0
        return f"scene{self._scenes - 1}"


def _mean(values: Collection[float]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def read_clip_facts(path: Path) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return what is known of a clip's file, and the shape of each of its tensors.

    Known are `sha256`, `duration` in seconds, `steps` T of the file and those `reached`, `rate` of
    the clock, `dim` of experts' tokens, and `parts`: `start_step`, `start` in seconds, `steps`, and
    of a face `face_size` in pixels and `yaw` in degrees.
    """
    with safe_open(path, framework="pt") as file:
        facts: dict[str, Any] = json.loads((file.metadata() or {})["clip"])
        names = file.keys()
        return facts, {name: file.get_slice(name).get_shape() for name in sorted(names)}
