"""Streams that are added to those of `Streams`: each is made of a block's own streams.

One is a row of `ADDED`, or one that an entry point of the group `avdetect.streams` of another
package names (docs/plugins.md). It is made where a detector has an opinion or an expert that reads
it, block by block: a block has at least 64 steps of context at either side of those that it
decides, except at the ends of its face or file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from extractors.errors import AvdetectError
from extractors.lip_features import lip_features, lip_key
from extractors.plugins import Plugins, load_plugins
from extractors.speech_features import speech_features, speech_key
from extractors.streams import MEASURES, STREAMS, StreamConfig

GROUP = "avdetect.streams"  # of the entry points of other packages, each an AddedStream
SAMPLES = "samples"  # the sound at 16 kHz, (T, 640) float32 from -1 to 1; read here alone
SOUNDS = (SAMPLES, "mel")

# Called with the step of the file at which a block begins, then with what the row reads (T, ...);
# returns the stream (T, ...).
StreamMaker = Callable[..., Tensor]


class AddedStreamError(AvdetectError):
    """An added stream cannot be made; the message names it and the cause."""


@dataclass(frozen=True)
class AddedStream:
    """A stream that is made of others."""

    name: str
    reads: tuple[str, ...]  # streams of avdetect, or `samples`
    make: Callable[[StreamConfig], StreamMaker]  # called once by each extractor; loads networks
    # What else its values depend on, so that streams kept on disk are told apart.
    key: Callable[[StreamConfig], str] = lambda config: ""


ADDED: dict[str, AddedStream] = {
    row.name: row
    for row in (
        AddedStream("speech_features", (SAMPLES,), speech_features, speech_key),
        AddedStream("lip_features", ("appearance", "landmarks"), lip_features, lip_key),
    )
}


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
    taken = {*STREAMS, *MEASURES, *ADDED, SAMPLES, "size"}
    if row.name != name or name in taken or not name.isidentifier():
        raise ValueError(f"its row must be named {name!r}, in one word and unlike avdetect's")
    if not row.reads or not set(row.reads) <= {*STREAMS, SAMPLES}:
        raise ValueError(f"it cannot read {list(row.reads)}; there are {[*STREAMS, SAMPLES]}")
    return row


def added_rows(names: Collection[str]) -> dict[str, AddedStream]:
    """Return those of the named streams that are added ones; plug-ins are loaded where needed."""
    more = set(names) - {*STREAMS, *ADDED, "size"}
    rows = {**ADDED, **(plugged_streams().found if more else {})}
    return {name: rows[name] for name in names if name in rows}


def of_sound(stream: str) -> bool:
    """Return whether a stream is of the sound alone."""
    row = added_rows([stream]).get(stream)
    return set(row.reads if row else (stream,)) <= set(SOUNDS)


def made_of(streams: Collection[str], among: Collection[str]) -> set[str]:
    """Return `streams` and those of `among` that are made of one of them."""
    hidden = {*streams, *([SAMPLES] if "mel" in streams else [])}
    rows = added_rows(among)
    return {*streams, *(name for name, row in rows.items() if not hidden.isdisjoint(row.reads))}


def added_key(config: StreamConfig) -> str:
    """Return what the added streams of a config depend on, as text; "" where there are none."""
    rows = added_rows(config.added)
    origins = plugged_streams().origins if rows.keys() - ADDED.keys() else {}
    return " ".join(
        f"{name} of {origins.get(name, 'avdetect')} {rows[name].key(config)}"
        for name in sorted(rows)
    )


class AddedStreams:
    """The makers of the added streams that a config names; their networks load when first used."""

    def __init__(self, config: StreamConfig) -> None:
        """Find them.

        Raises:
            AddedStreamError: there is no such stream.
        """
        rows = added_rows(config.added)
        missing = [name for name in config.added if name not in rows]
        if missing:
            left_out = "".join(f"; {sentence}" for sentence in plugged_streams().broken)
            raise AddedStreamError(f"no installed plug-in ({GROUP}) makes {missing}{left_out}")
        self._config, self._rows = config, rows
        self._makers: dict[str, StreamMaker] = {}
        self.hears = any(SAMPLES in row.reads for row in rows.values())

    def __call__(self, streams: Mapping[str, Tensor], start: int) -> dict[str, Tensor]:
        """Return those that can be made of a block's streams (T, ...), by name.

        Raises:
            AddedStreamError: one has not the block's length.
        """
        made = {}
        for name, row in self._rows.items():
            if not set(row.reads) <= streams.keys():
                continue
            if name not in self._makers:
                self._makers[name] = row.make(self._config)
            stream = self._makers[name](start, *(streams[read] for read in row.reads))
            steps = len(next(iter(streams.values())))
            if len(stream) != steps:
                raise AddedStreamError(
                    f"the stream {name} must have {steps} steps as its block has, "
                    f"got {tuple(stream.shape)}"
                )
            made[name] = stream
        return made
