"""Portraits: which steps are looked at, what the others hold, and how features are named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.errors import InputError
from extractors.portrait import SIDES, Feature, PortraitEncoder, PortraitExtractor

SMALL = EncoderConfig(name="small", width=8, heads=2, hidden=8, layers=2, patch=8, image=16)
FEATURES = ("mouth/1/class", "face/1/class", "face/2/spread", "head/2/mean")
FACE, MOUTH = (40, 30, 20, 0.0), (40, 38, 20, 0.0)  # centre x and y, face size, roll


@pytest.fixture
def encoder() -> PortraitEncoder:
    torch.manual_seed(0)
    return PortraitEncoder(VisionTransformer(SMALL).eval(), FEATURES, every=2)


def frames_of(count: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Frames (T) that all differ, and the places (T, 4) of a face and its mouth in each."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(count)]
    face, mouth = (np.tile(np.array(place, np.float32), (count, 1)) for place in (FACE, MOUTH))
    return frames, face, mouth


def test_scales_take_turns_at_the_steps_that_the_interval_divides(
    encoder: PortraitEncoder,
) -> None:
    frames, faces, mouths = frames_of(14)
    portrait = PortraitExtractor(encoder)(frames, faces, mouths, first=1)
    assert portrait.shape == (14, 4, 8)
    assert portrait.dtype == torch.float16
    assert encoder.scales == ("mouth", "face", "head")
    # frame i is step i + 1: the mouth at steps 6 and 12, the face at 2, 8 and 14, the head at 4, 10
    for scale, features, looks in (
        ("mouth", [0], (0, 5, 11)), ("face", [1, 2], (0, 1, 7, 13)), ("head", [3], (0, 3, 9)),
    ):  # fmt: skip
        places = mouths if scale == "mouth" else faces
        seen = encoder(scale, [frames[i] for i in looks], places[: len(looks)])
        held = np.searchsorted(looks, np.arange(14), side="right") - 1
        assert torch.equal(portrait[:, features], seen[held])
        assert not torch.equal(seen[0], seen[1])


def test_chunks_give_the_portrait_of_the_whole(encoder: PortraitEncoder) -> None:
    frames, faces, mouths = frames_of(13)
    whole = PortraitExtractor(encoder)(frames, faces, mouths, first=1)
    parts = PortraitExtractor(encoder)
    cuts = [(0, 2), (2, 3), (3, 9), (9, 13)]
    pieces = [parts(frames[a:b], faces[a:b], mouths[a:b], first=1 + a) for a, b in cuts]
    assert torch.equal(torch.cat(pieces), whole)


@pytest.mark.parametrize(("scale", "place"), [("mouth", MOUTH), ("face", FACE), ("head", FACE)])
def test_a_scale_sees_its_square_and_no_more(
    encoder: PortraitEncoder, scale: str, place: tuple[float, ...]
) -> None:
    frames, _, _ = frames_of(1)
    half = round(20 * SIDES[scale] / 2) + 5  # its pixels, and those averaged into the outermost
    flat = np.full_like(frames[0], 90)
    kept = tuple(slice(max(c - half, 0), c + half) for c in (int(place[1]), int(place[0])))
    flat[kept] = frames[0][kept]
    less = flat.copy()
    less[:, : int(place[0]) - half + 8] = 90
    seen, bare, cut = (
        encoder(scale, [frame], np.array([place], np.float32)) for frame in (frames[0], flat, less)
    )
    assert torch.equal(seen, bare)
    assert not torch.equal(seen, cut)


@pytest.mark.parametrize("name", ["face", "nose/6/class", "face/six/class", "face/6/median", ""])
def test_a_feature_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="face/6/class"):
        Feature.named(name)


def test_an_encoder_without_a_class_token_has_means_and_spreads_of_all_its_patches() -> None:
    config = EncoderConfig(
        name="bare", width=8, heads=2, hidden=8, layers=1, patch=8, image=16, class_token=False
    )
    bare = VisionTransformer(config).eval()
    frames, faces, _ = frames_of(1)
    mean = PortraitEncoder(bare, ("face/1/mean",), 1)("face", frames, faces)
    assert mean.shape == (1, 1, 8)
    with pytest.raises(InputError, match=r"bare has no class token, .*\['face/1/class'\]"):
        PortraitEncoder(bare, ("face/1/class", "face/1/mean"), 1)
