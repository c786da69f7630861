"""Training that parts what forgeries have in common from what is one's own, and from content.

Source: Yan et al., UCF: Uncovering Common Features for Generalizable Deepfake Detection, ICCV 2023.
An expert's tokens are the common features here; the rest is left behind after training.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.detection.pooling import clip_means
from pipelines.train.batches import Batch
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.options.method import Kinds, Method, MethodConfig, drawn_partners, tapped
from temporal.experts import SoundExpert

SIDE = 32  # pixels of the pictures that are rebuilt
PLACES = 8  # of a style's map, from which its means and deviations are taken
EPSILON = 1e-5  # of a variance: gradients stay finite where a channel is constant
MARGIN = 3.0  # of the triplets
SHUFFLED = 0.7  # share of the updates in which common features are swapped within their class


@dataclass(frozen=True)
class UcfConfig(MethodConfig):
    """Common, specific and content features, from which pictures are rebuilt."""

    width: int = 64  # channels of the content's maps
    specific: float = 0.1  # weight of naming the generator
    rebuilt: float = 0.3  # of rebuilding, by one's own forgery features and by another's
    contrast: float = 0.05  # of the triplets
    # What a picture of one's content and another's forgery features is to be: as in the published
    # code that of the content; or no such picture is made.
    cross: Literal["content", "off"] = "content"

    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert."""
        return Ucf(probe, modality, self, clips)


class Ucf(Method):
    """An expert whose features are common to all forgeries, and the networks that part them."""

    def __init__(
        self, probe: ExpertProbe, modality: str, config: UcfConfig, clips: Sequence[TrainClip]
    ) -> None:
        super().__init__(probe, modality)
        self.config, self.kinds = config, Kinds(clips, modality)
        self.specific = copy.deepcopy(probe.expert.get_submodule("project"))
        for layer in self.specific.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d):
                layer.reset_parameters()
        self.method_head = nn.Linear(probe.dim, self.kinds.count)
        one = clips[0].chunk(0, 1, (probe.name,), None)
        channels = probe.pictures({n: s[None] for n, s in one.items()}, SIDE).shape[2]
        self.content = ContentEncoder(channels, config.width)
        self.generator = Generator(config.width, 2 * probe.dim, channels)

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted sum of the losses of classes, generators, pictures and triplets."""
        config, forged = self.config, self.forged(batch)
        common, specific = self.features(batch)
        kinds = self.kinds(batch, forged)
        summed = [clip_means(x.float(), batch.mask) for x in (common, specific)]
        total = self.step_loss(self.probe.linear(common), batch)
        total = total + config.specific * functional.cross_entropy(
            self.method_head(summed[1]).float(), kinds
        )
        if torch.rand(()) < SHUFFLED:
            common = common[drawn_partners((forged[:, None] == forged).float())]
        style = torch.cat([common, specific], dim=-1)
        total = total + config.rebuilt * self._rebuilding(batch, style, forged)
        if forged.any() and not forged.all():
            total = total + config.contrast * (
                triplets(summed[0], forged.long(), forged) + triplets(summed[1], kinds, forged)
            )
        return total

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return common and specific features (B, L, D)."""
        with tapped([self.probe.expert.get_submodule("project")]) as seen:
            common = self.probe.tokens(batch.streams)
        specific = self.specific(seen[0][0])
        if isinstance(self.probe.expert, SoundExpert):
            specific = specific.transpose(1, 2)
        return common, specific

    def _rebuilding(self, batch: Batch, style: Tensor, forged: Tensor) -> Tensor:
        """Return the sum of the errors of pictures by styles (B, L, 2D), each the mean of a class.

        In float32: in bfloat16 on a CPU, PyTorch 2.9.1 gave NaN gradients of the encoder's
        convolutions on pictures as narrow as those of sound.
        """
        styles = [style]
        if self.config.cross == "content" and forged.any() and not forged.all():
            styles.append(style[drawn_partners((forged[:, None] != forged).float())])
        total = torch.zeros((), device=style.device)
        with torch.autocast(style.device.type, enabled=False):
            pictures = self.probe.pictures(batch.streams, SIDE)
            content = self.content(pictures)
            for given in styles:
                made = self.generator(content, given.float(), pictures.shape[-2:])
                error = (made - pictures).abs().flatten(2).mean(dim=2)  # (B, L)
                rows = clip_means(error[..., None], batch.mask)[:, 0]
                total = total + sum(rows[c].mean() for c in (forged, ~forged) if c.any())
        return total


class ContentEncoder(nn.Module):
    """Three convolutions that halve pictures (B, L, C, h, w) to maps (B, L, W, h / 8, w / 8)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        sizes = (channels, width // 2, width, width)
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.LeakyReLU()) for a, b in pairwise(sizes))
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the maps."""
        maps: Tensor = self.layers(pictures.flatten(0, 1))
        return maps.reshape(*pictures.shape[:2], *maps.shape[1:])


class Generator(nn.Module):
    """Pictures of content maps and a style: three levels, each styled, doubled and convolved."""

    def __init__(self, width: int, style: int, channels: int) -> None:
        super().__init__()
        sizes = (width, width, width // 2, width // 4)
        self.styles = nn.ModuleList(nn.Linear(style, size * PLACES) for size in sizes[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1), nn.LeakyReLU(),
                nn.Conv2d(b, b, 3, padding=1), nn.LeakyReLU(),
            )
            for a, b in pairwise(sizes)
        )  # fmt: skip
        self.out = nn.Conv2d(sizes[-1], channels, 1)

    def forward(self, content: Tensor, style: Tensor, size: Sequence[int]) -> Tensor:
        """Return pictures (B, L, C, *size) of content (B, L, W, h, w) and a style (B, L, D)."""
        steps, x = content.shape[:2], content
        for project, level in zip(self.styles, self.levels, strict=True):
            maps = x.transpose(1, 2)  # (B, W, L, h, w)
            goal = project(style).unflatten(-1, (-1, PLACES)).transpose(1, 2)  # (B, W, L, P)
            x = adain(maps, goal).transpose(1, 2)
            x = functional.interpolate(x.flatten(0, 1), scale_factor=2)
            x = level(x).unflatten(0, steps)
        made: Tensor = self.out(functional.interpolate(x.flatten(0, 1), list(size)))
        return made.reshape(*steps, *made.shape[1:])


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Return content (B, C, ...) with the mean and deviation of a style's channels (B, C, ...).

    Adaptive instance normalisation (Huang & Belongie, ICCV 2017).
    """
    flat, goal = content.float().flatten(2), style.float().flatten(2)
    deviation, mean = torch.var_mean(flat, dim=2, keepdim=True, correction=0)
    wanted, centre = torch.var_mean(goal, dim=2, keepdim=True, correction=0)
    scale = ((wanted + EPSILON) / (deviation + EPSILON)).sqrt()
    return ((flat - mean) * scale + centre).reshape(content.shape)


def triplets(features: Tensor, labels: Tensor, forged: Tensor) -> Tensor:
    """Return the triplet hinges of features (B, D): nearer to one's label than to the other class.

    The sum of the means of genuine and of forged rows. A row alone with its label is its own mate.
    """
    alike = (labels[:, None] == labels).float()
    mates = drawn_partners(alike * (1 - torch.eye(len(alike), device=alike.device)))
    others = drawn_partners((forged[:, None] != forged).float())
    hinges = functional.triplet_margin_loss(
        features, features[mates], features[others], margin=MARGIN, reduction="none"
    )
    return hinges[forged].mean() + hinges[~forged].mean()
