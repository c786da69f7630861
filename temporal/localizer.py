"""The localizer: forged steps of one track, each step seen against the whole of its clip.

Most of a partial forgery is genuine, and shows what its voice, room and camera are like. So what is
common to all steps is subtracted, and a recurrent network reads the whole clip in both directions
before a step is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from temporal.experts import ExpertConfig, SoundExpert, normalise
from temporal.localization import LocalizationConfig, LocalizationHead, StepOutputs


@dataclass(frozen=True)
class LocalizerConfig:
    """Sizes of a localizer; those of what it reads are the experts'."""

    hidden: int = 96  # units of the recurrent network, each direction
    layers: int = 2
    dropout: float = 0.1


class ClipContext(nn.Module):
    """Step scores and proposals of one modality from tokens, each against its whole clip."""

    def __init__(self, dim: int, config: LocalizerConfig, localization: LocalizationConfig) -> None:
        """Make an untrained network on tokens of `dim` channels."""
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.memory = nn.GRU(
            2 * dim, config.hidden, config.layers, batch_first=True, bidirectional=True,
            dropout=config.dropout,
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.head = LocalizationHead(2 * config.hidden, localization, modalities=1)

    def forward(self, tokens: Tensor, mask: Tensor) -> StepOutputs:
        """Return the outputs (N, L, ...) for tokens (N, L, D); mask (N, L): the clip's steps."""
        x = self.norm(tokens)
        valid = mask[..., None].to(x.dtype)
        mean = (x * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)
        apart = (x - mean) * valid
        with torch.autocast(tokens.device.type, enabled=False):
            read, _ = self.memory(torch.cat([apart, apart.abs()], dim=-1).float())
        outputs: StepOutputs = self.head(self.dropout(read), mask)
        return outputs


class SoundLocalizer(nn.Module):
    """The localizer of the sound: forged stretches of speech, from log-mel power alone."""

    def __init__(
        self, experts: ExpertConfig, config: LocalizerConfig, localization: LocalizationConfig
    ) -> None:
        """Make an untrained localizer, whose trunk has the form of the sound expert."""
        super().__init__()
        self.trunk = SoundExpert(experts.mel, experts.dim, config.dropout, colour=False)
        self.context = ClipContext(experts.dim, config, localization)

    def forward(self, mel: Tensor, mask: Tensor) -> StepOutputs:
        """Return the outputs (N, L, ...) for log-mel power (N, L, 80, 4); mask (N, L)."""
        outputs: StepOutputs = self.context(self.trunk(normalise("mel", mel)), mask)
        return outputs


class PictureLocalizer(nn.Module):
    """The localizer of the picture: forged stretches of a face, from the tokens of experts."""

    def __init__(
        self, experts: int, width: int, config: LocalizerConfig, localization: LocalizationConfig
    ) -> None:
        """Make an untrained localizer that reads `experts` tokens of `width` numbers."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(experts))
        self.merge = nn.Linear(2 * experts * width, width)
        self.context = ClipContext(width, config, localization)

    def forward(self, *inputs: Tensor) -> StepOutputs:
        """Return the outputs (N, L, ...) for each expert's tokens (N, L, D) and the mask (N, L)."""
        *tokens, mask = inputs
        normed = [norm(x) for norm, x in zip(self.norms, tokens, strict=True)]
        x = torch.cat(normed, dim=-1)
        change = x.diff(dim=1, prepend=x[:, :1]).abs()  # a cut shows from one step to the next
        outputs: StepOutputs = self.context(self.merge(torch.cat([x, change], dim=-1)), mask)
        return outputs
