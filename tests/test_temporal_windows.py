import pytest
import torch
from torch import Tensor

from temporal.windows import WindowConfig, cut_windows, plan_windows, stitch_windows

CONFIGS = [WindowConfig(*sizes) for sizes in [(1, 1), (2, 1), (5, 2), (7, 7), (8, 5), (128, 96)]]


@pytest.mark.parametrize("config", CONFIGS)
def test_stitching_undoes_cutting_for_every_length(config: WindowConfig) -> None:
    for steps in [*range(1, 40), 95, 96, 97, 111, 112, 113, 127, 128, 129, 208, 209, 500]:
        stream = torch.arange(steps * 2).reshape(steps, 2)
        windows = cut_windows({"mel": stream}, config)
        assert torch.equal(stitch_windows(windows.streams["mel"], windows), stream)
        assert windows.mask.all()
        assert windows.mask.shape == (len(windows.starts), min(steps, config.length))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_step_is_decided_away_from_edges_that_are_not_the_videos_own(
    config: WindowConfig,
) -> None:
    for steps in [1, 3, 11, 40, 129, 300]:
        plan = plan_windows(steps, config)
        assert plan.cuts[0] == 0
        assert plan.cuts[-1] == steps
        for (start, stop), first, end in zip(plan.spans, plan.cuts, plan.cuts[1:], strict=False):
            assert 0 <= start <= first < end <= stop <= steps
            assert start == 0 or first - start >= config.margin
            assert stop == steps or stop - end >= config.margin


def test_the_last_window_moves_back_and_a_short_video_is_one_window() -> None:
    config = WindowConfig(length=8, stride=4)
    assert plan_windows(11, config).spans == ((0, 8), (2, 10), (3, 11))
    assert plan_windows(11, config).cuts == (0, 4, 8, 11)
    assert plan_windows(5, config).spans == ((0, 5),)
    assert plan_windows(1, config).spans == ((0, 1),)


def test_all_streams_are_cut_alike_and_keep_their_types() -> None:
    streams = {"mel": torch.rand(300, 80, 4), "mouth": torch.zeros(300, 1, 6, 8, dtype=torch.uint8)}
    windows = cut_windows(streams, WindowConfig(length=128, stride=96))
    assert windows.streams["mel"].shape == (3, 128, 80, 4)
    assert windows.streams["mouth"].shape == (3, 128, 1, 6, 8)
    assert windows.streams["mouth"].dtype == torch.uint8


@pytest.mark.parametrize("steps", [192, 300, 383, 384, 385, 448, 449, 640, 1000])
def test_blocks_with_shared_context_give_the_same_result_as_the_video_at_once(steps: int) -> None:
    config = WindowConfig(length=32, stride=24)
    block, context = 192, 16

    def judge(window: Tensor) -> Tensor:
        # Depends on where in the window a step lies, as padding makes a network do.
        return window + 1000 * torch.arange(window.shape[1])

    video = torch.arange(steps)
    whole = cut_windows({"mel": video}, config)
    expected = stitch_windows(judge(whole.streams["mel"]), whole)

    found, first = [], 0
    while first < steps:
        last = steps - first < block + context  # as the extractor does: the rest is one block
        end = steps if last else first + block
        lead, trail = min(context, first), 0 if last else context
        piece = video[first - lead : end + trail]
        windows = cut_windows({"mel": piece}, config, lead=lead, trail=trail)
        found.append(stitch_windows(judge(windows.streams["mel"]), windows))
        first = end
    assert torch.equal(torch.cat(found), expected)


def test_gradients_reach_every_decided_step_once() -> None:
    windows = cut_windows({"mel": torch.zeros(21)}, WindowConfig(length=8, stride=4))
    values = windows.streams["mel"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(stitch_windows(values, windows).sum(), values)
    assert gradient.sum() == 21
    assert gradient.max() == 1


def test_impossible_requests_say_what_came() -> None:
    with pytest.raises(ValueError, match="stride 9 and length 8"):
        WindowConfig(length=8, stride=9)
    with pytest.raises(ValueError, match=r"\{'mel': 4, 'flow': 5\}"):
        cut_windows({"mel": torch.zeros(4), "flow": torch.zeros(5)})
    with pytest.raises(ValueError, match="got 0 steps"):
        cut_windows({"mel": torch.zeros(0)})
    with pytest.raises(ValueError, match="lead 3 and trail 1"):
        plan_windows(4, lead=3, trail=1)
    windows = cut_windows({"mel": torch.zeros(21)}, WindowConfig(length=8, stride=8))
    with pytest.raises(ValueError, match=r"\(3, 8\)"):
        stitch_windows(torch.zeros(3, 7), windows)
