"""Windows of equal length: how streams of any length are cut and outputs stitched together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class WindowConfig:
    """How a video is cut: a window sees `length` steps and decides the middle `stride` of them."""

    length: int = 512  # steps; a clip of 20 s is one window
    stride: int = 448  # steps

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise ValueError(
                f"windows need 1 <= stride <= length, got stride {self.stride} "
                f"and length {self.length}"
            )

    @property
    def margin(self) -> int:
        """Steps at either side of a window that its neighbours decide."""
        return (self.length - self.stride) // 2


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """Which steps each window sees, and which of them it decides.

    Window n sees `[starts[n], starts[n] + length)` and decides `[cuts[n], cuts[n + 1])`.
    """

    starts: tuple[int, ...]  # (N,)
    cuts: tuple[int, ...]  # (N + 1,)
    length: int  # L
    steps: int  # T, seen; decided are the steps from cuts[0] to cuts[-1]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and stop of each window."""
        return tuple((start, start + self.length) for start in self.starts)


@dataclass(frozen=True, eq=False)
class Windows(WindowPlan):
    """A plan and the streams that were cut by it."""

    streams: dict[str, Tensor]  # (N, L, ...) each
    mask: Tensor  # (N, L) bool: steps that are part of the video; all are, see plan_windows


def plan_windows(
    steps: int, config: WindowConfig = WindowConfig(), lead: int = 0, trail: int = 0
) -> WindowPlan:
    """Return the windows that decide the steps from `lead` to `steps - trail`.

    Window n decides `stride` steps and sees `margin` more at either side, so that no step is
    decided from a convolution's padding, except at the video's own ends. There a window is moved
    inwards rather than padded; a video shorter than a window is one window of its own length.

    The grid begins at `lead`. Blocks of a long video therefore give the same windows as the whole
    video, provided that all but the last decide a multiple of `stride` steps and share at least
    `margin` steps with their neighbours, and that the last has at least `length` steps.

    Raises:
        ValueError: there is no step between `lead` and `trail`.
    """
    if steps < 1 or lead < 0 or trail < 0 or lead + trail >= steps:
        raise ValueError(
            f"windows need steps >= 1 and a step between lead and trail, "
            f"got {steps} steps, lead {lead} and trail {trail}"
        )
    length = min(config.length, steps)
    starts: list[int] = []
    cuts: list[int] = []
    for cut in range(lead, steps - trail, config.stride):
        start = max(0, min(cut - config.margin, steps - length))
        if not starts or start > starts[-1]:  # else the window before sees the same steps
            starts.append(start)
            cuts.append(cut)
    return WindowPlan(tuple(starts), (*cuts, steps - trail), length, steps)


def cut_windows(
    streams: Mapping[str, Tensor],
    config: WindowConfig = WindowConfig(),
    lead: int = 0,
    trail: int = 0,
) -> Windows:
    """Return the windows of streams (T, ...), planned by `plan_windows`.

    Raises:
        ValueError: the streams differ in length, or there is no step to decide.
    """
    lengths = {name: len(stream) for name, stream in streams.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"windows need streams of one length T, got {lengths}")
    plan = plan_windows(next(iter(lengths.values())), config, lead, trail)
    index = torch.tensor(plan.starts)[:, None] + torch.arange(plan.length)  # (N, L)
    device = next(iter(streams.values())).device
    return Windows(
        plan.starts, plan.cuts, plan.length, plan.steps,
        streams={name: stream[index.to(stream.device)] for name, stream in streams.items()},
        mask=torch.ones(index.shape, dtype=torch.bool, device=device),
    )  # fmt: skip


def stitch_windows(values: Tensor, windows: WindowPlan) -> Tensor:
    """Return the decided steps (T, ...) of values (N, L, ...): the inverse of `cut_windows`.

    A step's value is that of the one window which decides it. Overlapping values are not averaged,
    because those near a window's edge are biased, not merely noisier.

    Raises:
        ValueError: the values do not fit the windows.
    """
    expected = (len(windows.starts), windows.length)
    if tuple(values.shape[:2]) != expected:
        raise ValueError(f"expected values of {expected} windows and steps, got {values.shape[:2]}")
    steps = np.arange(windows.cuts[0], windows.cuts[-1])
    window = np.searchsorted(windows.cuts, steps, side="right") - 1
    offset = steps - np.asarray(windows.starts)[window]
    index = torch.from_numpy(np.stack([window, offset])).to(values.device)  # (2, T)
    return values[index[0], index[1]]
