"""A map of anomalies without training: how far each patch of a crop is from a genuine one.

Source: Deng et al., AnoVL, 2023. In place of texts of normal and damaged states there are two
prototypes, the mean token of genuine crops and that of their noisy copies, since the package's
encoder has no text tower; and the encoder's first half stands for its last blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from temporal.forgery_map import CELLS

SHARPNESS = 100.0  # of CLIP's softmax over cosines
NOISE = 0.055  # standard deviation of the noise on unit tokens that stand for anomalies
HARD = 0.5  # weight of the loss on those
EPOCHS, RATE = 5, 1e-3  # of the adapter


class AnomalyMap(nn.Module):
    """Two prototypes, and an adapter that begins anew with every clip."""

    prototypes: Tensor  # (2, D) unit vectors: genuine, anomalous

    def __init__(self, width: int, adapt: bool = True) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(2, width))
        self.adapt = adapt

    @torch.no_grad()
    def settle(self, genuine: Tensor, noisy: Tensor) -> None:
        """Set the prototypes to the means of directions (N, D) of either kind; see `unit`."""
        means = torch.stack([genuine.mean(dim=0), noisy.mean(dim=0)])
        self.prototypes.copy_(functional.normalize(means, dim=-1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return maps (L, 28, 28), 0 to 1, of the tokens (L, P, D) of one clip's square crops."""
        seen = unit(tokens)
        if self.adapt:
            seen = adapted(seen, self.prototypes)
        anomalous = odds(seen, self.prototypes).exp()[..., 1]  # (L, P)
        side = round(anomalous.shape[1] ** 0.5)
        cells = functional.avg_pool2d(
            anomalous.view(-1, 1, side, side), 3, 1, 1, count_include_pad=False
        )
        return functional.interpolate(cells, (CELLS, CELLS), mode="bilinear")[:, 0]


def unit(tokens: Tensor) -> Tensor:
    """Return the directions (..., D) of tokens (..., D), each normalised as by a layer norm."""
    return functional.normalize(functional.layer_norm(tokens, tokens.shape[-1:]), dim=-1)


def odds(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """Return the log probabilities (..., 2) of tokens (..., D): genuine, anomalous."""
    return (SHARPNESS * functional.normalize(tokens, dim=-1) @ prototypes.T).log_softmax(dim=-1)


def adapted(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """Return a clip's unit tokens (L, P, D) after its own adapter, which starts from nothing.

    The adapter moves a token by tanh(W z) towards the prototypes (2, D). It learns to keep the
    clip's tokens certain, and to call their noisy copies anomalous; the same clip gives the same.
    """
    generator = torch.Generator().manual_seed(0)
    noise = NOISE * torch.randn(tokens.shape, generator=generator).to(tokens)
    with torch.set_grad_enabled(True), torch.inference_mode(False):
        seen, poles = tokens.detach().clone(), prototypes.detach().clone()
        weight = torch.zeros_like(poles).requires_grad_(True)
        optimizer = torch.optim.AdamW([weight], lr=RATE)
        for _ in range(EPOCHS):
            clean, noisy = (odds(_moved(z, weight, poles), poles) for z in (seen, seen + noise))
            entropy = -(clean[..., 0].exp() * clean[..., 0]).mean()
            (gradient,) = torch.autograd.grad(entropy - HARD * noisy[..., 1].mean(), weight)
            weight.grad = gradient
            optimizer.step()
    return _moved(tokens, weight.detach(), prototypes)


def _moved(tokens: Tensor, weight: Tensor, prototypes: Tensor) -> Tensor:
    return 0.5 * tokens + 0.5 * (tokens @ weight.T).tanh() @ prototypes
