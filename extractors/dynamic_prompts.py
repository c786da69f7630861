"""Prompts of a transformer that depend on what it sees.

Source: He et al., DVPT: Dynamic Visual Prompt Tuning, 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DynamicPrompts(nn.Module):
    """A small module, one for all blocks, that adds to tokens what its questions find in them.

    Learned questions attend to the tokens in a narrow space; what they find is projected back and
    added to every token. The projection is zero at first, so that nothing changes.
    """

    def __init__(self, width: int, prompts: int) -> None:
        """Make it for tokens of a width."""
        super().__init__()
        narrow = max(width // 16, 8)
        self.down = nn.Linear(width, narrow)
        self.questions = nn.Parameter(torch.randn(prompts, narrow))
        self.up = nn.Linear(narrow, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def found(self, x: Tensor) -> Tensor:
        """Return the prompts (N, M, narrow) of tokens (N, P, D)."""
        low = self.down(x)
        questions = self.questions.expand(len(x), -1, -1)
        return functional.scaled_dot_product_attention(questions, low, low)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (N, P, D) with what was found in them added to each."""
        added: Tensor = self.up(functional.gelu(self.found(x)).mean(dim=1, keepdim=True))
        return x + added
