"""Three streams in one network: each counts, and depth keeps what flickers."""

from __future__ import annotations

import pytest
import torch

from temporal.zoo.joint import JointExperts, per_clip


def given(clips: int = 2, steps: int = 5) -> dict[str, torch.Tensor]:
    depth = 0.1 * torch.randn(clips, steps, 1, 56, 56)
    depth[..., :10] = 0.0  # beside the face
    return {
        "appearance": torch.randint(0, 255, (clips, steps, 3, 112, 112), dtype=torch.uint8),
        "flow": torch.randn(clips, steps, 2, 56, 56),
        "depth": depth,
    }


def test_each_stream_changes_the_logit() -> None:
    part, streams = JointExperts(width=8).eval(), given()
    with torch.inference_mode():
        logits = part(streams)
        assert logits.shape == (2, 5)
        for name, stream in streams.items():
            other = part({**streams, name: torch.zeros_like(stream)})
            assert not torch.allclose(other, logits, atol=1e-5), name


def test_depth_of_a_clip_knows_no_scale_and_no_distance_and_lies_about_zero() -> None:
    depth = given()["depth"]
    scaled = per_clip(depth)
    face = depth != 0
    moved = torch.where(face, 3 * depth + 0.7, 0.0)
    torch.testing.assert_close(per_clip(moved), scaled, atol=1e-3, rtol=1e-3)
    assert float(scaled[~face].abs().max()) == 0.0
    for clip, inside in zip(scaled, face, strict=True):
        assert float(clip[inside].median()) == pytest.approx(0, abs=1e-3)
        assert float(clip[inside].std()) == pytest.approx(1, abs=0.05)  # it is normal


def test_a_step_whose_depth_swells_still_does_against_its_clip() -> None:
    depth = 0.1 * torch.randn(1, 9, 1, 20, 20)
    depth[0, 4] *= 1.5
    spread = per_clip(depth)[0].flatten(1).std(dim=1)
    others = spread[[0, 1, 2, 3, 5, 6, 7, 8]].mean()
    assert float(spread[4] / others) == pytest.approx(1.5, abs=0.1)
    alone = torch.stack([per_clip(step[None])[0, 0] for step in depth[0, :, None]])
    assert alone.flatten(1).std(dim=1).tolist() == pytest.approx([1.0] * 9, abs=0.12)


def test_a_clip_without_a_face_has_no_depth() -> None:
    assert float(per_clip(torch.zeros(1, 3, 1, 8, 8)).abs().max()) == 0.0


def test_the_push_is_of_labelled_steps_and_speed_is_lost_where_it_is_to_be() -> None:
    streams, mask = given(), torch.ones(2, 5, dtype=torch.bool)
    targets = torch.zeros(2, 5, 3)
    targets[0, :, 0] = 1
    part = JointExperts(width=8, push=2.0, flow_norm="l3de").eval()
    logits, push = (t.detach() for t in part.learn(streams, targets, mask))
    torch.testing.assert_close(logits, part(streams))
    assert 0 < float(push) <= 2.0
    assert float(part.learn(streams, torch.zeros(2, 5, 3), mask)[1]) == 0.0
    faster = {**streams, "flow": 3 * streams["flow"]}
    torch.testing.assert_close(part(faster), logits, atol=1e-4, rtol=1e-4)
    starter = JointExperts(width=8).eval()
    assert not torch.allclose(starter(faster), starter(streams), atol=1e-4)
    with pytest.raises(ValueError, match="got 'none'"):
        JointExperts(flow_norm="none")
