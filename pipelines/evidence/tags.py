"""What the tag of a forgery selects: words, maps, and the region where the map is to be believed.

A tag changes what is shown of a verdict, never a score.

Source: Xu et al., FakeShield, ICLR 2025: a domain tag conditions explanation and mask. There a
language model writes the former; here each tag has its sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Region = Literal["face", "lower face", "whole crop", "nowhere"]


@dataclass(frozen=True)
class Tag:
    """What one kind of forgery selects."""

    words: str  # of the page
    maps: tuple[str, ...]  # of `pipelines.evidence.moments`, that are shown
    region: Region  # of the crop that such a forgery changes


# By the labels of the head of kinds (configs/heads/types.yaml), and laundering.
TAGS = {
    "face swap": Tag(
        "It looks like a face swap: the face was replaced, the head around it was kept. Look at "
        "the edge of the face, at its skin beside that of the neck, and at its depth.",
        ("appearance", "depth", "forged"), "face",
    ),
    "reenactment or lip-sync": Tag(
        "It looks like a reenactment or a lip-sync: mouth or expression were made anew, the person "
        "was kept. Look at teeth, lips and chin, and whether the mouth closes on b, m and p.",
        ("lips", "flow", "forged"), "lower face",
    ),
    "synthetic or converted voice": Tag(
        "It looks like a synthetic or converted voice: listen for breath, room and stress. The "
        "picture may be genuine.",
        ("mel",), "nowhere",
    ),
    "splice": Tag(
        "It looks spliced: genuine parts were put together. Look and listen where the curves jump.",
        ("flow", "mel"), "nowhere",
    ),
    "wholly generated picture": Tag(
        "It looks generated throughout, from one picture or none. Look at hair, teeth and "
        "background when the head turns.",
        ("appearance", "flow", "depth"), "whole crop",
    ),
    "laundering": Tag(
        "It looks as if genuine content had been passed through a generator: it may depict real "
        "events. Fine texture is then the generator's, what is shown is not.",
        ("appearance", "forged"), "whole crop",
    ),
}  # fmt: skip


def tag_of(types: Sequence[str], origin: str | None) -> str | None:
    """Return the tag of a forged clip, None where nothing is known of it.

    Args:
        types: its kinds of forgery, the surest first.
        origin: of its picture: real, laundered or synthetic; None: there is none.
    """
    known = [name for name in types if name in TAGS]
    if known:
        return known[0]
    return "laundering" if origin == "laundered" else None


def region_of(tag: str, face: Tensor) -> Tensor:
    """Return 1 for cells (L, h, w) of a crop that a forgery of this kind changes, else 0.

    face: (L, h, w) the face's cells; its lower half lies below the middle of its rows.
    """
    region = TAGS[tag].region
    if region == "face":
        return (face > 0).float()
    if region == "lower face":
        rows = torch.arange(face.shape[1], device=face.device)[None, :, None]
        inside = face > 0
        count = inside.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        middle = (inside * rows).sum(dim=(1, 2), keepdim=True) / count
        return (inside & (rows > middle)).float()
    return torch.ones_like(face) if region == "whole crop" else torch.zeros_like(face)


def maps_of(tag: str | None, maps: dict[str, Tensor], face: Tensor | None) -> dict[str, Tensor]:
    """Return the maps of a moment that its tag selects; all without a tag.

    The map of what was forged, `forged`, is 0 outside the tag's region.

    Args:
        tag: of the clip.
        maps: by name, see `pipelines.evidence.moments.moment_maps`.
        face: (L, h, w) the cells of the face in the pictures of `forged`; None: there is none.
    """
    if tag is None:
        return maps
    chosen = {name: maps[name] for name in TAGS[tag].maps if name in maps}
    if "forged" in chosen and face is not None:
        chosen["forged"] = chosen["forged"] * region_of(tag, face)
    return chosen


def tag_mask(tag: str, cells: Tensor, face: Tensor, threshold: float) -> Tensor:
    """Return which cells (L, h, w) count as forged: those of the map above it, in the region."""
    return (cells >= threshold) & (region_of(tag, face) > 0)
