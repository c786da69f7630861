"""Generator artefacts on a face: resampling, low rank, a decoder's grid, over-smooth skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from extractors.clip import Array

KERNELS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}
JUDGED_WIDTH = 90.0  # pixels; the widest face in the detector's crops of 112
UPSAMPLERS = ("nearest", "linear", "cubic", "lanczos", "transposed")


@dataclass(frozen=True, eq=False)
class GeneratorLook:
    """One generator's artefacts, constant over a segment."""

    factor: float  # the face passes through 1 / factor of its size
    down: str
    up: str
    grid: Array  # (4, 4) kernel of the transposed convolution; uneven sums make a checkerboard
    smoothing: float  # strength of the edge-keeping blur, 0 to 1
    sharpening: float  # of the unsharp mask, 0 to 1.5
    noise: float  # grey levels of grain put back afterwards


def draw_look(
    rng: np.random.Generator, strength: float, width: float, least: float = 1.0
) -> GeneratorLook:
    """Return random artefacts for a face of `width` pixels; `strength` runs from subtle to obvious.

    least: the smallest downsampling factor, relative to the detector's crop: a large face loses
    its finest detail there anyway.
    """
    coarse = max(width / JUDGED_WIDTH, 1.0)
    uneven = rng.normal(0, 0.02 + 0.12 * strength, (4, 4))
    hat = np.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])
    chosen = rng.random(3)
    return GeneratorLook(
        factor=coarse * float(least + (3.2 - least) * strength * rng.uniform(0.3, 1)),
        down=str(rng.choice(["area", "linear", "cubic", "nearest"], p=[0.4, 0.3, 0.25, 0.05])),
        up=str(rng.choice(UPSAMPLERS, p=[0.1, 0.25, 0.2, 0.15, 0.3])),
        grid=(hat * (1 + uneven)).astype(np.float32),
        smoothing=float(strength * rng.uniform(0.3, 1)) if chosen[0] < 0.35 else 0.0,
        sharpening=float(strength * rng.uniform(0.3, 1.5)) if chosen[1] < 0.4 else 0.0,
        noise=float(rng.uniform(0.5, 2.5)) if chosen[2] < 0.25 else 0.0,
    )


def apply_look(crop: Array, look: GeneratorLook, rng: np.random.Generator) -> Array:
    """Return a crop (h, w, 3) float32 with the generator's artefacts."""
    height, width = crop.shape[:2]
    small_size = (max(round(width / look.factor), 4), max(round(height / look.factor), 4))
    if look.up == "transposed":
        # The decoder's last layer doubles the size; plain resizing does the rest.
        doubled = transposed_upsample(_resize(crop, small_size, look.down), look.grid)
        fitting = "area" if doubled.shape[0] > height else "linear"
        result = _resize(doubled, (width, height), fitting)
    elif look.factor > 1.02:
        result = _resize(_resize(crop, small_size, look.down), (width, height), look.up)
    else:
        result = crop
    if look.smoothing > 0:
        span = 8 + 40 * look.smoothing
        soft = cv2.bilateralFilter(np.ascontiguousarray(result), 5, span, 2.0)
        result = result + look.smoothing * (soft - result)
    if look.sharpening > 0:
        result = result + look.sharpening * (result - cv2.GaussianBlur(result, (0, 0), 1.2))
    if look.noise > 0:
        result = result + rng.normal(0, look.noise, (height, width, 1)).astype(np.float32)
    return np.asarray(np.clip(result, 0, 255), np.float32)


def transposed_upsample(image: Array, kernel: Array) -> Array:
    """Return an image (h, w, C) at twice its size by a stride-2 transposed convolution (4, 4)."""
    height, width, channels = image.shape
    padded = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    result = np.empty((2 * height, 2 * width, channels), np.float32)
    for y in range(2):
        for x in range(2):
            # Output phase (y, x) sees two by two inputs through every second kernel tap.
            total = np.zeros((height, width, channels), np.float32)
            for i in range(2):
                for j in range(2):
                    tap = kernel[3 - y - 2 * i, 3 - x - 2 * j]
                    total += tap * padded[y + i : y + i + height, x + j : x + j + width]
            result[y::2, x::2] = total
    return result


def _resize(image: Array, size: tuple[int, int], kernel: str) -> Array:
    return np.asarray(cv2.resize(image, size, interpolation=KERNELS[kernel]), np.float32)


def low_rank(crops: Array, rank: int) -> Array:
    """Return crops (n, N, N, 3) rebuilt from their first `rank` principal components.

    This is a linear autoencoder: it blends different frames of a face.
    """
    flat = crops.reshape(len(crops), -1)
    mean = flat.mean(axis=0)
    centred = flat - mean
    _, vectors = np.linalg.eigh(centred @ centred.T)  # (n, n): cheaper than the pixels' covariance
    kept = vectors[:, -max(rank, 1) :]
    return np.asarray((mean + kept @ (kept.T @ centred)).reshape(crops.shape), np.float32)


def autoencode(crops: Array, rng: np.random.Generator, updates: int = 200) -> Array:
    """Return crops (n, N, N, 3) rebuilt by a small convolutional autoencoder trained on them.

    N is a multiple of 8. The network learns the residual to the mean face, so a few hundred
    updates suffice. The decoder's upsampling, and with it the artefacts, is drawn at random.
    """
    import torch

    upsampling = str(rng.choice(["transposed", "uneven", "nearest", "shuffle"]))
    seed = int(rng.integers(2**31))
    mean = crops.mean(axis=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _autoencoder(upsampling).to(memory_format=torch.channels_last)
        data = torch.from_numpy((crops - mean) / 64).permute(0, 3, 1, 2)  # (n, 3, N, N)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=updates)
        for batch in torch.randint(len(data), (updates, 4)):
            optimiser.zero_grad()
            loss = (network(data[batch]) - data[batch]).abs().mean()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.inference_mode():
            rebuilt = torch.cat([network(part) for part in torch.split(data, 32)])
    pixels: Array = rebuilt.permute(0, 2, 3, 1).numpy() * 64 + mean
    return np.clip(pixels, 0, 255).astype(np.float32)


def _autoencoder(upsampling: str):  # type: ignore[no-untyped-def]
    from torch import nn

    def up(channels: int, out: int) -> nn.Module:
        if upsampling == "transposed":
            return nn.ConvTranspose2d(channels, out, 4, 2, 1)
        if upsampling == "uneven":  # kernel 3 at stride 2: the classic checkerboard
            return nn.ConvTranspose2d(channels, out, 3, 2, 1, output_padding=1)
        if upsampling == "shuffle":
            return nn.Sequential(nn.Conv2d(channels, 4 * out, 3, 1, 1), nn.PixelShuffle(2))
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, out, 3, 1, 1))

    def down(channels: int, out: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, out, 4, 2, 1), nn.LeakyReLU(0.1))

    act = nn.LeakyReLU(0.1)
    return nn.Sequential(
        down(3, 16), down(16, 32), down(32, 24), up(24, 32), act, up(32, 16), act, up(16, 3)
    )
