"""Attribution of faces and voices to families of generators and to registered generators.

Registered generators are unit vectors in one safetensors file, with the digests of the weights that
made them: vectors of other weights cannot be compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extractors.errors import AvdetectError
from extractors.media import MediaError, file_sha256
from extractors.stream_extractor import StreamExtractor
from fusion.heads.closed import FamilyHead, mean_proxy
from pipelines.attribution.kinds import KindHeads, opening_said, shipped_head
from pipelines.evidence.tags import tag_of
from pipelines.progress import OnStep
from pipelines.storage.weights import load_weights, save_weights
from pipelines.zoo.head_clips import HeadConfig, judged, opening_detector, vector_of
from pipelines.zoo.parts import SHIPPED

FORMAT = "avdetect generators 1"
TRACKS = ("visual", "audio")


class RegisterError(AvdetectError, ValueError):
    """The file of registered generators cannot be used, or a name cannot be registered."""


@dataclass(frozen=True)
class Likeness:
    """The nearest family or registered generator of one track of a file."""

    track: str  # visual or audio
    nearest: str  # family or registered generator
    cosine: float  # -1 to 1; for an open head half the difference of two cosines
    near: bool  # whether it is above the threshold; else the generator is unknown, or there is none


@dataclass(frozen=True)
class Attributed:
    """The attribution of a file."""

    likenesses: list[Likeness]  # one per track
    types: list[str]  # types of forgery above their thresholds, the highest margin first
    origin: str | None  # of the picture: real, laundered or synthetic; None: there is no picture

    def to_dict(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the attribution of a file as plain values, ready for JSON."""
        made_by = {
            row.track: {
                "name": row.nearest if row.near else None, "nearest": row.nearest,
                "cosine": round(row.cosine, 4),
            }
            for row in self.likenesses
        }  # fmt: skip
        return {
            "path": str(path), "status": "ok", "error": None, "types": self.types,
            "origin": self.origin, "tag": tag_of(self.types, self.origin), "made_by": made_by,
        }  # fmt: skip


class Attribution:
    """The attribution heads and the registered generators, loaded once for many files."""

    def __init__(self, register: Path) -> None:
        self.register = register
        self.detector, self.extractor = opening_detector(), StreamExtractor()
        self.families: dict[str, tuple[FamilyHead, HeadConfig]] = {}
        for track in TRACKS:
            self.families[track] = shipped_head(f"family-{track}", FamilyHead)
        self.kinds = KindHeads()
        self.weights = {t: file_sha256(SHIPPED / f"family-{t}.safetensors") for t in TRACKS}
        self.own = read_register(register, self.weights)

    def said(self, path: Path) -> dict[str, Tensor]:
        """Return the experts' outputs for a file's first three seconds.

        Raises:
            MediaError: the file cannot be decoded, or there is neither a face nor sound.
        """
        return opening_said(path, self.detector, self.extractor)

    @torch.inference_mode()
    def attribute(self, path: Path) -> Attributed:
        """Return the attribution of a file.

        Raises:
            MediaError: see `said`.
        """
        outputs = self.said(path)
        kind = self.kinds(outputs)
        return Attributed(self.likenesses(outputs), kind.types, kind.origin)

    @torch.inference_mode()
    def likenesses(self, said: Mapping[str, Tensor]) -> list[Likeness]:
        """Return the likeness of each track; registered generators go before families."""
        likenesses = []
        for track, described in self.describe(said).items():
            own = {n: float(p[track] @ described) for n, p in self.own.items() if track in p}
            newest = max(own, key=lambda name: own[name], default="")
            head, config = self.families[track]
            if own and own[newest] >= head.newcomer:
                likenesses.append(Likeness(track, newest, own[newest], near=True))
                continue
            cosine, place = head(vector_of(config, said)[None])[0].max(dim=0)
            near = bool(cosine >= head.threshold)
            likenesses.append(Likeness(track, list(config.labels)[int(place)], float(cosine), near))
        return likenesses

    @torch.inference_mode()
    def describe(self, said: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a unit vector (W,) of each track, by which generators are registered."""
        return {
            track: head.describe(vector_of(config, said)[None])[0]
            for track, (head, config) in self.families.items()
            if judged(config, said)
        }

    def add(self, name: str, paths: Sequence[Path], on_step: OnStep) -> dict[Path, str]:
        """Register a generator by some of its clips; return the causes of failure by path.

        Other generators, and the cosines of clips with them, do not change.

        Raises:
            RegisterError: the name is taken by a family, or no clip can be used.
            OSError: the register cannot be written.
        """
        if not name.strip() or any(name in config.labels for _, config in self.families.values()):
            raise RegisterError(f"{name!r}: is no name for a generator, or a family has it")
        vectors: dict[str, list[Tensor]] = {track: [] for track in TRACKS}
        failed: dict[Path, str] = {}
        for done, path in enumerate(paths, 1):
            try:
                for track, vector in self.describe(self.said(path)).items():
                    vectors[track].append(vector)
            except MediaError as error:
                failed[path] = str(error)
            on_step(done, len(paths))
        proxies = {track: mean_proxy(torch.stack(own)) for track, own in vectors.items() if own}
        if not proxies:
            raise RegisterError(f"{name}: none of the clips has a usable face or sound")
        self.own[name] = proxies
        write_register(self.register, self.own, self.weights)
        return failed


def default_register() -> Path:
    """Return the default file of a user's registered generators."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "avdetect" / "generators.safetensors"


def read_register(path: Path, weights: dict[str, str]) -> dict[str, dict[str, Tensor]]:
    """Return the proxies (W,) of registered generators by name and track; empty without a file.

    weights: the digests of the heads that must have made the proxies.

    Raises:
        WeightsError: the file is no register.
        RegisterError: it was made with other weights, or is damaged.
    """
    if not path.exists():
        return {}
    proxies, facts = load_weights(path, FORMAT)
    try:
        made_with, names = json.loads(facts["weights"]), json.loads(facts["names"])
        register: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        for key, proxy in proxies.items():
            track, _, place = key.partition(" ")
            register[names[int(place)]][track] = proxy
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise RegisterError(f"{path}: cannot be read: {error}") from error
    if made_with != weights:
        raise RegisterError(
            f"{path}: made with other weights; remove it and add the generators again"
        )
    return register


def write_register(path: Path, own: dict[str, dict[str, Tensor]], weights: dict[str, str]) -> None:
    """Write the proxies of registered generators, with their weights' digests, to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(own)
    metadata = {"names": json.dumps(names), "weights": json.dumps(weights)}
    tensors = {
        f"{track} {place}": proxy
        for place, name in enumerate(names)
        for track, proxy in own[name].items()
    }
    save_weights(path, tensors, FORMAT, metadata)
