"""The kinds of manipulation, in one file: their names, meanings, and the methods that make them.

The glossary of a report, the labels of the head `types` and the kinds of the project's forgeries
are read from `configs/taxonomy.yaml`, so that one thing has one name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pipelines.config import load_config

TAXONOMY = Path("configs/taxonomy.yaml")


@dataclass(frozen=True)
class Subtype:
    """A kind of manipulation within its family."""

    meaning: str  # in a few words, for people
    modality: Literal["visual", "audio"]  # what is forged
    localisable: bool  # whether a part of a clip may be forged alone, or else all of it
    entry: int  # number of the system or survey that treats it
    methods: tuple[str, ...] = ()  # of `pipelines.forge.methods` that make it


@dataclass(frozen=True)
class KindFamily:
    """Kinds of manipulation that are told apart together."""

    meaning: str
    subtypes: dict[str, Subtype]
    patterns: tuple[str, ...] = ()  # of methods of data sets; none: the family is no label


@dataclass(frozen=True)
class Taxonomy:
    """The families of manipulation by name."""

    families: dict[str, KindFamily]

    def __post_init__(self) -> None:
        names = [name for family in self.families.values() for name in family.subtypes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"subtypes need names of their own, {twice} have two meanings")

    def made_by(self, method: str) -> list[tuple[str, str]]:
        """Return family and sub-type of each thing that a method, such as `a+b`, makes."""
        return [
            (family, name)
            for family, kind in self.families.items()
            for name, subtype in kind.subtypes.items()
            if set(subtype.methods) & set(method.split("+"))
        ]


@cache
def taxonomy() -> Taxonomy:
    """Return the taxonomy of the project.

    Raises:
        ConfigError: its file cannot be used.
    """
    return load_config(Taxonomy, TAXONOMY)


def type_labels() -> dict[str, tuple[str, ...]]:
    """Return the patterns of methods by family, of those that the head `types` tells apart."""
    families = taxonomy().families.items()
    return {name: family.patterns for name, family in families if family.patterns}
