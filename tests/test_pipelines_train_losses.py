from math import exp, log

import pytest
import torch
from torch import Tensor

from pipelines.train.losses import clip_loss, diou, focal_loss, giou, iou, reach_loss, step_loss


def segments(*pairs: tuple[float, float]) -> Tensor:
    return torch.tensor(pairs, dtype=torch.float64)


@pytest.mark.parametrize(
    ("first", "second", "plain", "generalized", "distance"),
    [
        ((0, 1), (2, 3), 0, -1 / 3, -((2 / 3) ** 2)),  # apart: a third of the hull is in neither
        ((0, 4), (2, 6), 1 / 3, 1 / 3, 1 / 3 - (2 / 6) ** 2),
        ((0, 4), (1, 3), 1 / 2, 1 / 2, 1 / 2),  # one inside the other, same centre
        ((0, 4), (0, 1), 1 / 4, 1 / 4, 1 / 4 - (1.5 / 4) ** 2),
        ((2, 5), (2, 5), 1, 1, 1),
    ],
)
def test_overlaps_of_known_segments(
    first: tuple[float, float],
    second: tuple[float, float],
    plain: float,
    generalized: float,
    distance: float,
) -> None:
    for one, other in ((first, second), (second, first)):
        pair = segments(one), segments(other)
        assert iou(*pair).item() == pytest.approx(plain)
        assert giou(*pair).item() == pytest.approx(generalized)
        assert diou(*pair).item() == pytest.approx(distance)


def test_step_loss_is_the_mean_cross_entropy_of_what_is_known() -> None:
    logits = torch.tensor([[[0.0, 2.0, 9.0]], [[5.0, 5.0, 5.0]]])  # (N 2, L 1, 3)
    targets = torch.tensor([[[1.0, 0.0, -1.0]], [[1.0, 1.0, 1.0]]])
    mask = torch.tensor([[True], [False]])
    expected = (log(2) + log(1 + exp(2))) / 2
    assert step_loss(logits, targets, mask).item() == pytest.approx(expected)
    everything = (log(2) + log(1 + exp(2)) + 3 * log(1 + exp(-5))) / 5
    assert step_loss(logits, targets).item() == pytest.approx(everything)


def test_positive_weight_counts_manipulated_steps_more_often() -> None:
    logits, targets = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[[1.0, 0.0]]])
    expected = (3 * log(2) + log(1 + exp(2))) / 4
    assert step_loss(logits, targets, positive_weight=3).item() == pytest.approx(expected)


def test_clip_loss_leaves_out_unknown_modalities() -> None:
    logits = torch.tensor([[1.0, -1.0, 3.0], [0.0, 0.0, 0.0]])
    targets = torch.tensor([[1, 0, -1], [-1, -1, 1]])
    expected = (2 * log(1 + exp(-1)) + log(2)) / 3
    assert clip_loss(logits, targets).item() == pytest.approx(expected)


def test_focal_loss_with_gamma_zero_is_the_cross_entropy_for_each_positive() -> None:
    logits, targets = torch.randn(2, 5, 3, 3), torch.zeros(2, 5, 3, 3)
    targets[0, 1, 2, 0] = targets[1, 4, 0, 2] = 1
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    found = focal_loss(logits, targets, alpha=-1, gamma=0)
    assert found.item() == pytest.approx(entropy.item() / 2, rel=1e-5)


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([log(3.0), log(1 / 9), 4.0]).reshape(1, 1, 1, 3)  # p 0.75, 0.1, unknown
    targets = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 1, 1, 3)
    expected = 0.25 * 0.25**2 * -log(0.75) + 0.75 * 0.1**2 * -log(0.9)
    assert focal_loss(logits, targets).item() == pytest.approx(expected)


def test_reach_loss_is_that_of_the_segments_around_the_step() -> None:
    reach, target, positive = (
        torch.rand(1, 2, 1, 3, 2),
        torch.rand(1, 2, 1, 3, 2),
        torch.zeros(1, 2, 1, 3),
    )
    positive[0, 0, 0, 1] = positive[0, 1, 0, 2] = 1
    reach[0, 0, 0, 1], target[0, 0, 0, 1] = torch.tensor([1.0, 3.0]), torch.tensor([3.0, 3.0])
    reach[0, 1, 0, 2], target[0, 1, 0, 2] = torch.tensor([2.0, 2.0]), torch.tensor([2.0, 2.0])
    assert reach_loss(reach, target, positive).item() == pytest.approx((1 / 3 + (1 / 6) ** 2) / 2)
    assert reach_loss(reach, target, positive, kind="giou").item() == pytest.approx(1 / 6)
    mask = torch.tensor([[True, False]])
    assert reach_loss(reach, target, positive, mask, "giou").item() == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="'l1'"):
        reach_loss(reach, target, positive, kind="l1")


def test_descending_the_reach_loss_finds_the_segment() -> None:
    target = torch.tensor([4.0, 9.0]).reshape(1, 1, 1, 1, 2)
    raw = torch.zeros_like(target, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.1)
    for _ in range(300):
        loss = reach_loss(torch.nn.functional.softplus(raw), target, torch.ones(1, 1, 1, 1))
        (raw.grad,) = torch.autograd.grad(loss, raw)
        optimizer.step()
    assert torch.nn.functional.softplus(raw).flatten().tolist() == pytest.approx([4, 9], abs=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_without_a_known_target_gives_zero_and_no_gradient(dtype: torch.dtype) -> None:
    unknown = torch.full((1, 4, 2, 3), -1.0)
    for loss, shape in ((step_loss, (1, 4, 2, 3)), (focal_loss, (1, 4, 2, 3))):
        logits = torch.randn(shape, dtype=dtype, requires_grad=True)
        value = loss(logits, unknown)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.item() == 0
        assert not gradient.any()
    reach = torch.rand(1, 4, 2, 3, 2, dtype=dtype).requires_grad_()
    value = reach_loss(reach, torch.zeros(1, 4, 2, 3, 2), unknown)
    (gradient,) = torch.autograd.grad(value, reach)
    assert value.item() == 0
    assert not gradient.any()
