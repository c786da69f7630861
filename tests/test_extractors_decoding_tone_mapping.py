"""High dynamic range: the curves of the standards, and files that are flagged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_media import DrawnPicture, numbers, write_tracks

from extractors.decoding.tone_mapping import (
    WHITE,
    compressed,
    hlg_light,
    pq_light,
    pq_signal,
    standard_range,
    tone_mapped,
)
from extractors.media import MediaConfig, open_media


def grey(*signals: float) -> np.ndarray:
    return np.repeat(np.array(signals)[:, None], 3, axis=1)


def test_the_transfer_functions_are_those_of_the_standards() -> None:
    # Report ITU-R BT.2408, table 1: 18 % grey, reference white and the peak in PQ and HLG
    assert pq_signal(np.array([26.0, 203.0, 10_000.0])) == pytest.approx(
        [0.38, 0.58, 1.0], abs=5e-3
    )
    assert pq_light(np.array([0.0, 0.5081, 0.7518])) == pytest.approx([0, 100, 1000], rel=1e-3)
    assert hlg_light(np.array([0.0, 0.5, 1.0])) == pytest.approx([0, 1 / 12, 1.0], abs=1e-6)


def test_light_below_the_knee_stays_and_the_peak_becomes_white() -> None:
    light = np.array([1.0, 20.0, 80.0])
    assert compressed(light) == pytest.approx(light, rel=1e-6)
    assert compressed(np.array([1000.0])) == pytest.approx([WHITE], rel=1e-6)
    rising = compressed(np.linspace(1, 1000, 500))
    assert np.all(np.diff(rising) > 0)


@pytest.mark.parametrize("part", [0.05, 0.18, 0.4])
def test_a_grey_is_as_bright_as_in_the_standard_range(part: float) -> None:
    signal = float(pq_signal(np.array(part * WHITE)))
    expected = 255 * part ** (1 / 2.4)
    assert tone_mapped(grey(signal), "PQ")[0] == pytest.approx([expected] * 3, abs=1)
    # BT.2100: the display's light is 1,000 cd/m2 times the scene's to the power of 1.2
    scene = (part * WHITE / 1000) ** (1 / 1.2)
    codes = np.linspace(0, 1, 10_001)
    signal = float(codes[np.abs(hlg_light(codes) - scene).argmin()])
    assert tone_mapped(grey(signal), "HLG")[0] == pytest.approx([expected] * 3, abs=1)


@pytest.mark.parametrize("transfer", ["PQ", "HLG"])
def test_a_picture_is_mapped_as_its_colours_are(transfer: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exact = tone_mapped(pixels.reshape(-1, 3) / 255, transfer).reshape(pixels.shape)
    off = np.abs(standard_range(pixels, transfer).astype(int) - exact)
    assert off.mean() < 2
    assert standard_range(pixels, transfer).dtype == np.uint8


@pytest.mark.parametrize("reader", ["decord", "pyav"])
@pytest.mark.parametrize(("code", "transfer"), [(16, "PQ"), (18, "HLG")])
def test_a_flagged_file_is_mapped_and_said(
    tmp_path: Path, code: int, transfer: str, reader: str
) -> None:
    plain = DrawnPicture(range(10), pixels="yuv420p10le", options={"crf": "1"})
    flagged = DrawnPicture(range(10), pixels="yuv420p10le", transfer=code, options={"crf": "1"})
    frames, warnings = [], []
    for name, picture in (("plain.mp4", plain), ("flagged.mp4", flagged)):
        with open_media(
            write_tracks(tmp_path / name, picture), MediaConfig(reader=reader)
        ) as media:
            [chunk] = list(media)
            assert chunk.frames is not None
            frames.append(chunk.frames)
            warnings.append(media.warnings)
    assert warnings[0] == []
    assert [f"high dynamic range ({transfer})" in line for line in warnings[1]] == [True]
    assert numbers(frames[1]) == list(range(10))
    expected = standard_range(frames[0], transfer)
    assert np.abs(frames[1].astype(int) - expected).mean() < 3
