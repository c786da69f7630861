"""The parts of the zoo: published detectors, described by YAML files, on one protocol.

A part is a module that takes streams (B, L, ...) by name and returns step logits (B, L), higher for
fake. It is trained by the same loop as the starter's experts and measured like them.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from extractors.plugins import Plugins, load_plugins
from extractors.streams import STREAMS
from pipelines.config import ConfigError, find_config, load_config, with_overrides
from pipelines.data.samples import Sample
from pipelines.detection.detector import load_detector
from pipelines.detection.starter import STARTER, experts_sha256
from pipelines.storage.weights import load_into, load_weights, save_weights
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.clips import TrainClip
from pipelines.train.experts import train_steps
from pipelines.train.fit import Run
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.train.stage import StageConfig
from pipelines.zoo.native_clips import CROPS
from pipelines.zoo.part_clips import SAID, Listener, opening_streams, part_clips
from temporal.experts import fold_norms

FORMAT = "avdetect part 1"
PARTS = Path("configs/zoo")  # where the parts of the project are described
GROUP = "avdetect.parts"  # of the entry points of other packages, each a PartConfig
ROOT = STARTER.parents[2]  # that holds the packages
SHIPPED = STARTER.parent / "zoo"  # the shipped weights, of small parts


@runtime_checkable
class Settler(Protocol):
    """A part that sets thresholds of its own on held-out clips, once it is trained."""

    def settle(self, clips: Sequence[Mapping[str, Tensor]], forged: Sequence[bool]) -> None:
        """Set the thresholds.

        Args:
            clips: streams (1, L, ...) of each clip by name.
            forged: whether each is forged in the part's modality.
        """


@dataclass(frozen=True)
class PartConfig:
    """One part of the zoo, named by its file."""

    title: str  # name and source, for the table
    part: str  # module:class; the module is avdetect's or beside the file
    modality: Literal["visual", "audio", "sync", "any"] = "visual"  # whose labels it predicts
    streams: tuple[str, ...] = ("appearance",)  # its inputs; docs/zoo.md lists them
    settings: dict[str, Any] = field(default_factory=dict)  # arguments of the class
    stage: StageConfig | None = None  # its training; None: it has nothing to learn
    # The split of its training clips: a part that weighs the experts' opinions needs clips on
    # which no expert was trained.
    taught_on: Literal["train", "calibration"] = "train"

    def __post_init__(self) -> None:
        known = (*STREAMS, *SAID, *CROPS)
        unknown = sorted(set(self.streams) - set(known))
        if unknown or not self.streams:
            raise ValueError(f"streams: unknown {unknown}; known: {list(known)}")
        if len(self.streams) > 1 and not CROPS.keys().isdisjoint(self.streams):
            raise ValueError(f"streams: {list(CROPS)} have their own clock and go with no other")


@cache
def plugged_parts() -> Plugins[PartConfig]:
    """Return the parts that other packages add, by name; their code is loaded at this call."""
    return load_plugins(GROUP, _usable)


def _usable(name: str, row: object) -> PartConfig:
    """Return a plug-in's part.

    Raises:
        ValueError: it is no part, or avdetect has one of its name.
    """
    if not isinstance(row, PartConfig):
        raise ValueError("it is no PartConfig")
    if find_config(PARTS / f"{name}.yaml").exists():
        raise ValueError(f"avdetect has a part {name!r}")
    return row


def read_parts(folder: Path = PARTS) -> dict[str, PartConfig]:
    """Return the parts that the YAML files of a folder describe, by name.

    Beside those of the project stand those of plug-ins.

    Raises:
        ConfigError: there are none, or one cannot be used.
    """
    files = sorted(find_config(folder).glob("*.yaml"))
    if not files:
        raise ConfigError(f"{folder}: no YAML files of parts")
    plugged = plugged_parts().found if folder == PARTS else {}
    return {file.stem: load_config(PartConfig, file) for file in files} | plugged


def build_part(path: Path, config: PartConfig) -> nn.Module:
    """Return the untrained module that a part's file names.

    Raises:
        ConfigError: the module or class does not exist, or the class refuses its settings.
    """
    module, _, name = config.part.partition(":")
    sys.path.append(str(path.parent))
    try:
        settings = {key: _located(value) for key, value in config.settings.items()}
        made = getattr(importlib.import_module(module), name)(**settings)
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ConfigError(f"{path}: part {config.part}: {error}") from error
    finally:
        sys.path.pop()
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{path}: part {config.part}: is no torch.nn.Module")
    return made


def _located(value: Any) -> Any:
    """Return a setting; a path below `avdetect/` that is not here is the package's own file."""
    if isinstance(value, str) and value.startswith("avdetect/") and not Path(value).exists():
        return str(ROOT / value)
    return value


def train_part(path: Path, data: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Train a part by its YAML file, and return the path of its weights.

    Args:
        path: the part's YAML file, or the name of a plug-in's part.
        data: a training recipe (YAML), which names the clips.
        out: folder of runs; an interrupted run resumes.
        overrides: settings of the part that differ, `key=value`.

    Raises:
        ConfigError: a file cannot be used, the part has nothing to learn, or no clips fit it.
        FileNotFoundError: a manifest does not exist.
    """
    if named_part(path):
        config = with_overrides(plugged_parts().found[path.name], overrides)
    else:
        config = load_config(PartConfig, path, overrides)
    if config.stage is None:
        raise ConfigError(f"{path}: this part has nothing to learn: no `stage`")
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    run = Run(out / path.stem, recipe.seed, recipe.device, recipe.precision)
    part = build_part(path, config)
    splits: tuple[str, str] = (config.taught_on, "val")
    samples = read_samples(recipe.data)
    train, val = (
        load_part_clips(config, [s for s in samples if s.split == split], recipe, out)
        for split in splits
    )
    for split, members in zip(splits, (train, val), strict=True):
        if len({bool(getattr(clip.sample, config.modality)) for clip in members}) < 2:
            raise ConfigError(
                f"{data}: {split}: no genuine or no forged clips with {config.streams}"
            )
    train_steps(path.stem, part, config.streams, config.modality, (train, val), config.stage, run)
    part.eval()
    if isinstance(part, Settler):
        settle_part(part, config, val)
    weights = out / f"{path.stem}.safetensors"
    save_part(weights, part, {config.taught_on: len(train), "val": len(val)})
    return weights


def named_part(path: Path) -> bool:
    """Return whether a path is the name of a plug-in's part; they are loaded for names alone."""
    return not path.suffix and path.name == str(path) and path.name in plugged_parts().found


def settle_part(part: Settler, config: PartConfig, clips: Sequence[TrainClip]) -> None:
    """Set a part's thresholds on held-out clips, whose first six seconds it sees."""
    streams = [opening_streams(clip, config.streams) for clip in clips]
    part.settle(streams, [bool(getattr(clip.sample, config.modality)) for clip in clips])


def load_part_clips(
    config: PartConfig, samples: Iterable[Sample], recipe: TrainConfig, out: Path
) -> list[TrainClip]:
    """Return the clips of the samples that a part can judge; experts' outputs are cached."""

    @cache
    def listener() -> Listener:
        starter = load_detector(STARTER)
        fold_norms(starter.experts)
        return Listener(starter, experts_sha256(STARTER), out / "said")

    streams = StreamCache(Path(recipe.data.cache), recipe.streams)
    return part_clips(
        samples, config.modality, config.streams, streams, recipe.data.min_face, out / "native",
        listener,
    )  # fmt: skip


def save_part(path: Path, part: nn.Module, clips: dict[str, int]) -> None:
    """Write a part's weights and its numbers of clips to one file."""
    save_weights(path, part.state_dict(), FORMAT, {"clips": json.dumps(clips)})


def load_part(path: Path, config: PartConfig, weights: Path) -> nn.Module:
    """Return a part ready for inference, with weights from a file if it is a trained one.

    Raises:
        ConfigError: the part cannot be built.
        WeightsError: the weights are missing or another part's.
    """
    part = build_part(path, config).eval()
    if config.stage is None:
        return part
    load_into(part, weights, load_weights(weights, FORMAT)[0])
    return part
