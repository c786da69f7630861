"""Plug-ins: what other installed packages add to avdetect, by their entry points.

A package names an object of its own under a group such as `avdetect.opinions`. Nothing of it is
imported before that group is asked for, and then once. One that cannot be used is left out, with
one sentence of why: a stranger's package must not keep avdetect from working.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Plugins(Generic[Kind]):
    """The plug-ins of a group."""

    found: dict[str, Kind] = field(default_factory=dict)  # by the entry point's name
    origins: dict[str, str] = field(default_factory=dict)  # of those: package and version
    broken: tuple[str, ...] = ()  # a sentence for each that is left out


def load_plugins(group: str, check: Callable[[str, object], Kind]) -> Plugins[Kind]:
    """Return the plug-ins of a group; those that are left out are named in the log.

    check: called with the entry point's name and the object that it leads to; returns what is to
        be used of it, or raises ValueError with the reason why it cannot be.
    """
    plugins: Plugins[Kind] = Plugins()
    broken = []
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        try:
            if point.name in plugins.found:
                raise ValueError(f"{plugins.origins[point.name]} has one of this name as well")
            plugins.found[point.name] = check(point.name, point.load())
            plugins.origins[point.name] = _origin(point)
        except (Exception, SystemExit) as error:  # noqa: BLE001  a stranger's module may do anything
            why = " ".join(f"{type(error).__name__}: {error}".split())
            broken.append(
                f"{_origin(point)}: its plug-in {point.name} ({group}) is left out: {why}"
            )
            logger.warning("%s", broken[-1])
    return Plugins(plugins.found, plugins.origins, tuple(broken))


def _origin(point: EntryPoint) -> str:
    """Return name and version of the package that an entry point is of."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
