"""What opinions hear through the first layers of Whisper, a speech recogniser.

Whisper (Radford et al. 2023) was trained on 680,000 hours of speech. Its first layers stay frozen:
they never see forgeries, so they cannot learn the sources of forgeries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from extractors.spectrogram import BANDS, COLUMNS, FLOOR
from temporal.opinions.discriminant import ClosedFormOpinion

WIDTH = 512  # of a token of Whisper base
TOKENS = 2  # a step
QUIETEST = 1e-10  # power at which Whisper clips from below
RANGE = 8.0  # decades below a recording's loudest power, at which it clips too


class WhisperStem(nn.Module):
    """Both convolutions and the first encoder block of Whisper base, frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.block = nn.TransformerEncoderLayer(
            WIDTH, 8, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.requires_grad_(False)

    def forward(self, mel: Tensor) -> Tensor:
        """Return tokens (N, K / 2, 512), 20 ms each, of Whisper's log-mel columns (N, 80, K)."""
        return self.layers(mel)[1]

    def layers(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens (N, K / 2, 512) after the convolutions, and after the block."""
        x = gelu(self.conv2(gelu(self.conv1(mel)))).transpose(1, 2)
        return x, self.block(x + positions(x.shape[1], x.device))


class WhisperListener(ClosedFormOpinion):
    """An opinion's part that borrows Whisper's layers and prepares what they hear."""

    bands: Tensor  # (80, 80) weights that turn our mel bands into Whisper's
    # (80,) mean of Whisper's log-mel power over the training clips, which replaces each recording's
    # own: microphone, room and codec would identify the source
    level: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = WhisperStem()
        self.register_buffer("bands", torch.eye(BANDS))
        self.register_buffer("level", torch.zeros(BANDS))

    def borrow(self, path: Path) -> None:
        """Load Whisper's first layers from CTranslate2's file of Whisper base.

        Raises:
            WhisperFileError: there is no such file, or it does not hold Whisper base.
        """
        from temporal.opinions.whisper_file import WhisperFileError, read_whisper, whisper_bands

        try:
            self.stem.load_state_dict(read_whisper(path))
        except RuntimeError as error:
            raise WhisperFileError(f"{path}: not the weights of Whisper base") from error
        self.bands.copy_(whisper_bands())

    def prepare(self, clips: Iterable[tuple[Tensor, ...]]) -> None:
        """Set `level` to the mean log-mel power of the training clips."""
        levels = [self.heard(mel).mean(dim=(0, 2)) for mel, *_ in clips]
        self.level.copy_(torch.stack(levels).mean(dim=0))

    def levelled(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return Whisper's input as `heard` does, with the training clips' mean in each band.

        mask: (N, L) the steps over which a recording's own mean is taken.
        """
        x = self.heard(mel)
        valid = mask.to(x.dtype).repeat_interleave(COLUMNS, dim=1)[:, None]  # (N, 1, 4L)
        own = (x * valid).sum(dim=2, keepdim=True) / valid.sum(dim=2, keepdim=True).clamp(min=1)
        return x - own + self.level[:, None]

    def heard(self, mel: Tensor) -> Tensor:
        """Return Whisper's input (N, 80, 4L), log-mel power, from our log-mel power (N, L, 80, 4).

        In units of four decades with about zero mean, as its authors prepare it; except that an
        analysis window ends with its hop in place of being centred on it.
        """
        with torch.autocast(mel.device.type, enabled=False):
            columns = mel.float().transpose(1, 2).flatten(2)  # (N, 80, 4L)
            power = self.bands @ (columns.exp() - FLOOR).clamp(min=0)
            decades = power.clamp(min=QUIETEST).log10()
            loudest = decades.amax(dim=(1, 2), keepdim=True)
            return (torch.maximum(decades, loudest - RANGE) + 4.0) / 4.0


def positions(count: int, device: torch.device) -> Tensor:
    """Return the encoding (count, 512) of the first `count` positions: sines, then cosines."""
    half = WIDTH // 2
    slower = math.log(10_000) / (half - 1)
    rates = torch.exp(-slower * torch.arange(half, device=device))
    angles = torch.arange(count, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
