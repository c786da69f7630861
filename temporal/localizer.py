"""The localizer: forged steps of one track, each step seen against the whole of its clip.

Most of a partial forgery is genuine, and shows what its voice, room and camera are like. So what is
common to all steps is subtracted, and a recurrent network reads the whole clip in both directions
before a step is judged. The sound's localizer also reads the first layers of Whisper, which know
voices that no forgery taught.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from temporal.experts import ExpertConfig, SoundExpert, normalise
from temporal.localization import LocalizationConfig, LocalizationHead, StepOutputs
from temporal.opinions.whisper_stem import TOKENS, WIDTH, WhisperListener


@dataclass(frozen=True)
class LocalizerConfig:
    """Sizes of a localizer; those of what it reads are the experts'."""

    hidden: int = 96  # units of the recurrent network, each direction
    layers: int = 2
    heard: int = 128  # numbers a step to which Whisper's tokens are projected
    dropout: float = 0.1
    heard_dropout: float = 0.2


class ClipContext(nn.Module):
    """Step scores and proposals of one modality from tokens, each against its whole clip."""

    def __init__(
        self, dims: tuple[int, ...], config: LocalizerConfig, localization: LocalizationConfig
    ) -> None:
        """Make an untrained network on kinds of tokens, of as many channels as `dims` say."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in dims)
        self.memory = nn.GRU(
            2 * sum(dims), config.hidden, config.layers, batch_first=True, bidirectional=True,
            dropout=config.dropout,
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.head = LocalizationHead(2 * config.hidden, localization, modalities=1)

    def forward(self, *inputs: Tensor) -> StepOutputs:
        """Return the outputs (N, L, ...) for each kind's tokens (N, L, D) and the mask (N, L)."""
        *tokens, mask = inputs
        x = torch.cat([norm(t) for norm, t in zip(self.norms, tokens, strict=True)], dim=-1)
        valid = mask[..., None].to(x.dtype)
        mean = (x * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)
        apart = (x - mean) * valid
        with torch.autocast(x.device.type, enabled=False):
            read, _ = self.memory(torch.cat([apart, apart.abs()], dim=-1).float())
        outputs: StepOutputs = self.head(self.dropout(read), mask)
        return outputs


class Hearing(nn.Module):
    """Each step as Whisper hears it: the tokens of its first layers, and how they change."""

    def __init__(self, config: LocalizerConfig) -> None:
        """Make an untrained projection."""
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.project = nn.Sequential(
            nn.Dropout(config.heard_dropout), nn.Linear((2 * TOKENS + 1) * WIDTH, config.heard)
        )

    def forward(self, layers: tuple[Tensor, Tensor]) -> Tensor:
        """Return numbers (N, L, H) of two layers' tokens (N, 2L, 512) each."""
        early, late = (self.norm(tokens.float()) for tokens in layers)
        change = nn.functional.pad(late.diff(dim=1).abs(), (0, 0, 1, 0))
        steps = [x.unflatten(1, (-1, TOKENS)) for x in (early, late, change)]  # (N, L, 2, 512)
        read = [steps[0].flatten(2), steps[1].flatten(2), steps[2].mean(dim=2)]
        heard: Tensor = self.project(torch.cat(read, dim=-1))
        return heard


class SoundLocalizer(nn.Module):
    """The localizer of the sound: forged stretches of speech, from log-mel power alone."""

    listener: WhisperListener  # whose frozen layers it reads too, see `listen_by`

    def __init__(
        self, experts: ExpertConfig, config: LocalizerConfig, localization: LocalizationConfig
    ) -> None:
        """Make an untrained localizer, whose trunk has the form of the sound expert.

        It needs a listener (`listen_by`) before it is used.
        """
        super().__init__()
        self.trunk = SoundExpert(experts.mel, experts.dim, config.dropout, colour=False)
        self.hearing = Hearing(config)
        self.context = ClipContext((experts.dim, config.heard), config, localization)

    def listen_by(self, listener: WhisperListener) -> None:
        """Read the frozen layers of an opinion, whose weights stay that opinion's alone."""
        object.__setattr__(self, "listener", listener)  # no submodule: it would be saved twice

    def forward(self, mel: Tensor, mask: Tensor) -> StepOutputs:
        """Return the outputs (N, L, ...) for log-mel power (N, L, 80, 4); mask (N, L)."""
        with torch.no_grad():
            layers = self.listener.stem.layers(self.listener.levelled(mel, mask))
        tokens = self.trunk(normalise("mel", mel)), self.hearing(layers)
        outputs: StepOutputs = self.context(*tokens, mask)
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
        self.context = ClipContext((width,), config, localization)

    def forward(self, *inputs: Tensor) -> StepOutputs:
        """Return the outputs (N, L, ...) for each expert's tokens (N, L, D) and the mask (N, L)."""
        *tokens, mask = inputs
        normed = [norm(x) for norm, x in zip(self.norms, tokens, strict=True)]
        x = torch.cat(normed, dim=-1)
        change = x.diff(dim=1, prepend=x[:, :1]).abs()  # a cut shows from one step to the next
        outputs: StepOutputs = self.context(self.merge(torch.cat([x, change], dim=-1)), mask)
        return outputs
