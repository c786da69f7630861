"""A detector that contrasts the residuals of rich and of poor texture, patch by patch.

Source: Zhong et al., PatchCraft, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from temporal.zoo.patches import degraded, random_patches
from temporal.zoo.residuals import high_pass, high_pass_kernels

QUANTILES = (0.1, 0.5, 0.9)
SHARE = 3  # one part in three is rich, one poor


def diversity(patches: Tensor) -> Tensor:
    """Return the texture diversity (...) of patches (..., H, W) of grey levels.

    The sum of absolute differences between horizontal, vertical and diagonal neighbours.
    """
    right = (patches[..., :, :-1] - patches[..., :, 1:]).abs().sum(dim=(-2, -1))
    below = (patches[..., :-1, :] - patches[..., 1:, :]).abs().sum(dim=(-2, -1))
    falling = (patches[..., :-1, :-1] - patches[..., 1:, 1:]).abs().sum(dim=(-2, -1))
    rising = (patches[..., 1:, :-1] - patches[..., :-1, 1:]).abs().sum(dim=(-2, -1))
    return right + below + falling + rising


def mosaic(patches: Tensor) -> Tensor:
    """Return patches (N, k * k, C, P, P) as one picture (N, C, k * P, k * P), row by row."""
    n, count, channels, side, _ = patches.shape
    across = round(count**0.5)
    grid = patches.reshape(n, across, across, channels, side, side)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, across * side, across * side)


def rich_and_poor(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return mosaics (N, 3, S, S) of the richest and the poorest third of patches (N, K, 3, P, P).

    In each mosaic the most extreme patch comes first.
    """
    order = diversity(patches.mean(dim=2)).argsort(dim=1, descending=True)
    count = patches.shape[1] // SHARE
    rich, poor = order[:, :count], order.flip(1)[:, :count]
    rows = torch.arange(len(patches), device=patches.device)[:, None]
    return mosaic(patches[rows, rich]), mosaic(patches[rows, poor])


class PatchCraft(nn.Module):
    """A small network on the fingerprint of rich texture minus that of poor texture.

    Patches come from several frames at once, which destroys the content in time as well; all of
    these frames get the same logit. In inference a clip's patches are always cut at the same
    places.

    With 192 patches of the stream `native` and 32 channels it is the published network, of 101,889
    parameters, on 24 patches a frame.

    Args:
        patches: of a group of frames, in all.
        frames: of a group.
        width: channels.
        stream: whose pixels are read.
        degrade: odds of each of PatchCraft's three augmentations in training.
    """

    kernels: Tensor

    def __init__(
        self,
        patches: int = 48,
        frames: int = 8,
        width: int = 16,
        stream: str = "appearance",
        degrade: float = 0.0,
    ) -> None:
        super().__init__()
        if round((patches / SHARE) ** 0.5) ** 2 * SHARE != patches:
            raise ValueError(f"a third of the patches must fill a square, got {patches} patches")
        self.patches, self.frames, self.stream, self.degrade = patches, frames, stream, degrade
        self.register_buffer("kernels", high_pass_kernels(), persistent=False)
        self.fingerprint = nn.Sequential(
            nn.Conv2d(len(self.kernels), width, 3, padding=1), nn.BatchNorm2d(width), nn.Hardtanh()
        )
        trunk: list[nn.Module] = []
        for count in (4, 2, 2, 2):
            for _ in range(count):
                trunk += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            trunk.append(nn.AvgPool2d(2))
        self.trunk = nn.Sequential(*trunk[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.judge = nn.Linear(width, 1)

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of crops (B, L, 3, H, W)."""
        crops = streams[self.stream].float()
        parts = [
            self._group_logits(group)[:, None].expand(-1, group.shape[1])
            for group in torch.split(crops, self.frames, dim=1)
        ]
        return torch.cat(parts, dim=1)

    def describe(self, streams: Mapping[str, Tensor]) -> dict[str, float]:
        """Return quantiles of the texture diversity of a clip's patches, crops (1, L, 3, H, W)."""
        crops = streams[self.stream].float()
        found = [
            diversity(self._patches(group).mean(dim=2)).flatten()
            for group in torch.split(crops, self.frames, dim=1)
        ]
        levels = torch.cat(found).quantile(torch.tensor(QUANTILES, device=crops.device)).tolist()
        return {
            f"texture diversity, {100 * quantile:.0f} % quantile": level
            for quantile, level in zip(QUANTILES, levels, strict=True)
        }

    def _group_logits(self, group: Tensor) -> Tensor:
        return self.contrast_logits(*rich_and_poor(self._patches(group)))

    def _patches(self, group: Tensor) -> Tensor:
        """Return patches (B, K, 3, 32, 32) of a group of frames (B, F, 3, H, W)."""
        if not self.training:
            return random_patches(group, self.patches, anew=False)
        clips = [degraded(clip, self.degrade)[None] for clip in group]  # of unequal sizes
        return torch.cat([random_patches(clip, self.patches, anew=True) for clip in clips])

    def contrast_logits(self, rich: Tensor, poor: Tensor) -> Tensor:
        """Return logits (N,) of the mosaics (N, 3, S, S) of rich and of poor texture."""
        apart = self._print(rich) - self._print(poor)
        logits: Tensor = self.judge(self.trunk(apart))[:, 0]
        return logits

    def _print(self, picture: Tensor) -> Tensor:
        prints: Tensor = self.fingerprint(high_pass(picture, self.kernels))
        return prints
