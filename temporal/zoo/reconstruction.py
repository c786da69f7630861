"""Detectors that compare each crop with its reconstruction by auto-encoders.

Source: Deressa et al., GenConViT, 2023, in a smaller size. Where its published code departs from
its paper, the paper is followed: both encoders of the hybrid count, a latent's standard deviation
comes from its log-variance, and the divergence from the prior is part of the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from temporal.experts import normalise
from temporal.segment import MODALITIES
from temporal.zoo.texture import by_step

SIDE = 112  # pixels of a crop
PATCH = 16  # pixels of the patches that attend to each other


class AutoEncoder(nn.Module):
    """An auto-encoder of crops (N, 3, H, W) with a bottleneck of an eighth of their size."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 2, 2), nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 2, 2), nn.ReLU(), nn.ConvTranspose2d(16, 3, 2, 2),
        )  # fmt: skip

    def forward(self, crops: Tensor) -> Tensor:
        """Return the reconstruction (N, 3, H, W)."""
        rebuilt: Tensor = self.up(self.down(crops))
        return rebuilt


class Rebuilt(nn.Module):
    """The reconstruction error of an auto-encoder that was trained on real faces alone."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = AutoEncoder()

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return the log reconstruction error (B, L) of appearance (B, L, 3, H, W) uint8."""
        crops = normalise("appearance", streams["appearance"])
        return by_step(lambda few: self._error(few).log(), crops, self.training)

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L) without gradient, and the mean error () on real steps."""
        crops = normalise("appearance", streams["appearance"])
        error = by_step(self._error, crops, at_once=True)
        genuine = mask & (targets[..., MODALITIES.index("visual")] == 0)
        return error.detach().log(), (error * genuine).sum() / genuine.sum().clamp(min=1)

    def describe(self, streams: Mapping[str, Tensor]) -> dict[str, float]:
        """Return how well one clip's crops are rebuilt."""
        crops = normalise("appearance", streams["appearance"])[0]
        return {"rebuilt, dB": decibels(self.plain(crops), crops)}

    def _error(self, crops: Tensor) -> Tensor:
        error: Tensor = (self.plain(crops) - crops).square().mean(dim=(1, 2, 3))
        return error


def decibels(rebuilt: Tensor, crops: Tensor) -> float:
    """Return the peak signal-to-noise ratio of crops rebuilt, both as `normalise` gives them."""
    levels = (255 / 64) ** 2  # squared range of a crop's levels, in its unit
    return float(10 * (levels / (rebuilt - crops).square().mean().clamp(min=1e-9)).log10())


class VariationalAutoEncoder(nn.Module):
    """A variational auto-encoder of crops (N, 3, 112, 112) with `latent` latent dimensions.

    Source: Kingma and Welling, ICLR 2014.
    """

    def __init__(self, latent: int = 64) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128)
        layers = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU())
            for a, b in pairwise(widths)
        ]
        self.down = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.mean, self.log_variance = nn.Linear(128, latent), nn.Linear(128, latent)
        self.up = nn.Sequential(
            nn.Linear(latent, 64 * 7 * 7), nn.LeakyReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 2, 2), nn.LeakyReLU(),
            nn.ConvTranspose2d(32, 16, 2, 2), nn.LeakyReLU(),
            nn.ConvTranspose2d(16, 8, 2, 2), nn.LeakyReLU(), nn.ConvTranspose2d(8, 3, 2, 2),
        )  # fmt: skip

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction (N, 3, 112, 112), and mean and log-variance (N, latent).

        In training the latent is sampled; in inference it is the mean, so that results repeat.
        """
        features = self.down(crops)
        mean, log_variance = self.mean(features), self.log_variance(features)
        latent = drawn(mean, log_variance) if self.training else mean
        return self.up(latent), mean, log_variance


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return a sample of a normal distribution by the reparametrisation trick, (N, K)."""
    return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence (N,) in nats of normal distributions (N, K) from the standard."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


class HybridEncoder(nn.Module):
    """An encoder of crops (N, 3, 112, 112) by convolutions and by attention among patches."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in ((3, 16), (16, 32), (32, width), (width, width))
        ]
        self.local = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.places = nn.Parameter(0.02 * torch.randn((SIDE // PATCH) ** 2, width))
        self.attention = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )

    def forward(self, crops: Tensor) -> Tensor:
        """Return a vector (N, 2 * width) of each crop."""
        patches = self.patches(crops).flatten(2).transpose(1, 2) + self.places  # (N, 49, width)
        return torch.cat([self.local(crops), self.attention(patches).mean(dim=1)], dim=1)


class GenConVit(nn.Module):
    """A classifier of each crop and its two reconstructions, trained with the auto-encoders."""

    def __init__(self, latent: int = 64, width: int = 64, beta: float = 1e-3) -> None:
        super().__init__()
        self.beta = beta  # of the divergence from the prior
        self.plain, self.variational = AutoEncoder(), VariationalAutoEncoder(latent)
        self.encoder = HybridEncoder(width)
        self.judges = nn.ModuleList(
            nn.Sequential(nn.Linear(6 * width, width), nn.GELU(), nn.Linear(width, 1))
            for _ in range(2)
        )

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of appearance (B, L, 3, 112, 112) uint8."""
        crops = normalise("appearance", streams["appearance"])

        def logits_of(few: Tensor) -> Tensor:
            return self.beside(few, (self.plain(few), self.variational(few)[0]))

        return by_step(logits_of, crops, self.training)

    def describe(self, streams: Mapping[str, Tensor]) -> dict[str, float]:
        """Return how well one clip's crops are rebuilt by each auto-encoder."""
        crops = normalise("appearance", streams["appearance"])[0]
        return {
            "rebuilt, dB": decibels(self.plain(crops), crops),
            "rebuilt by the variational one, dB": decibels(self.variational(crops)[0], crops),
        }

    def beside(self, crops: Tensor, made: tuple[Tensor, Tensor]) -> Tensor:
        """Return logits (N,) of crops (N, 3, H, W) and both of their reconstructions."""
        original = self.encoder(crops)
        logits = []
        for judge, one in zip(self.judges, made, strict=True):
            rebuilt = self.encoder(one)
            logits.append(judge(torch.cat([original, rebuilt, original - rebuilt], dim=1))[:, 0])
        return torch.stack(logits).mean(dim=0)

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and the loss (): both reconstruction errors and beta · KL."""
        crops = normalise("appearance", streams["appearance"])
        flat = crops.flatten(0, 1)
        plain, (sampled, mean, log_variance) = self.plain(flat), self.variational(flat)
        error = functional.mse_loss(plain, flat) + functional.mse_loss(sampled, flat)
        prior_loss = divergence(mean, log_variance).mean()
        logits = self.beside(flat, (plain, sampled)).reshape(crops.shape[:2])
        return logits, error + self.beta * prior_loss
