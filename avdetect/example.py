"""A synthetic example clip: a drawn face that says vowels.

The face is a shaded height field, similar enough to a real one for face trackers to follow it, and
its mouth opens with the loudness of the sound. No recording of anyone is involved.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]
    Frames: TypeAlias = npt.NDArray[np.uint8]

SAMPLE_RATE = 16_000
PITCH = 120.0  # hertz
SYLLABLE = 0.4  # seconds from one vowel's beginning to the next one's
VOWELS = ((800, 1200, 2500), (350, 2100, 2800), (450, 800, 2600), (550, 1800, 2500))  # formants, Hz

SKIN = (214, 164, 136)
HAIR = (58, 42, 34)
LIP = (172, 82, 80)
BROW = (66, 48, 40)
IRIS = (70, 88, 92)
WHITE = (236, 230, 224)
DARK = (52, 20, 22)
TEETH = (226, 216, 202)
SHIRT = (60, 84, 120)
LIGHT = (-0.35, -0.45, 0.82)  # towards the light: from above, left of the camera


def example_clip(path: Path, seconds: float = 6.0) -> None:
    """Write the example to `path`: 25 frames a second, 16 kHz sound, lips and sound in step."""
    from extractors.media import write_clip

    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, example_frames(seconds), example_waveform(seconds), fps=25.0)


def loudness(times: Floats) -> Floats:
    """Return the voice's loudness, 0 to 1, at `times` in seconds; each third syllable is silent."""
    phase = times / SYLLABLE % 1.0
    voiced = (times // SYLLABLE % 3 != 2) & (times > 0)
    return np.where(voiced, np.sin(np.pi * phase) ** 2, 0.0).astype(np.float32)


def example_waveform(seconds: float = 6.0) -> Floats:
    """Return a waveform (S,) at 16 kHz: harmonics of a pitch, shaped by one vowel per syllable."""
    times = np.arange(round(seconds * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    vowel = np.array(VOWELS, dtype=np.float32)[(times // SYLLABLE).astype(int) % len(VOWELS)]
    wave = np.zeros_like(times)
    phase = 2 * np.pi * np.cumsum(PITCH * (1 + 0.04 * np.sin(1.9 * times))) / SAMPLE_RATE
    for harmonic in range(1, 30):
        away = (harmonic * PITCH - vowel) / (60 + 0.06 * vowel)  # (S, 3) bandwidths from a formant
        gain = (1 / (1 + away**2)) @ np.array([1.0, 0.6, 0.3], dtype=np.float32)
        wave += gain * np.sin(harmonic * phase)
    wave *= loudness(times)
    return (0.6 * wave / max(float(np.abs(wave).max()), 1e-6)).astype(np.float32)


def example_frames(
    seconds: float = 6.0,
    fps: float = 25.0,
    size: tuple[int, int] = (360, 480),
    centre: tuple[float, float] = (0.5, 0.47),
    scale: float = 0.3,
    lag: float = 0.0,
) -> Frames:
    """Return (T, H, W, 3) uint8 RGB frames of the talking face.

    Args:
        seconds: T is `round(seconds * fps)`.
        fps: frames a second.
        size: height and width, in pixels.
        centre: where the face rests, in shares of the width and the height.
        scale: half the face's width, in shares of the height.
        lag: seconds by which the lips come after the sound.
    """
    times = (np.arange(round(seconds * fps), dtype=np.float32) + 0.5) / fps
    return np.stack(
        [
            draw_face(size, centre, scale, float(time), float(opening))
            for time, opening in zip(times, loudness(times - lag), strict=True)
        ]
    )


def draw_face(
    size: tuple[int, int], centre: tuple[float, float], scale: float, time: float, opening: float
) -> Frames:
    """Return one (H, W, 3) frame: head swaying with `time`, mouth open by `opening` (0 to 1)."""
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x = (columns / width - centre[0]) * width / (height * scale) - 0.08 * np.sin(1.1 * time)
    y = (rows / height - centre[1]) / scale - 0.05 * np.sin(1.7 * time)
    roll = 0.06 * np.sin(0.9 * time)
    x, y = x * np.cos(roll) + y * np.sin(roll), y * np.cos(roll) - x * np.sin(roll)
    turn = 0.10 * np.sin(0.7 * time)  # parallax of a slight turn of the head: nearer moves further
    pixel = 1 / (height * scale)
    depth = head_height(x, y, opening)
    inner = x - turn * np.clip(depth, 0, None)

    # From the back to the front; every layer has a soft edge one pixel wide.
    image = np.empty((height, width, 3), dtype=np.float32)
    image[:] = np.array([150, 158, 150]) - 18 * y[..., None]
    _paint(image, HAIR, _ellipse(x, y + 0.30, 0.97, 1.17, pixel))
    _paint(image, _shade(SKIN, 0.72), _box(x, y - 1.1, 0.42, 0.5, pixel))
    _paint(image, SHIRT, _ellipse(x, y - 2.25, 1.55, 0.85, pixel))
    _paint(image, _shade(SKIN, 0.8), _ellipse(np.abs(x) - 0.83, y - 0.02, 0.1, 0.22, pixel))

    face = np.empty_like(image)
    face[:] = SKIN
    _paint_features(face, inner, y, time, opening, pixel)
    slope_y, slope_x = np.gradient(depth, pixel)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(depth)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = 0.45 + 0.62 * np.clip(normal @ np.array(LIGHT, dtype=np.float32), 0, None)
    image += (face * light[..., None] - image) * _outline(x, y, opening, pixel)[..., None]
    _paint(image, HAIR, _hairline(x, y, pixel))
    return np.clip(image, 0, 255).astype(np.uint8)


def head_height(x: Floats, y: Floats, opening: float) -> Floats:
    """Return the height field of the face towards the camera, in half face widths."""
    radius = (x / 0.86) ** 2 + ((y + 0.05) / 1.2) ** 2
    height = 0.95 * np.sqrt(np.clip(1 - radius, 0.02, None))
    side = np.abs(x)
    ridge = np.clip((y + 0.25) / 0.5, 0, 1) * (y < 0.27)
    bumps = (
        (0.24, 0, 0.22, 0.085, 0.085),  # nose tip
        (0.09, 0.11, 0.25, 0.06, 0.06),  # nostrils
        (-0.13, 0.34, -0.17, 0.20, 0.11),  # eye sockets
        (0.07, 0.34, -0.17, 0.11, 0.08),  # eyeballs
        (0.06, 0.30, -0.42, 0.24, 0.07),  # brow
        (0.06, 0.45, 0.15, 0.18, 0.16),  # cheeks
        (0.07, 0, 0.52 - 0.02 * opening, 0.20, 0.05),  # upper lip
        (0.07, 0, 0.64 + 0.14 * opening, 0.17, 0.05),  # lower lip
        (-0.06, 0, 0.77 + 0.14 * opening, 0.2, 0.06),  # below it
        (0.09, 0, 0.95 + 0.14 * opening, 0.17, 0.12),  # chin
    )
    for lift, at, down, wide, high in bumps:
        height = height + lift * np.exp(-(((side - at) / wide) ** 2) - ((y - down) / high) ** 2)
    return height + 0.16 * ridge * np.exp(-((x / 0.085) ** 2))


def _paint_features(
    face: Floats, x: Floats, y: Floats, time: float, opening: float, pixel: float
) -> None:
    """Paint eyes, brows, nostrils and mouth over the skin, in place."""
    side = np.abs(x)
    lid = 1.0 if time % 2.7 > 0.15 else 0.15  # a blink now and then
    eye = _almond(side - 0.34, y + 0.17, 0.165, 0.075 * lid, pixel)
    _paint(face, _shade(SKIN, 0.62), _almond(side - 0.34, y + 0.18, 0.20, 0.115, pixel) * 0.6)
    _paint(face, WHITE, eye)
    gaze = 0.02 * np.sin(0.8 * time)
    iris_x = x - np.sign(x) * 0.34 - gaze
    _paint(face, IRIS, eye * _ellipse(iris_x, y + 0.175, 0.072, 0.072, pixel))
    _paint(face, (16, 12, 12), eye * _ellipse(iris_x, y + 0.175, 0.034, 0.034, pixel))
    _paint(face, (250, 250, 250), eye * _ellipse(iris_x + 0.025, y + 0.2, 0.014, 0.014, pixel))
    lash = _almond(side - 0.34, y + 0.19, 0.18, 0.085 * lid, pixel) * (1 - eye) * (y < -0.17)
    _paint(face, BROW, lash * 0.9)
    arch = y + 0.41 - 0.9 * (side - 0.38) ** 2
    _paint(face, BROW, _almond(side - 0.36, arch, 0.22, 0.045, pixel) * 0.85)
    _paint(face, _shade(SKIN, 0.4), _ellipse(side - 0.085, y - 0.30, 0.045, 0.022, pixel) * 0.9)
    _paint(face, _shade(SKIN, 0.72), _ellipse(side - 0.15, y - 0.24, 0.02, 0.06, pixel) * 0.5)

    drop = 0.16 * opening  # the lower lip moves down, the upper one hardly up
    half = 0.27 - 0.03 * opening
    lips = _almond(x, y - 0.58 - drop / 2, half, 0.10 + drop / 2, pixel)
    bow = 1 - 0.35 * np.exp(-((x / 0.05) ** 2)) * (y < 0.53)
    _paint(face, LIP, lips * bow)
    gap = _almond(x, y - 0.58 - drop / 2, half * 0.88, 0.008 + drop / 2 + 0.02 * opening, pixel)
    _paint(face, DARK, gap)
    _paint(face, TEETH, gap * (y < 0.56 + 0.02 * opening) * min(1.0, 3 * opening) * 0.9)


def _outline(x: Floats, y: Floats, opening: float, pixel: float) -> Floats:
    """Return the face's mask: an egg, whose chin sinks as the mouth opens."""
    chin = 1.08 + 0.10 * opening
    below = np.where(y > 0, y / chin, y / 1.2)
    width = 0.80 * (1 - 0.16 * np.clip(y, 0, None))
    return _soft((1 - np.sqrt((x / width) ** 2 + below**2)) * 0.8, pixel)


def _hairline(x: Floats, y: Floats, pixel: float) -> Floats:
    """Return the mask of the hair that falls over the forehead and the temples."""
    cap = _ellipse(x, y + 0.30, 0.95, 1.15, pixel)
    open_face = _ellipse(x, y - 0.25, 0.80, 1.08, pixel)
    return cap * (1 - open_face) * _soft(0.15 - y, pixel)


def _soft(distance: Floats, pixel: float) -> Floats:
    """Return 0 outside (distance < 0) to 1 inside, over the width of a pixel."""
    return np.clip(distance / pixel + 0.5, 0, 1)


def _ellipse(x: Floats, y: Floats, wide: float, high: float, pixel: float) -> Floats:
    return _soft((1 - np.sqrt((x / wide) ** 2 + (y / high) ** 2)) * min(wide, high), pixel)


def _almond(x: Floats, y: Floats, wide: float, high: float, pixel: float) -> Floats:
    """Return the mask of a shape between two arcs that meet in two corners."""
    return _soft(high * (1 - (x / wide) ** 2) - np.abs(y), pixel)


def _box(x: Floats, y: Floats, wide: float, high: float, pixel: float) -> Floats:
    return _soft(np.minimum(wide - np.abs(x), high - np.abs(y)), pixel)


def _paint(image: Floats, colour: tuple[float, ...], mask: Floats) -> None:
    """Blend the colour into the image by the mask, in place."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows):
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image[box] += (np.array(colour, dtype=np.float32) - image[box]) * mask[box][..., None]


def _shade(colour: tuple[int, ...], by: float) -> tuple[float, ...]:
    return tuple(by * value for value in colour)


if __name__ == "__main__":
    example_clip(Path(sys.argv[1]))
