"""Experts that other packages add to those of `temporal.experts`, by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from torch import nn

from extractors.added_streams import SAMPLES, plugged_streams
from extractors.plugins import Plugins, load_plugins
from extractors.streams import STREAMS
from temporal.experts import EXPERTS, ExpertConfig

GROUP = "avdetect.experts"  # of the entry points of other packages, each an AddedExpert


@dataclass(frozen=True)
class AddedExpert:
    """An expert of another package: a network with one token per step."""

    name: str
    reads: tuple[str, ...]  # streams; those of avdetect come as `temporal.experts.normalise` has it
    # A network that takes the streams (B, L, ...) and returns tokens (B, L, config.dim). A token
    # sees no more than 32 steps to either side, the margin of a window.
    network: Callable[[ExpertConfig], nn.Module]


@cache
def plugged_experts() -> Plugins[AddedExpert]:
    """Return the experts that other packages add, by name; their code is loaded at this call."""
    return load_plugins(GROUP, _usable)


def _usable(name: str, row: object) -> AddedExpert:
    """Return a plug-in's row.

    Raises:
        ValueError: it is no row of an expert that a detector can have.
    """
    if not isinstance(row, AddedExpert):
        raise ValueError("it is no AddedExpert")
    if row.name != name or name in {*EXPERTS, "lag"} or not name.isidentifier():
        raise ValueError(f"its row must be named {name!r}, in one word and unlike avdetect's")
    added = plugged_streams().found.items()  # those of samples are not there beside a face
    known = [*STREAMS, *(name for name, stream in added if SAMPLES not in stream.reads)]
    if not row.reads or not set(row.reads) <= set(known):
        raise ValueError(f"it cannot read {list(row.reads)}; there are {known}")
    return row


def streams_of_experts(tokens: Iterable[Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Return the streams that each expert reads: those of avdetect, and the added ones named.

    tokens: groups of names of tokens; those that are of no added expert count for nothing.
    """
    more = {name for group in tokens for name in group} - {*EXPERTS, "lag"}
    found = plugged_experts().found if more else {}
    return EXPERTS | {name: found[name].reads for name in sorted(more & found.keys())}


def add_experts(experts: nn.ModuleDict, names: Iterable[str], config: ExpertConfig) -> None:
    """Put those of the named experts that other packages add, untrained, beside avdetect's own."""
    for name in names:
        if name not in EXPERTS:
            experts.add_module(name, plugged_experts().found[name].network(config))
