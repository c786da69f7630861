"""Low-rank corrections of an expert's tokens, for training on several corpora at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EXPERTS_EACH = 3  # low-rank experts of an adapter
RANK = 8
DOMAIN_WIDTH = 64  # of a domain's embedding


class DomainNorm(nn.Module):
    """A layer norm whose scale and shift depend linearly on a domain; without one it is plain."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.scale = nn.Linear(DOMAIN_WIDTH, dim, bias=False)
        self.shift = nn.Linear(DOMAIN_WIDTH, dim, bias=False)

    def forward(self, x: Tensor, domain: Tensor | None = None) -> Tensor:
        """Return x (B, L, D) normalised; domain: (B, 64), None for unknown ones."""
        plain: Tensor = self.norm(x)
        if domain is None:
            return plain
        bare = functional.layer_norm(x, x.shape[-1:], eps=self.norm.eps)
        return plain + bare * self.scale(domain)[:, None] + self.shift(domain)[:, None]


class Adapter(nn.Module):
    """Tokens plus a normalised mixture of low-rank experts, each step routed by itself.

    Routing is attention among the experts' outputs. Source: Lai et al., GM-DF: Generalized
    Multi-Scenario Deepfake Detection, 2024, where every layer of a transformer has full-width
    experts, routed by the mean over the tokens.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(EXPERTS_EACH, dim, RANK) / dim**0.5)
        self.up = nn.Parameter(torch.randn(EXPERTS_EACH, RANK, dim) / RANK**0.5)
        self.norm = DomainNorm(dim)
        self.alpha = nn.Parameter(torch.tensor(0.1))

    def forward(self, tokens: Tensor, domain: Tensor | None = None) -> Tensor:
        """Return tokens (B, L, D), corrected; domain: (B, 64), None for unknown ones."""
        inner = functional.gelu(torch.einsum("bld,edr->bler", tokens, self.down))
        made = torch.einsum("bler,erd->bled", inner, self.up)
        alike = torch.einsum("bled,blfd->blef", made, made) / made.shape[-1] ** 0.5
        weights = alike.softmax(dim=-1).mean(dim=2)  # (B, L, E)
        mixed = torch.einsum("ble,bled->bld", weights, made)
        return tokens + self.alpha * self.norm(mixed, domain)
