"""Portraits: which steps are looked at, what the others hold, and how features are named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.errors import InputError
from extractors.portrait import SIDES, Feature, PortraitEncoder, PortraitExtractor

SMALL = EncoderConfig(name="small", width=8, heads=2, hidden=8, layers=2, patch=8, image=16)
FEATURES = ("face/1/class", "face/2/spread", "head/2/mean")


@pytest.fixture
def encoder() -> PortraitEncoder:
    torch.manual_seed(0)
    return PortraitEncoder(VisionTransformer(SMALL).eval(), FEATURES, every=4)


def frames_of(count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames (T) that all differ, and the square of a face in each."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(count)]
    return frames, np.tile(np.array([40, 30, 26, 0], np.float32), (count, 1))


def test_steps_that_the_interval_divides_are_looked_at_and_held(encoder: PortraitEncoder) -> None:
    frames, squares = frames_of(11)
    portrait = PortraitExtractor(encoder)(frames, squares, 1.3, first=2)
    assert portrait.shape == (11, 3, 8)
    assert portrait.dtype == torch.float16
    looks = encoder([frames[i] for i in (0, 2, 6, 10)], squares[:4], 1.3)  # steps 2, 4, 8 and 12
    for step, look in zip((0, 2, 6, 10), looks, strict=True):
        assert torch.equal(portrait[step], look)
    assert torch.equal(portrait[5], portrait[2])
    assert not torch.equal(portrait[1], portrait[2])


def test_chunks_give_the_portrait_of_the_whole(encoder: PortraitEncoder) -> None:
    frames, squares = frames_of(13)
    whole = PortraitExtractor(encoder)(frames, squares, 1.3, first=1)
    parts = PortraitExtractor(encoder)
    cuts = [(0, 2), (2, 3), (3, 9), (9, 13)]
    pieces = [parts(frames[a:b], squares[a:b], 1.3, first=1 + a) for a, b in cuts]
    assert torch.equal(torch.cat(pieces), whole)


def test_the_head_s_square_is_wider_by_its_share_of_the_face(encoder: PortraitEncoder) -> None:
    frames, squares = frames_of(1)
    flat = np.full_like(frames[0], 90)
    half = round(26 / 1.3 * SIDES["face"] / 2) + 2
    kept = slice(30 - half, 30 + half), slice(40 - half, 40 + half)
    flat[kept] = frames[0][kept]
    seen, bare = (encoder([frame], squares, 1.3)[0] for frame in (frames[0], flat))
    assert torch.equal(seen[0], bare[0])  # the face reaches no farther than what was kept
    assert not torch.equal(seen[2], bare[2])


@pytest.mark.parametrize("name", ["face", "nose/6/class", "face/six/class", "face/6/median", ""])
def test_a_feature_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="face/6/class"):
        Feature.named(name)


def test_an_encoder_without_a_class_token_has_means_and_spreads_of_all_its_patches() -> None:
    config = EncoderConfig(
        name="bare", width=8, heads=2, hidden=8, layers=1, patch=8, image=16, class_token=False
    )
    bare = VisionTransformer(config).eval()
    frames, squares = frames_of(1)
    mean = PortraitEncoder(bare, ("face/1/mean",), 1)(frames, squares, 1.3)
    assert mean.shape == (1, 1, 8)
    with pytest.raises(InputError, match=r"bare has no class token, .*\['face/1/class'\]"):
        PortraitEncoder(bare, ("face/1/class", "face/1/mean"), 1)
