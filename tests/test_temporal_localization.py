import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.train.losses import focal_loss, reach_loss, step_loss
from temporal.localization import (
    LocalizationConfig,
    LocalizationHead,
    decode_segments,
    segment_targets,
)
from temporal.segment import MODALITIES, Segment

CONFIG = LocalizationConfig()
SCALES = len(CONFIG.dilations)


def nothing(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Step scores, proposals and reach of a head that finds nothing."""
    return (
        torch.zeros(steps, 3),
        torch.zeros(steps, SCALES, 3),
        torch.zeros(steps, SCALES, 3, 2),
    )


def test_targets_decode_to_the_segments_that_they_were_made_of() -> None:
    truth = [
        Segment(0.4, 0.61, 1.0, "visual"),
        Segment(2.0, 5.0, 1.0, "visual"),
        Segment(1.3, 1.9, 1.0, "audio"),
        Segment(6.2, 8.0, 1.0, "audio"),
        Segment(7.0, 7.5, 1.0, "sync"),
    ]
    targets = segment_targets(truth, steps=200)
    found = decode_segments(targets.steps, targets.proposals, targets.reach)
    best = [segment for segment in found if segment.score > 0.5]
    assert len(best) == len(truth)
    for segment in truth:
        same = [other for other in best if other.modality == segment.modality]
        match = min(same, key=lambda other: abs(other.start - segment.start))
        assert match.start == pytest.approx(segment.start, abs=0.021)  # half a step
        assert match.end == pytest.approx(segment.end, abs=0.021)


def test_each_segment_is_proposed_by_the_scale_of_its_length_around_its_centre() -> None:
    for length, scale in [(5, 0), (6, 0), (7, 1), (12, 1), (13, 2), (24, 2), (48, 3), (75, 4)]:
        start = 20
        segment = Segment(start / 25, (start + length) / 25, 1.0, "audio")
        targets = segment_targets([segment], steps=200)
        step, k, modality = targets.proposals.nonzero(as_tuple=True)
        assert set(k.tolist()) == {scale}
        assert set(modality.tolist()) == {MODALITIES.index("audio")}
        from_centre = (step + 0.5 - start - length / 2).abs()
        assert from_centre.max() <= 1.5 * CONFIG.dilations[scale]
        assert len(step) >= min(length, 3 * CONFIG.dilations[scale] - 1)
        reach = targets.reach[step, k, modality]
        torch.testing.assert_close(step + 0.5 - reach[:, 0], torch.full((len(step),), 20.0))
        torch.testing.assert_close(reach.sum(dim=1), torch.full((len(step),), float(length)))
        assert targets.steps[:, 1].nonzero().flatten().tolist() == [*range(start, start + length)]


def test_targets_end_where_the_tokens_end() -> None:
    segments = [Segment(0.0, 9.0, 1.0, "sync"), Segment(9.0, 10.0, 1.0, "visual")]
    targets = segment_targets(segments, steps=50)
    assert targets.steps[:, 2].all()
    assert not targets.proposals[..., 0].any()
    step, k, _ = targets.proposals.nonzero(as_tuple=True)
    assert targets.reach[step, k, 2].sum(dim=1).tolist() == [50.0] * len(step)


def test_of_two_segments_the_shorter_gets_the_step_and_none_is_lost() -> None:
    long, short = Segment(1.0, 2.2, 1.0, "audio"), Segment(1.4, 2.36, 1.0, "audio")
    alone = segment_targets([short], steps=80)
    for order in ([long, short], [short, long]):
        targets = segment_targets(order, steps=80)
        chosen = alone.proposals > 0
        assert torch.equal(targets.reach[chosen], alone.reach[chosen])
        assert targets.proposals.sum() > alone.proposals.sum()
    tiny = segment_targets([Segment(1.0, 1.01, 1.0, "audio")], steps=80)
    assert tiny.proposals.sum() == 1
    assert not tiny.steps.any()  # it covers less than half of a step


@pytest.mark.parametrize("steps", [1, 3, 40, 250, 2000])
def test_a_video_that_is_forged_throughout_is_one_segment(steps: int) -> None:
    generator = torch.Generator().manual_seed(steps)
    step_probs, proposals, reach = nothing(steps)
    step_probs[:, 1] = 0.55 + 0.4 * torch.rand(steps, generator=generator)
    # What windows of 128 steps say of it: parts, as long as they can see.
    proposals[:, :, 1] = 0.3 * torch.rand(steps, SCALES, generator=generator)
    reach[:, :, 1] = 60 * torch.rand(steps, SCALES, 2, generator=generator)
    best, *others = decode_segments(step_probs, proposals, reach)
    assert (best.start, best.end, best.modality) == (0, steps / 25, "audio")
    assert best.score > 0.5
    assert all(other.score < 0.3 for other in others)


def test_segments_stay_in_the_video_and_short_or_faint_ones_are_dropped() -> None:
    step_probs, proposals, reach = nothing(50)
    step_probs[:, 0] = 0.25  # below every run threshold
    proposals[2, 0, 0], reach[2, 0, 0] = 0.9, torch.tensor([9.0, 5.5])  # begins before 0
    proposals[30, 0, 0], reach[30, 0, 0] = 0.9, torch.tensor([0.5, 0.5])  # one step
    proposals[47, 0, 0], reach[47, 0, 0] = 0.01, torch.tensor([4.0, 9.0])  # faint
    (segment,) = decode_segments(step_probs, proposals, reach)
    assert (segment.start, segment.end) == (0.0, 8 / 25)
    assert segment.score == pytest.approx((0.9 * 0.25) ** 0.5 * 0.75)


def test_modalities_that_were_not_judged_give_no_segments() -> None:
    step_probs, proposals, reach = (tensor + 0.9 for tensor in nothing(100))
    step_probs[:, 1:], proposals[:, :, 1:] = float("nan"), float("nan")
    found = decode_segments(step_probs, proposals, reach)
    assert {segment.modality for segment in found} == {"visual"}


def test_suppression_keeps_to_one_modality() -> None:
    step_probs, proposals, reach = nothing(100)
    step_probs[40:60, :2] = 0.9
    found = decode_segments(step_probs, proposals, reach)
    best = {segment.modality: segment for segment in found if segment.score > 0.5}
    assert best.keys() == {"visual", "audio"}
    assert best["visual"].score == best["audio"].score == pytest.approx(0.9, abs=0.02)


def test_a_noisy_hour_decodes_in_seconds() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = 90_000
    outputs = (
        torch.rand(steps, 3, generator=generator) * 0.6,
        torch.rand(steps, SCALES, 3, generator=generator) * 0.6,
        torch.rand(steps, SCALES, 3, 2, generator=generator) * 20 + 2,
    )
    began = time.process_time()
    found = decode_segments(*outputs, replace(CONFIG, min_score=0.1))
    assert time.process_time() - began < 10  # two on an idle core
    ends = np.array([(segment.start, segment.end) for segment in found])
    assert ends.min() >= 0
    assert ends.max() <= 3600


def test_the_head_takes_any_length_and_begins_with_few_proposals_of_the_scales_own_length() -> None:
    torch.manual_seed(0)
    head = LocalizationHead(dim=16, config=replace(CONFIG, width=32))
    for steps in (1, 7, 300):
        outputs = head(torch.randn(2, steps, 16))
        assert outputs.logits.shape == (2, steps, 3)
        assert outputs.proposal_logits.shape == (2, steps, SCALES, 3)
        assert outputs.reach.shape == (2, steps, SCALES, 3, 2)
        assert (outputs.reach >= 0).all()
    assert outputs.proposal_logits.sigmoid().mean() < 0.03
    lengths = outputs.reach.sum(dim=-1).mean(dim=(0, 1, 3))
    limits = [0.0, *CONFIG.length_limits]
    for length, low, high in zip(lengths.tolist(), limits, limits[1:], strict=False):
        assert low < length < high


def test_a_step_is_judged_by_no_more_than_the_steps_around_it() -> None:
    torch.manual_seed(0)
    head = LocalizationHead(dim=8, config=replace(CONFIG, width=16)).eval()
    tokens = torch.randn(1, 300, 8, requires_grad=True)
    outputs = head(tokens)
    for scale, dilation in enumerate(CONFIG.dilations):
        (gradient,) = torch.autograd.grad(
            outputs.proposal_logits[0, 150, scale].sum(), tokens, retain_graph=True
        )
        seen = gradient[0].abs().sum(dim=-1).nonzero().flatten()
        assert seen.tolist() == [*range(150 - (4 * dilation - 2), 150 + (4 * dilation - 1))]
        upper = CONFIG.length_limits[scale]
        assert len(seen) == 8 * dilation - 3
        assert len(seen) >= min(upper, 75) - 1


def test_padding_in_a_batch_changes_nothing() -> None:
    torch.manual_seed(0)
    head = LocalizationHead(dim=8, config=replace(CONFIG, width=16)).eval()
    tokens = torch.randn(1, 60, 8)
    padded = torch.cat([tokens, torch.randn(1, 40, 8)], dim=1)
    mask = torch.arange(100)[None] < 60
    alone, batched = head(tokens), head(padded, mask)
    torch.testing.assert_close(batched.logits[:, :60], alone.logits)
    torch.testing.assert_close(batched.proposal_logits[:, :60], alone.proposal_logits)
    torch.testing.assert_close(batched.reach[:, :60], alone.reach)


def test_a_few_training_steps_find_a_segment() -> None:
    torch.manual_seed(0)
    config = LocalizationConfig(width=16, dilations=(1, 2, 4))
    head = LocalizationHead(dim=4, config=config)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    truth = Segment(1.0, 1.8, 1.0, "audio")
    targets = segment_targets([truth], 80, config)
    tokens = torch.randn(80, 4) * 0.1
    tokens[25:45, 0] += 1
    for _ in range(40):
        outputs = head(tokens[None])
        loss = (
            step_loss(outputs.logits, targets.steps[None])
            + focal_loss(outputs.proposal_logits, targets.proposals[None])
            + reach_loss(outputs.reach, targets.reach[None], targets.proposals[None])
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    best, *_ = decode_segments(
        outputs.logits[0].sigmoid(), outputs.proposal_logits[0].sigmoid(), outputs.reach[0], config
    )
    assert best.modality == "audio"
    assert best.start == pytest.approx(1.0, abs=0.06)
    assert best.end == pytest.approx(1.8, abs=0.06)


def test_wrong_input_says_what_was_expected() -> None:
    with pytest.raises(ValueError, match="'video'"):
        Segment(0, 1, 0.5, "video")
    with pytest.raises(ValueError, match="2 to 2 s"):
        Segment(2, 2, 0.5, "audio")
    step_probs, proposals, reach = nothing(10)
    with pytest.raises(ValueError, match=r"\(10, 5, 3\).*got .*\(10, 3, 5\)"):
        decode_segments(step_probs, proposals.transpose(1, 2), reach)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_processor_gives() -> None:
    torch.manual_seed(0)
    head = LocalizationHead(dim=8).eval()
    tokens = torch.randn(1, 200, 8)
    results = []
    for device in ("cpu", "cuda"):
        with torch.inference_mode():
            outputs = head.to(device)(tokens.to(device))
            step_probs = outputs.logits[0].sigmoid()
            found = decode_segments(
                step_probs, outputs.proposal_logits[0].sigmoid(), outputs.reach[0]
            )
        results.append([(segment.start, segment.end, segment.score) for segment in found])
    np.testing.assert_allclose(results[0][:20], results[1][:20], atol=1e-2)
