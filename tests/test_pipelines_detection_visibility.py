"""Pictures that were spoilt, judged by the shipped weights: nothing new is called fake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.media import Clip
from pipelines.detection.opinions import ABSENT, OPINIONS
from pipelines.detection.session import DetectorSession, load
from pipelines.detection.timelines import Timeline
from pipelines.detection.visibility import VisibilityConfig, without_motion

GENUINE = ("05327701b3c1", "219571d9f992", "93e70629a6c4", "c7e0fe8fb0b6", "fe6ae68e4e70",
           "f97eb47d0f13")  # fmt: skip


@pytest.fixture(scope="module")
def session() -> DetectorSession:
    return load()


def darkened(chunks: Iterable[Clip]) -> Iterator[Clip]:
    for clip in chunks:
        assert clip.frames is not None
        yield replace(clip, frames=(clip.frames // 4).astype(np.uint8))


def frozen(chunks: Iterable[Clip]) -> Iterator[Clip]:
    first = None
    for clip in chunks:
        assert clip.frames is not None
        first = clip.frames[:1].copy() if first is None else first
        yield replace(clip, frames=np.repeat(first, len(clip.frames), axis=0))


def test_where_a_face_stands_still_motion_and_localizers_that_read_it_say_nothing() -> None:
    steps = 50
    rows = [OPINIONS[name] for name in ("appearance", "flow", "localizer of picture")]
    change = torch.cat([torch.zeros(25), torch.full((25,), 5.0)])
    face = Timeline(
        1, False, 0, frozenset({"flow"}), 100.0, 0.0, torch.ones(steps, 3),
        torch.zeros(steps, 5, 3), torch.zeros(steps, 5, 3, 2), None, change=change,
    )  # fmt: skip
    said = without_motion(face, rows, VisibilityConfig()).opinions
    assert said[5].tolist() == [1.0, 0.0, ABSENT]
    assert said[45].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.data
@pytest.mark.parametrize("name", GENUINE)
def test_darkening_a_genuine_clip_does_not_make_it_fake(
    name: str, session: DetectorSession, data_dir: Path
) -> None:
    path = data_dir / "video" / "real" / f"{name}.mp4"
    plain, dark = session.detect(path), session.detect(path, change=darkened)
    assert dark.verdict != "fake" or plain.verdict == "fake"
    assert any("too dark" in warning for warning in dark.warnings)


@pytest.mark.data
@pytest.mark.parametrize("name", GENUINE[:3])
def test_a_photograph_with_a_genuine_voice_is_not_called_fake(
    name: str, session: DetectorSession, data_dir: Path
) -> None:
    path = data_dir / "video" / "real" / f"{name}.mp4"
    still = session.detect(path, change=frozen)
    assert still.sync_score is None
    assert any("does not move at all" in warning for warning in still.warnings)
    assert still.verdict != "fake"
