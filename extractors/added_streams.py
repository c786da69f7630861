"""Streams that are added to those of `Streams`: each is made of a block's own streams.

One is a row, named as an entry point of the group `avdetect.streams` (docs/plugins.md). It is made
where a detector has an opinion or an expert that reads it, block by block: a block has at least 64
steps of context at either side of those that it decides, except at the ends of its face or file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from extractors.errors import AvdetectError
from extractors.plugins import Plugins, load_plugins
from extractors.streams import STREAMS, StreamConfig

GROUP = "avdetect.streams"  # of the entry points of other packages, each an AddedStream
SAMPLES = "samples"  # the sound at 16 kHz, (T, 640) float32 from -1 to 1; read here alone
SOUNDS = (SAMPLES, "mel")

# Called with the step of the file at which a block begins, then with what the row reads (T, ...);
# returns the stream (T, ...).
Maker = Callable[..., Tensor]


class AddedStreamError(AvdetectError):
    """An added stream cannot be made; the message names it and the cause."""


@dataclass(frozen=True)
class AddedStream:
    """A stream that is made of others."""

    name: str
    reads: tuple[str, ...]  # streams of avdetect, or `samples`
    make: Callable[[StreamConfig], Maker]  # called once by each extractor; loads networks
    # What else its values depend on, so that streams kept on disk are told apart.
    key: Callable[[StreamConfig], str] = lambda config: ""


@cache
def plugged_streams() -> Plugins[AddedStream]:
    """Return the streams that other packages add, by name; their code is loaded at this call."""
    return load_plugins(GROUP, _usable)


def _usable(name: str, row: object) -> AddedStream:
    """Return a plug-in's row.

    Raises:
        ValueError: it is no row of a stream that can be made.
    """
    if not isinstance(row, AddedStream):
        raise ValueError("it is no AddedStream")
    if row.name != name or name in {*STREAMS, SAMPLES, "size"} or not name.isidentifier():
        raise ValueError(f"its row must be named {name!r}, in one word and unlike avdetect's")
    if not row.reads or not set(row.reads) <= {*STREAMS, SAMPLES}:
        raise ValueError(f"it cannot read {list(row.reads)}; there are {[*STREAMS, SAMPLES]}")
    return row


def of_sound(stream: str) -> bool:
    """Return whether a stream is of the sound alone."""
    if stream in (*STREAMS, "size"):
        return stream in SOUNDS
    row = plugged_streams().found.get(stream)
    return row is not None and set(row.reads) <= set(SOUNDS)


def made_of(streams: Collection[str], among: Collection[str]) -> set[str]:
    """Return `streams` and those of `among` that are made of one of them."""
    hidden = {*streams, *([SAMPLES] if "mel" in streams else [])}
    added = set(among) - set(STREAMS)
    found = plugged_streams().found if added else {}
    return {*streams, *(n for n in added if not hidden.isdisjoint(found[n].reads))}


def added_key(config: StreamConfig) -> str:
    """Return what the added streams of a config depend on, as text; "" where there are none."""
    plugged = plugged_streams() if config.added else Plugins[AddedStream]()
    return " ".join(
        f"{name} of {plugged.origins.get(name)} {plugged.found[name].key(config)}"
        for name in sorted(set(config.added) & plugged.found.keys())
    )


class AddedStreams:
    """The makers of the added streams that a config names."""

    def __init__(self, config: StreamConfig) -> None:
        """Load them.

        Raises:
            AddedStreamError: there is no such stream.
        """
        plugged = plugged_streams() if config.added else Plugins[AddedStream]()
        missing = [name for name in config.added if name not in plugged.found]
        if missing:
            left_out = "".join(f"; {sentence}" for sentence in plugged.broken)
            raise AddedStreamError(f"no installed plug-in ({GROUP}) makes {missing}{left_out}")
        self._rows = [plugged.found[name] for name in config.added]
        self._makers = [row.make(config) for row in self._rows]
        self.hears = any(SAMPLES in row.reads for row in self._rows)

    def __call__(self, streams: Mapping[str, Tensor], start: int) -> dict[str, Tensor]:
        """Return those that can be made of a block's streams (T, ...), by name.

        Raises:
            AddedStreamError: one has not the block's length.
        """
        made = {}
        for row, maker in zip(self._rows, self._makers, strict=True):
            if set(row.reads) <= streams.keys():
                stream = maker(start, *(streams[name] for name in row.reads))
                steps = len(next(iter(streams.values())))
                if len(stream) != steps:
                    raise AddedStreamError(
                        f"the stream {row.name} must have {steps} steps as its block has, "
                        f"got {tuple(stream.shape)}"
                    )
                made[row.name] = stream
        return made
