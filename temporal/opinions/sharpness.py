"""The opinion on whether a face is as sharp as its size lets expect.

Generators draw a face at a fixed resolution, whatever its size on screen. The sharpness of a real
face depends mainly on its size: the part that size explains is regressed out, and with it most of
what distinguishes one source of clips from another.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from temporal.opinions.discriminant import ClosedFormOpinion, around

AT_ONCE = 64  # pictures whose spectra are taken at once: bounds memory
RINGS = 14  # rings of spatial frequency, from 0 to beyond the Nyquist frequency
FLOOR = 0.05  # power per pixel, in grey levels squared; less is rounding error
LUMA = (0.299, 0.587, 0.114)  # BT.601


class SharpnessOpinion(ClosedFormOpinion):
    """A linear rule on the rings' log power, corrected for the face's size."""

    explained: Tensor  # (3, 2R) regression of real faces' rings on 1, log size and its square
    spread: Tensor  # (2R,) standard deviation of the regression's residuals
    rule: Tensor  # (2R,)
    bias: Tensor  # ()

    def __init__(self, reach: int) -> None:
        """Make an unfitted opinion, whose logits are 0.

        reach: steps to either side whose mean and standard deviation describe a step.
        """
        super().__init__()
        self.reach = reach
        self.register_buffer("explained", torch.zeros(3, 2 * RINGS))
        self.register_buffer("spread", torch.ones(2 * RINGS))
        self.register_buffer("rule", torch.zeros(2 * RINGS))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, pictures: Tensor, size: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return step logits (N, L) of crops (N, L, 3, H, W), 0 to 255, and sizes (N, L, 1)."""
        with torch.autocast(pictures.device.type, enabled=False):
            residuals = rings(pictures, self.reach) - powers(size) @ self.explained
            return residuals / self.spread @ self.rule + self.bias

    def describe(self, pictures: Tensor, size: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the rings and the face's size in pixels, (N, L, 2R + 1)."""
        return torch.cat([rings(pictures, self.reach), size], dim=-1)

    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Fit to clips: mean rings and face sizes (N, 2R + 1), and labels (N,), 1 is fake.

        Least squares on the real clips, then logistic regression with classes of equal weight.
        The clips' own weights are ignored.
        """
        x, basis, genuine = found[:, :-1].double(), powers(found[:, -1:].double()), labels == 0
        self.explained.copy_(torch.linalg.lstsq(basis[genuine], x[genuine]).solution)
        x = x - basis @ self.explained.double()
        self.spread.copy_(x.std(dim=0).clamp(min=1e-6))
        rule, bias = _logistic(x / self.spread.double(), labels.double())
        self.rule.copy_(rule)
        self.bias.copy_(bias)


def rings(pictures: Tensor, reach: int) -> Tensor:
    """Return mean and standard deviation (N, L, 2R) of the rings' log power around each step.

    Args:
        pictures: (N, L, 3, H, W), 0 to 255.
        reach: steps to either side.
    """
    parts = torch.split(pictures.flatten(0, 1), AT_ONCE)
    power = torch.cat([ring_power(part) for part in parts]).view(*pictures.shape[:2], RINGS)
    mean, square = (around(x, reach) for x in (power, power.square()))
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=-1)


def ring_power(pictures: Tensor) -> Tensor:
    """Return the log power (L, R) of the luma of pictures (L, 3, H, H), by spatial frequency.

    The rings are equally wide; the last one also holds the corners beyond the Nyquist frequency.
    """
    side = pictures.shape[-1]
    red, green, blue = pictures.unbind(1)
    luma = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    line = torch.hann_window(side, device=pictures.device)
    window = line[:, None] * line
    waves = torch.fft.rfft2((luma - luma.mean(dim=(1, 2), keepdim=True)).mul_(window))
    power = waves.real.square().addcmul_(waves.imag, waves.imag)
    mean = power.flatten(1) @ _membership(side, pictures.device)
    return (mean / window.square().sum() + FLOOR).log()


def _membership(side: int, device: torch.device) -> Tensor:
    """Return the averaging matrix (F, R): a column takes the mean over a ring's frequencies."""
    down = torch.fft.fftfreq(side, device=device)[:, None]
    across = torch.fft.rfftfreq(side, device=device)
    ring = ((down.square() + across.square()).sqrt() * 2 * RINGS).long().clamp(max=RINGS - 1)
    member = functional.one_hot(ring.flatten(), RINGS).float()
    return member / member.sum(dim=0)


def powers(size: Tensor) -> Tensor:
    """Return 1, x and x² (..., 3), where x is the log of a size (..., 1) in pixels."""
    x = size.clamp(min=1.0).log()
    return torch.cat([torch.ones_like(x), x, x.square()], dim=-1)


def _logistic(x: Tensor, labels: Tensor, prior: float = 10.0) -> tuple[Tensor, Tensor]:
    """Return weights (K,) and bias () of a logistic regression of labels (N,) on x (N, K).

    The classes, 1 and 0, have equal weight. prior: strength of the L2 penalty on the weights.
    """
    rule = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    share = labels.mean()
    weight = torch.where(labels == 1, 0.5 / share, 0.5 / (1 - share))
    optimizer = torch.optim.LBFGS([rule, bias], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = x @ rule + bias
        entropy = functional.binary_cross_entropy_with_logits(logits, labels, weight)
        loss = entropy + 0.5 * prior / len(x) * rule.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return rule.detach(), bias.detach()
