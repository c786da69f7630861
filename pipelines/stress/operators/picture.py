"""Operators of light, colour, noise and focus on pictures, by severity.

An operator is made once per clip, from a severity of 1 to 5 and a random generator, and is then
applied to one chunk of frames (T, H, W, 3) uint8 after the other. Its parameters are drawn when it
is made and hold for the clip; noise is drawn anew for every frame. torchvision and OpenCV do the
work where they have the operator.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import functional as vision

from extractors.clip import Frames

AnyPixels = npt.NDArray[np.generic]  # of any type, to be rounded to uint8
FrameChange = Callable[[Frames], Frames]
Maker = Callable[[int, np.random.Generator], FrameChange]


def at(severity: int, *values: float) -> float:
    """Return the value for a severity of 1 to 5."""
    return values[severity - 1]


def each(change: Callable[[Frames], AnyPixels]) -> FrameChange:
    """Return a change of chunks that applies `change` to each frame (H, W, 3)."""
    return lambda frames: np.stack([_bytes(change(frame)) for frame in frames])


def _bytes(pixels: AnyPixels) -> Frames:
    if pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def _vision(change: Callable[[torch.Tensor], torch.Tensor]) -> FrameChange:
    """Return a change of chunks by a function of torchvision, on pictures (3, H, W) uint8."""

    def changed(frame: Frames) -> Frames:
        out = change(torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1))
        return np.ascontiguousarray(out.permute(1, 2, 0).numpy())

    return each(changed)


def blended(share: float, change: FrameChange) -> FrameChange:
    """Return the blend of a change with the original; `share` 1 is the change alone."""
    if share == 1:
        return change
    return each(lambda frame: (1 - share) * frame + share * change(frame[None])[0])


def _either(rng: np.random.Generator, step: float) -> float:
    """Return 1 + step or 1 - step with equal probability."""
    return 1 + step if rng.random() < 0.5 else 1 - step


def _brightness(severity: int, rng: np.random.Generator) -> FrameChange:
    factor = _either(rng, at(severity, 0.1, 0.2, 0.35, 0.5, 0.7))
    return _vision(lambda x: vision.adjust_brightness(x, factor))


def _contrast(severity: int, rng: np.random.Generator) -> FrameChange:
    factor = _either(rng, at(severity, 0.1, 0.2, 0.35, 0.5, 0.7))
    return _vision(lambda x: vision.adjust_contrast(x, factor))


def _gamma(severity: int, rng: np.random.Generator) -> FrameChange:
    power = at(severity, 1.2, 1.4, 1.7, 2.0, 2.5)
    power = power if rng.random() < 0.5 else 1 / power
    return _vision(lambda x: vision.adjust_gamma(x, power))


def _saturation(severity: int, rng: np.random.Generator) -> FrameChange:
    factor = _either(rng, at(severity, 0.2, 0.4, 0.6, 0.8, 1.0))
    return _vision(lambda x: vision.adjust_saturation(x, factor))


def _hue(severity: int, rng: np.random.Generator) -> FrameChange:
    turn = (_either(rng, at(severity, 0.02, 0.05, 0.1, 0.2, 0.5)) - 1 + 0.5) % 1 - 0.5
    return _vision(lambda x: vision.adjust_hue(x, turn))


def _rgb_shift(severity: int, rng: np.random.Generator) -> FrameChange:
    shift = at(severity, 5, 10, 20, 30, 40) * rng.choice((-1.0, 1.0), 3)
    return each(lambda frame: frame + shift)


def _channel_shuffle(severity: int, rng: np.random.Generator) -> FrameChange:
    order = [[1, 2, 0], [2, 0, 1]][int(rng.integers(2))]
    return blended(severity / 5, lambda frames: np.ascontiguousarray(frames[..., order]))


def _grey(severity: int, rng: np.random.Generator) -> FrameChange:
    return blended(severity / 5, _vision(lambda x: vision.rgb_to_grayscale(x, 3)))


def _clahe(severity: int, rng: np.random.Generator) -> FrameChange:
    limit = at(severity, 1, 2, 4, 6, 8)

    def change(frame: Frames) -> AnyPixels:
        lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
        lab[..., 0] = cv2.createCLAHE(limit, (8, 8)).apply(lab[..., 0])
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)

    return each(change)


def _equalise(severity: int, rng: np.random.Generator) -> FrameChange:
    return blended(severity / 5, _vision(vision.equalize))


def _solarise(severity: int, rng: np.random.Generator) -> FrameChange:
    return _vision(lambda x: vision.solarize(x, at(severity, 240, 220, 192, 160, 128)))


def _posterise(severity: int, rng: np.random.Generator) -> FrameChange:
    return _vision(lambda x: vision.posterize(x, 7 - severity))


def _white_balance(severity: int, rng: np.random.Generator) -> FrameChange:
    step = _either(rng, at(severity, 0.05, 0.1, 0.15, 0.2, 0.3)) - 1
    return each(lambda frame: frame * np.array([1 + step, 1.0, 1 - step]))


def _gaussian_noise(severity: int, rng: np.random.Generator) -> FrameChange:
    sigma = at(severity, 3, 6, 10, 15, 25)
    return each(lambda frame: frame + rng.normal(0, sigma, frame.shape))


def _multiplicative_noise(severity: int, rng: np.random.Generator) -> FrameChange:
    sigma = at(severity, 0.05, 0.1, 0.15, 0.2, 0.3)
    return each(lambda frame: frame * rng.normal(1, sigma, frame.shape))


def _iso_noise(severity: int, rng: np.random.Generator) -> FrameChange:
    """Add sensor noise: shot noise that grows with brightness, and colour noise."""
    gain = at(severity, 0.3, 0.6, 1.0, 1.6, 2.5)

    def change(frame: Frames) -> AnyPixels:
        light = rng.normal(0, gain, (*frame.shape[:2], 1)) * np.sqrt(frame)
        return frame + light + rng.normal(0, 3 * gain, frame.shape)

    return each(change)


def _salt_pepper(severity: int, rng: np.random.Generator) -> FrameChange:
    share = at(severity, 0.002, 0.005, 0.01, 0.03, 0.06)

    def change(frame: Frames) -> Frames:
        drawn, out = rng.random(frame.shape[:2]), frame.copy()
        out[drawn < share / 2] = 0
        out[drawn > 1 - share / 2] = 255
        return out

    return each(change)


def _gaussian_blur(severity: int, rng: np.random.Generator) -> FrameChange:
    sigma = at(severity, 0.5, 1, 1.5, 2.5, 4)
    return each(lambda frame: cv2.GaussianBlur(frame, (0, 0), sigma))


def _motion_blur(severity: int, rng: np.random.Generator) -> FrameChange:
    size, angle = int(at(severity, 3, 5, 9, 15, 21)), rng.uniform(0, np.pi)
    kernel = np.zeros((size, size), np.float32)
    for place in np.linspace(-(size // 2), size // 2, 4 * size):
        row, column = np.rint(size // 2 + place * np.array([np.sin(angle), np.cos(angle)]))
        kernel[int(row), int(column)] = 1
    return each(lambda frame: cv2.filter2D(frame, -1, kernel / kernel.sum()))


def _median_blur(severity: int, rng: np.random.Generator) -> FrameChange:
    size = int(at(severity, 3, 5, 7, 9, 11))
    return each(lambda frame: cv2.medianBlur(frame, size))


def _defocus(severity: int, rng: np.random.Generator) -> FrameChange:
    radius = int(at(severity, 1, 2, 3, 5, 7))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2).astype(np.float32)
    return each(lambda frame: cv2.filter2D(frame, -1, disk / disk.sum()))


def _box_blur(severity: int, rng: np.random.Generator) -> FrameChange:
    size = int(at(severity, 3, 5, 7, 9, 13))
    return each(lambda frame: cv2.blur(frame, (size, size)))


def _sharpen(severity: int, rng: np.random.Generator) -> FrameChange:
    factor = at(severity, 1.5, 2, 3, 5, 8)
    return _vision(lambda x: vision.adjust_sharpness(x, factor))


def _emboss(severity: int, rng: np.random.Generator) -> FrameChange:
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    share = at(severity, 0.1, 0.2, 0.3, 0.5, 0.7)
    return blended(share, each(lambda frame: cv2.filter2D(frame, -1, kernel)))


LIGHT_AND_FOCUS: dict[str, Maker] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "gamma": _gamma,
    "saturation": _saturation,
    "hue": _hue,
    "rgb_shift": _rgb_shift,
    "channel_shuffle": _channel_shuffle,
    "grey": _grey,
    "clahe": _clahe,
    "equalise": _equalise,
    "solarise": _solarise,
    "posterise": _posterise,
    "white_balance": _white_balance,
    "gaussian_noise": _gaussian_noise,
    "multiplicative_noise": _multiplicative_noise,
    "iso_noise": _iso_noise,
    "salt_pepper": _salt_pepper,
    "gaussian_blur": _gaussian_blur,
    "motion_blur": _motion_blur,
    "median_blur": _median_blur,
    "defocus": _defocus,
    "box_blur": _box_blur,
    "sharpen": _sharpen,
    "emboss": _emboss,
}
