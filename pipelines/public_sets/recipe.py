"""The recipe of a public data set: what is trained on it, and which numbers are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.config import ConfigError, find_config, load_config
from pipelines.data.catalogue import DATASETS
from pipelines.train.recipe import TrainConfig

FOLDER = Path("configs/datasets")


@dataclass(frozen=True)
class Published:
    """Numbers of another system, as published."""

    system: str
    source: str  # where they were read
    metrics: dict[str, float]  # in percent, by the names of our report
    note: str = ""  # how what was measured differs


@dataclass(frozen=True)
class SetRecipe:
    """What is trained on a public data set, and by which protocol it is measured."""

    title: str
    reads: Literal["videos", "sounds"] = "videos"
    needs: tuple[str, ...] = ()  # further data sets, whose train and val splits are learned from
    tested_only: bool = False  # the last set's train and val are left out, others are learned from
    # The track that a fake is taken to be forged in, whole, where the data set does not say.
    untold: Literal["", "visual", "audio"] = ""
    # Most clips of train, val and test; classes and methods are drawn in balance. Others: all.
    clips: dict[str, int] = field(default_factory=dict)
    protocol: str = "avdetect"  # of the segments, see `avdetect evaluate`
    reported: tuple[str, ...] = ("AUC", "EER (hull)")  # first in the table
    published: tuple[Published, ...] = ()
    train: TrainConfig = field(default_factory=TrainConfig)  # its clips are the data set's


def read_recipe(
    config: Path | None, sets: Sequence[tuple[str, Path]], overrides: Sequence[str]
) -> SetRecipe:
    """Return the recipe of the last of some data sets, from its own file or another.

    Raises:
        ConfigError: there is none, it has an unknown setting, or it needs a set that is not named.
    """
    name = sets[-1][0]
    path = config or FOLDER / f"{name}.yaml"
    if config is None and not find_config(path).exists():
        known = sorted(file.stem for file in find_config(FOLDER).glob("*.yaml"))
        more = " (it can be read, but has no recipe)" if name in DATASETS else ""
        raise ConfigError(f"--data {name}: no recipe{more}; there are {', '.join(known)}")
    recipe = load_config(SetRecipe, path, overrides)
    missing = [other for other in recipe.needs if other not in dict(sets)]
    if missing:
        raise ConfigError(
            f"{name} trains on {missing[0]}: name that first, by --data {missing[0]}=ROOT"
        )
    return recipe
