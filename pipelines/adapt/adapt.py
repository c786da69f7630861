"""The adaptation of weights to one's own clips, from manifests to a weights file and its card.

1. The manifests' clips are read; persons and recordings make groups, of which some are held out.
2. The frozen parts speak once of every clip; their streams are cached.
3. Calibration and rules are changed as far as the clips that teach ask for it.
4. What changed is measured on the clips held out and on the reference, before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from extractors.errors import InputError
from extractors.media import MediaError, file_sha256
from pipelines.adapt.adapted_file import Adaptation, calibration_of, save_adapted
from pipelines.adapt.clip_table import Calibration, ClipTable, WeightChange, table_of
from pipelines.adapt.clip_tracks import COLUMNS, JudgedFile, Reduce, judged_file, kept_info
from pipelines.adapt.fit import fit, lower_alarms
from pipelines.adapt.holding_out import HELD_OUT, check_split, groups_of, held_out, splits
from pipelines.adapt.measure import effect
from pipelines.adapt.reference import (
    SHIPPED,
    Reference,
    Subspace,
    load_reference,
    reference_of,
    save_reference,
)
from pipelines.data.samples import Sample, Splits, read_manifest, read_splits
from pipelines.detection.session import DetectorSession, load
from pipelines.detection.starter import STARTER
from pipelines.progress import OnStep
from pipelines.storage.tables import Columns
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.fill_cache import fill_cache

RULES = ("portraits", "utterances")


@dataclass(frozen=True)
class AdaptConfig:
    """What is adapted to what."""

    manifests: tuple[Path, ...]
    out: Path  # the weights to write, or the reference
    weights: Path | None = None  # that are adapted; None: the package's
    columns: Columns = field(default_factory=dict)
    splits: Path | None = None  # sources and their splits
    cache: Path = Path("cache/streams")
    workers: int = 1  # processes that extract streams
    share: float = 0.5  # of the clips that are held out
    seed: int = 0
    genuine_only: bool = False
    rate: float = 0.05  # with genuine clips alone: how many may be called fake
    reference: Path | None = None  # another than the package's: such a file, or a manifest
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class OwnClips:
    """The clips of manifests, judged by the frozen parts."""

    samples: list[Sample]
    files: list[JudgedFile]
    failed: dict[Path, str]  # clips that could not be used -> why


def adapt(config: AdaptConfig, on_step: OnStep = lambda done, total: None) -> Adaptation:
    """Write adapted weights and their card, and return what they are and do.

    Args:
        config: what is adapted to what.
        on_step: called with the number of files done and the total, first of those whose streams
            are extracted, then of those that are judged.

    Raises:
        InputError: a manifest cannot be used, or its clips cannot be split.
        WeightsError: weights or reference cannot be used.
    """
    listed = _samples(config, config.manifests)
    _sides(config, listed, [str(s.path) for s in listed])  # refuses before anything is extracted
    session = load(config.weights, overrides=config.overrides)
    reference, why = _reference(config, session, on_step)
    spaces = {} if reference is None else dict(reference.subspaces)
    clips = _own_clips(config, listed, session, partial(_points, spaces), on_step)
    digests = [file_sha256(sample.path) for sample in clips.samples]
    groups, held = _sides(config, clips.samples, digests)
    forged = [sample.fake for sample in clips.samples]
    teach = [i for i, h in enumerate(held) if not h and not (config.genuine_only and forged[i])]
    rest = [i for i, h in enumerate(held) if h]
    table = table_of(clips.samples, clips.files, 0 if reference is None else reference.size)
    calibration, uncertain = calibration_of(session.detector), session.config.judge.uncertain
    own = [groups[i] for i in teach]
    change, what, bound = _fitted(
        config, table.rows(torch.tensor(teach)), own, calibration, uncertain[1]
    )
    fakes = sum(forged[i] for i in teach)
    adaptation: Adaptation = {
        "adapted_from": session.model,
        "manifests": [path.name for path in config.manifests],
        "genuine_only": config.genuine_only,
        "taught": {
            "clips": len(teach), "genuine": len(teach) - fakes, "fakes": fakes,
            "groups": len(set(own)),
        },
        "left_out": {path.name: reason for path, reason in clips.failed.items()},
        "unnamed": sum(not s.person and s.pair is None for s in clips.samples),
        "what": what,
        "bound": bound,
        "shifts": dict(zip(COLUMNS, change.shifts.tolist(), strict=True)),
        "held_out": effect(table.rows(torch.tensor(rest)), change, calibration, uncertain),
        "reference": None
        if reference is None
        else effect(reference.table, change, calibration, uncertain),
        "reference_what": why if reference is None else reference.what,
    }  # fmt: skip
    save_adapted(config.out, config.weights or STARTER, change, spaces, adaptation)
    return adaptation


def write_reference(config: AdaptConfig, on_step: OnStep = lambda done, total: None) -> Reference:
    """Write, and return, what the frozen parts say of the manifests' clips, as a reference.

    Of a manifest with a split of its own, only the clips that it holds out are taken.

    Raises:
        InputError: a manifest cannot be used.
        WeightsError: the weights cannot be used, or the file not be written.
    """
    session = load(config.weights, overrides=config.overrides)
    listed = _held_out_ones(_samples(config, config.manifests))
    clips = _own_clips(config, listed, session, lambda modality, features: features, on_step)
    names = ", ".join(path.name for path in config.manifests)
    what = f"{len(clips.samples)} clips of {names}"
    reference = reference_of(clips.samples, clips.files, session.model["sha256"], what)
    save_reference(config.out, reference)
    return reference


def _reference(
    config: AdaptConfig, session: DetectorSession, on_step: OnStep
) -> tuple[Reference | None, str]:
    """Return the reference of the weights; None, and why, if there is none."""
    given, path = config.reference, SHIPPED
    if given is not None and given.suffix == SHIPPED.suffix:
        path = given
    found, why = None, "the package has no reference clips of these weights."
    if path.exists():
        found = load_reference(path)
        if found.model != session.model["sha256"]:
            found, why = None, f"the reference clips of {path.name} were judged by other weights."
    if given is None or given.suffix == SHIPPED.suffix:
        return found, why
    spaces = {} if found is None else dict(found.subspaces)
    listed = _held_out_ones(_samples(config, (given,)))
    clips = _own_clips(config, listed, session, partial(_points, spaces), on_step)
    size = 0 if found is None else found.size
    table = table_of(clips.samples, clips.files, size)
    what = f"{len(clips.samples)} clips of {given.name}"
    return Reference(table, spaces, session.model["sha256"], what), ""


def _points(spaces: dict[str, Subspace], modality: str, features: Tensor) -> Tensor:
    """Return the points (T, K) of features (T, F); (T, 0) of a modality without a subspace."""
    space = spaces.get(modality)
    return features[:, :0] if space is None else space.points(features)


def _samples(config: AdaptConfig, manifests: Sequence[Path]) -> list[Sample]:
    """Return the samples of manifests, without those that the splits drop."""
    sources = Splits() if config.splits is None else read_splits(config.splits)
    samples = [s for path in manifests for s in read_manifest(path, sources, config.columns)]
    return [sample for sample in samples if sample.split != "dropped"]


def _held_out_ones(samples: list[Sample]) -> list[Sample]:
    """Return what a split holds out; all samples, if there is no split."""
    return [s for s in samples if s.split in HELD_OUT] if splits(samples) else samples


def _own_clips(
    config: AdaptConfig,
    samples: Sequence[Sample],
    session: DetectorSession,
    reduce: Reduce,
    on_step: OnStep,
) -> OwnClips:
    """Return the clips, judged; streams are cached, so a second call is quick."""
    streams, paths = session.config.streams, [s.path for s in samples]
    failed = fill_cache(config.cache, paths, config.workers, on_step, None, streams)
    cache, clips = StreamCache(config.cache, streams), OwnClips([], [], failed)
    for done, sample in enumerate(samples, 1):
        if sample.path not in failed:
            try:
                info = kept_info(sample.path, config.cache, session.config.media)
                file = judged_file(info, cache.get(sample.path), session, reduce)
            except MediaError as error:
                failed[sample.path] = str(error)
            else:
                if file.tracks:
                    clips.samples.append(sample)
                    clips.files.append(file)
                else:
                    failed[sample.path] = "nothing in it could be judged"
        on_step(done, len(samples))
    if not clips.samples:
        why = next(iter(failed.values()), "it lists none")
        raise InputError(f"{config.manifests[0]}: none of {len(samples)} clips can be used ({why})")
    return clips


def _sides(
    config: AdaptConfig, samples: Sequence[Sample], digests: Sequence[str]
) -> tuple[list[int], list[bool]]:
    """Return the group of each sample, and whether it is held out."""
    where = config.manifests[0]
    if splits(samples):
        check_split(where, samples, digests)
    groups = groups_of(samples, digests)
    sides = held_out(where, samples, groups, config.share, config.seed, config.genuine_only)
    return groups, sides


def _fitted(
    config: AdaptConfig,
    table: ClipTable,
    groups: Sequence[int],
    calibration: Calibration,
    alarm: float,
) -> tuple[WeightChange, str, float | None]:
    """Return the change, in words what it is, and with genuine clips alone the bound on alarms."""
    if config.genuine_only:
        change, bound = lower_alarms(table, calibration, alarm, config.rate)
        return change, f"The calibration alone: {_shifted(change)}.", bound
    fitted = fit(table, groups, calibration, alarm)
    change = fitted.change
    if not fitted.strength.shift:
        return (
            change,
            "Nothing: left-out folds of the clips that teach gave no better scores.",
            None,
        )
    what = f"The calibration: {_shifted(change)}"
    if fitted.strength.rule and bool(change.rules.any()):
        lengths = change.rules.norm(dim=1).tolist()
        what += (
            f"; and the linear rules on {' and '.join(RULES)}, by {lengths[0]:.2f} and "
            f"{lengths[1]:.2f} in the unit of the prior"
        )
    if fitted.lowered:
        what += f". Of the shifts, {fitted.lowered:.2f} keep genuine clips from alarms"
    return change, f"{what}.", None


def _shifted(change: WeightChange) -> str:
    visual, audio = change.shifts.tolist()
    return f"the log odds of the picture moved by {visual:+.2f}, of the sound by {audio:+.2f}"
