"""How far sharpness is believed: as far as the file's bits carry it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from extractors.media import MediaInfo
from pipelines.detection.compression import believed, bits_a_pixel, faded
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import opinions_of
from pipelines.detection.timelines import Timeline

LIMITS = (0.03, 0.06)
# 640 x 360 at 25 frames a second: a bit a pixel
FILE = MediaInfo("a.mp4", 4.0, 640, 360, 25.0, "h264", None, None, 640 * 360 * 25)


def test_bits_are_counted_a_pixel_of_a_frame() -> None:
    assert bits_a_pixel(FILE) == pytest.approx(1.0)
    assert bits_a_pixel(replace(FILE, fps=50.0)) == pytest.approx(0.5)
    assert bits_a_pixel(replace(FILE, width=1280, height=720)) == pytest.approx(0.25)


def test_bits_of_a_better_codec_are_worth_more() -> None:
    assert bits_a_pixel(replace(FILE, video_codec="hevc")) == pytest.approx(1.7)


@pytest.mark.parametrize("missing", ["video_bit_rate", "fps", "width"])
def test_a_file_that_does_not_tell_is_believed(missing: str) -> None:
    bits = bits_a_pixel(replace(FILE, **{missing: None}))
    assert bits is None
    assert believed(bits, 100.0, LIMITS) == 1.0


def test_sharpness_counts_by_the_logarithm_of_the_bits_between_the_limits() -> None:
    shares = [believed(bits, 112.0, LIMITS) for bits in (0.0, 0.02, 0.03, 0.0018**0.5, 0.06, 2.0)]
    assert shares == pytest.approx([0, 0, 0, 0.5, 1, 1])


def test_a_face_twice_as_large_has_four_times_the_bits() -> None:
    assert believed(0.01, 224.0, LIMITS) == pytest.approx(believed(0.04, 112.0, LIMITS))
    assert 0 < believed(0.01, 224.0, LIMITS) < 1


def test_only_what_sharpness_says_fades() -> None:
    said = torch.ones(5, len(DetectorConfig().opinions))
    streams = frozenset({"appearance"})
    none, reach = torch.zeros(5, 5, 3), torch.zeros(5, 5, 3, 2)
    face = Timeline(0, False, 0, streams, 100.0, 0.0, said, none, reach, None)
    left = faded(face, opinions_of(DetectorConfig()), 0.25).opinions
    assert left[:, DetectorConfig().opinions.index("sharpness")].tolist() == [0.25] * 5
    assert left.sum() == 5 * (len(DetectorConfig().opinions) - 1) + 5 * 0.25
    assert face.opinions.sum() == 5 * len(DetectorConfig().opinions)  # the timeline itself stays
