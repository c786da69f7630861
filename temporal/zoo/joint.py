"""Appearance, motion and geometry in one 3D network, after L3DE.

Source: L3DE (Learned 3D Evaluation, ICCV 2025), the second version of What-Matters, as third
parties describe it, in a smaller size and on the face's own streams. The first version has three
networks and an ensemble (`fusion.zoo.baselines.EnsembleOfExperts`); here their features are joined.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from temporal.experts import normalise
from temporal.segment import MODALITIES
from temporal.zoo.motion import by_largest, push_loss

SPREAD = 1.4826  # of a normal distribution: its standard deviation over its median deviation
LEAST = 1e-4  # of a crop's width, below which the spread of a face's depth is noise
FAR = 8.0  # spreads at which depth is clipped


class JointExperts(nn.Module):
    """A logit of each step by three streams that are joined on their way, with L3DE's push.

    Args:
        width: channels of each stream where they are joined, 7x7 cells each.
        push: weight of the loss that pushes forged features from the nearest genuine one.
        flow_norm: starter, or l3de, which discards speed, see `temporal.zoo.motion`.
    """

    def __init__(self, width: int = 32, push: float = 0.1, flow_norm: str = "starter") -> None:
        super().__init__()
        if flow_norm not in ("starter", "l3de"):
            raise ValueError(f"flow_norm must be starter or l3de, got {flow_norm!r}")
        self.push, self.flow_norm = push, flow_norm
        self.stems = nn.ModuleDict({
            "appearance": _halved(3, (width // 4, width // 2, width // 2, width)),
            "flow": _halved(2, (width // 4, width // 2, width)),
            "depth": _halved(1, (width // 4, width // 2, width)),
        })  # fmt: skip
        self.joined = nn.Sequential(
            nn.Conv3d(3 * width, 2 * width, 3, padding=1), nn.ReLU(),
            nn.Conv3d(2 * width, 2 * width, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.judge = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, 1))

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of appearance, flow and depth."""
        logits: Tensor = self.judge(self.features(streams))[..., 0]
        return logits

    def features(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return features (B, L, D) of each step."""
        flow = streams["flow"]
        given = {
            "appearance": normalise("appearance", streams["appearance"]),
            "flow": by_largest(flow) if self.flow_norm == "l3de" else normalise("flow", flow),
            "depth": per_clip(streams["depth"]),
        }
        parts = [stem(given[name].transpose(1, 2)) for name, stem in self.stems.items()]
        return self.joined(torch.cat(parts, dim=1)).mean(dim=(3, 4)).transpose(1, 2)

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and the weighted push loss () of the labelled steps."""
        features = self.features(streams)
        visual = targets[..., MODALITIES.index("visual")]
        fake, real = (features[mask & (visual == truth)] for truth in (1, 0))
        logits: Tensor = self.judge(features)[..., 0]
        return logits, self.push * push_loss(fake, real)


def per_clip(depth: Tensor) -> Tensor:
    """Return depth (B, L, 1, H, W) about 0 and of spread 1 on the face of each clip, 0 off it.

    By one median and one median deviation for all steps: by each step's own, depth that flickers
    would look steady. Off the face depth is 0.
    """
    flat = depth.float().flatten(1)
    face = flat.masked_fill(flat == 0, torch.nan)
    middle = face.nanmedian(dim=1, keepdim=True).values
    spread = SPREAD * (face - middle).abs().nanmedian(dim=1, keepdim=True).values
    scaled = ((face - middle) / spread.clamp(min=LEAST)).clamp(-FAR, FAR)
    return scaled.nan_to_num(0.0).reshape(depth.shape)


def _halved(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Return 3D convolutions, each of which halves height and width."""
    layers: list[nn.Module] = []
    for before, width in zip((channels, *widths), widths, strict=False):
        layers += [nn.Conv3d(before, width, 3, (1, 2, 2), 1), nn.ReLU()]
    return nn.Sequential(*layers)
