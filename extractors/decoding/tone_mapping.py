"""Tone mapping: pictures of high dynamic range converted to the standard range.

The signal is turned into light (PQ: SMPTE ST 2084; HLG: ARIB STD-B67 and the display of Rec. ITU-R
BT.2100 at 1,000 cd/m2), its colours from BT.2020 to BT.709; light above a knee is compressed by the
curve of Report ITU-R BT.2390, so that all up to half of the reference white stays as it is; and
coded again with BT.1886. Reference white is 203 cd/m2 (Report ITU-R BT.2408).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Light = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

WHITE = 203.0  # cd/m2 of what becomes the brightest
PEAK = 1000.0  # cd/m2 of what masters show; brighter light is clipped
# Report ITU-R BT.2407: linear light of BT.2020 -> of BT.709
TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])
BITS = 7  # per channel: a table of 2 million colours


def standard_range(pixels: Pixels, transfer: str) -> Pixels:
    """Return a picture (H, W, 3) in the standard range, by a table of all colours.

    Args:
        pixels: (H, W, 3) R'G'B' of BT.2020, full range.
        transfer: "PQ" or "HLG".
    """
    red, green, blue = (pixels[..., channel] >> 8 - BITS for channel in range(3))
    place = red.astype(np.int32) << 2 * BITS | green.astype(np.int32) << BITS | blue
    mapped = np.take(_table(transfer), place)  # (H, W), four bytes each
    return mapped.view(np.uint8).reshape(*place.shape, 4)[..., :3]


@cache
def _table(transfer: str) -> npt.NDArray[np.uint32]:
    """Return the lookup table of all colours of `BITS` bits a channel: bytes R, G, B, unused."""
    codes = ((np.arange(2**BITS) + 0.5) * 256 / 2**BITS - 0.5) / 255
    plane = np.stack(np.meshgrid(codes, codes, indexing="ij"), -1).reshape(-1, 2)
    table = np.zeros((len(codes), len(plane), 4), np.uint8)
    for red, entry in zip(codes, table, strict=True):
        entry[:, :3] = tone_mapped(np.insert(plane, 0, red, axis=1), transfer)
    return table.reshape(-1, 4).view(np.uint32)[:, 0]


def tone_mapped(signal: Light, transfer: str) -> Pixels:
    """Return colours (N, 3) from 0 to 255 in the standard range, of PQ or HLG from 0 to 1."""
    if transfer == "PQ":
        light = pq_light(signal)
    else:  # a display of PEAK applies its system gamma of 1.2 to luminance
        scene = hlg_light(signal)
        light = PEAK * scene * (scene @ BT2020_LUMA)[:, None] ** 0.2
    light = (light @ TO_BT709.T).clip(1e-3, PEAK)
    brightest = light.max(axis=1)  # scaled as a whole, a colour keeps its hue
    light *= (compressed(brightest) / brightest)[:, None]
    return (255 * (light / WHITE).clip(0, 1) ** (1 / 2.4)).round().astype(np.uint8)


def pq_light(signal: Light) -> Light:
    """Return the light in cd/m2 of PQ signals from 0 to 1."""
    power = signal ** (1 / 78.84375)
    ratio = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    return 10_000 * ratio ** (1 / 0.1593017578125)


def pq_signal(light: Light) -> Light:
    """Return the PQ signal from 0 to 1 of light in cd/m2."""
    power = (light / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg_light(signal: Light) -> Light:
    """Return the light of the scene, from 0 to 1, of HLG signals from 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def compressed(light: Light) -> Light:
    """Return light in cd/m2 up to PEAK, brought below WHITE: the EETF of Report ITU-R BT.2390."""
    peak = float(pq_signal(np.array(PEAK)))
    signal, most = pq_signal(light) / peak, float(pq_signal(np.array(WHITE))) / peak
    knee = 1.5 * most - 0.5
    t = (signal.clip(knee, 1) - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_light(np.where(signal < knee, signal, spline) * peak)
