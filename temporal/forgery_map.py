"""A grey-scale map of the forged pixels of a face, decoded from the appearance expert's features.

Source: Huang et al., FakeLocator, IEEE TIFS 2022: the target is the difference of the forged and
the genuine picture, not a binary mask. In place of an encoder of its own, the decoder reads layers
of the detector's appearance expert.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from temporal.experts import normalise

CELLS = 28  # height and width of the map; a cell is 4 pixels of a crop
# Layers of the appearance expert's stem that are read: channels, and height and width in cells.
LAYERS = {1: (16, 56), 3: (24, 28), 6: (32, 14), 13: (96, 7)}
ROOM = 3  # cells around the face that count as face: a tenth of the crop
WINDOW, WINDOW_SPREAD = 11, 1.5  # SSIM's Gaussian window: side and standard deviation, in cells
HARDLY = -3.0  # logit of an untrained map: most of most pictures is genuine


def grey_map(genuine: Tensor, forged: Tensor, least: float = 0.0) -> Tensor:
    """Return the grey-scale target (L, H, W) in [0, 1]: how much each pixel of crops was forged.

    The absolute difference averaged over the three colours and divided by the clip's largest; 0
    throughout where nothing was forged.

    Args:
        genuine: (L, 3, H, W) levels.
        forged: (L, 3, H, W) levels of the same pixels.
        least: levels; smaller differences count as 0 (noise of the codec, where both were encoded).
    """
    difference = (forged.float() - genuine.float()).abs().mean(dim=1)
    difference = torch.where(difference < least, 0.0, difference)
    return difference / difference.max().clamp(min=1e-6)


def in_cells(maps: Tensor) -> Tensor:
    """Return pixel maps (L, H, W) averaged to cells (L, 28, 28)."""
    return functional.adaptive_avg_pool2d(maps[:, None], CELLS)[:, 0]


def face_cells(depth: Tensor) -> Tensor:
    """Return 1 for cells (L, 28, 28) on or near the face, else 0, by mesh depth (L, 1, h, w)."""
    mesh = functional.adaptive_max_pool2d((depth != 0).float(), CELLS)
    return functional.max_pool2d(mesh, 2 * ROOM + 1, 1, ROOM)[:, 0]


@torch.no_grad()
def seen_by(stem: nn.Sequential, crops: Tensor) -> list[Tensor]:
    """Return the features (L, C, n, n) of `LAYERS` of a stem for crops (L, 3, 112, 112) uint8."""
    x = normalise("appearance", crops[None])[0].to(memory_format=torch.channels_last)
    features = []
    for index, layer in enumerate(stem):
        x = layer(x)
        if index in LAYERS:
            features.append(x)
    return features


class ForgeryMap(nn.Module):
    """A decoder from the coarsest layer to the map, with skip connections from the finer ones."""

    threshold: Tensor  # () score from which on a cell counts as forged

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(0.5))
        edges, fine, middle, coarse = (channels for channels, _ in LAYERS.values())
        self.coarse = _block(coarse, 2 * width)
        self.middle = _block(2 * width + middle, 2 * width)
        self.edges = _block(edges, width, stride=2)
        self.fine = _block(3 * width + fine, width)
        self.last = _block(width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, seen: Sequence[Tensor], face: Tensor) -> Tensor:
        """Return logits (L, 28, 28) by the features of `seen_by` and the face's cells (L, 28, 28).

        Off the face the features are masked to zero, which gives a constant logit.
        """
        return self.logits_of(self.features(seen, face))

    def features(self, seen: Sequence[Tensor], face: Tensor) -> Tensor:
        """Return what is decoded (L, C, 28, 28) for the cells of the face, 0 off it."""
        edges, fine, middle, coarse = seen
        x = self.middle(torch.cat([_doubled(self.coarse(coarse)), middle], dim=1))
        x = self.fine(torch.cat([_doubled(x), fine, self.edges(edges)], dim=1))
        decoded: Tensor = self.last(x) * face[:, None]
        return decoded

    def logits_of(self, decoded: Tensor) -> Tensor:
        """Return logits (L, 28, 28) of what was decoded (L, C, 28, 28)."""
        logits: Tensor = self.out(decoded)
        return logits[:, 0] + HARDLY

    @torch.no_grad()
    def at_even_odds(self, forged: float) -> None:
        """Correct the logits from the training set's share of forged crops to even odds, in place.

        In use a forged crop is no likelier than a genuine one. The logits shift by the difference
        of the log odds (Saerens et al. 2002).

        Args:
            forged: share of forged crops in training, above 0 and below 1.
        """
        bias: Tensor = self.out.get_parameter("bias")
        bias -= torch.logit(torch.tensor(forged)).to(bias)


def map_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the loss () of maps (L, 28, 28): the paper's L1 plus the binary cross-entropy.

    L1 alone is smallest for a map of zeros wherever P(forged) is below one half.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    return functional.l1_loss(logits.sigmoid(), truth) + entropy


def map_cosine(found: Tensor, truth: Tensor) -> Tensor:
    """Return the cosine () of two maps of one shape: 1 where one is a multiple of the other."""
    return functional.cosine_similarity(found.flatten(), truth.flatten(), dim=0)


def map_psnr(found: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio () in decibels of a map in [0, 1]."""
    return -10 * (found - truth).square().mean().log10()


def map_ssim(found: Tensor, truth: Tensor) -> Tensor:
    """Return the mean structural similarity () of maps (L, H, W) in [0, 1]; 1 if they are equal.

    Averaged over the positions where the 11x11 window lies inside the map; H and W are at least 11.

    Source: Wang et al., IEEE TIP 2004.
    """
    places = torch.arange(WINDOW, dtype=truth.dtype) - WINDOW // 2
    line = torch.softmax(-0.5 * (places / WINDOW_SPREAD).square(), dim=0)
    window = (line[:, None] * line)[None, None]

    def local_mean(maps: Tensor) -> Tensor:
        return functional.conv2d(maps[:, None], window)

    mean, other = local_mean(found), local_mean(truth)
    spread = local_mean(found.square()) - mean.square()
    other_spread = local_mean(truth.square()) - other.square()
    shared = local_mean(found * truth) - mean * other
    light, contrast = 0.01**2, 0.03**2  # the paper's C1 and C2: keep quotients of flat areas finite
    alike = (2 * mean * other + light) * (2 * shared + contrast)
    return (alike / (
        (mean.square() + other.square() + light) * (spread + other_spread + contrast)
    )).mean()  # fmt: skip


def _block(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    )  # fmt: skip


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
