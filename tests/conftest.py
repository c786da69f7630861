"""Fixtures for all tests: seeds, one thread, drawn clips, and the markers' skip rules."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

# The same examples in every run, whatever the machine's speed.
hypothesis.settings.register_profile("avdetect", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("avdetect")

DATA = Path(
    os.environ.get("AVDETECT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def pytest_configure() -> None:
    # Small networks on few cores: more threads only get into each other's way.
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and not DATA.is_dir():
        pytest.skip(f"no development clips at {DATA}; AVDETECT_DATA names their folder")
    if item.get_closest_marker("world"):
        from pipelines.forge.sound.world import world_available

        if not world_available():
            if os.environ.get("AVDETECT_NEED_WORLD") == "1":
                pytest.fail("AVDETECT_NEED_WORLD=1, but there is no pyworld")
            pytest.skip("no pyworld (the extra `train`)")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            if os.environ.get("AVDETECT_NEED_GPU") == "1":
                pytest.fail("AVDETECT_NEED_GPU=1, but there is no CUDA device")
            pytest.skip("no CUDA device")


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test draws the same numbers, in whatever order the tests run."""
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  for libraries that still draw from it
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the development clips; only for tests marked `data`."""
    return DATA


@pytest.fixture(scope="session")
def face_frames() -> np.ndarray[Any, Any]:
    """(50, 240, 320, 3) uint8: two seconds of a drawn face that talks; not to be written to."""
    from avdetect.example import example_frames

    frames = example_frames(2.0, size=(240, 320))
    frames.flags.writeable = False
    return frames


@pytest.fixture(scope="session")
def face_waveform() -> np.ndarray[Any, Any]:
    """(32000,) float32: the sound that goes with `face_frames`; not to be written to."""
    from avdetect.example import example_waveform

    waveform = example_waveform(2.0)
    waveform.flags.writeable = False
    return waveform


@pytest.fixture(scope="session")
def face_clip(
    face_frames: np.ndarray[Any, Any],
    face_waveform: np.ndarray[Any, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A file of two seconds in which a drawn face talks."""
    from extractors.media import write_clip

    path = tmp_path_factory.mktemp("clips") / "face.mp4"
    write_clip(path, face_frames, face_waveform)
    return path


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a small clip whose frames and samples all differ.

    `make_clip(name, seconds, picture=True, sound=True, fps=25.0, size=(48, 64))` returns its path.
    Frame i is a grey of its own and a bar that moves; the sound is a rising chirp.
    """
    from extractors.media import SAMPLE_RATE, write_clip

    def write(
        name: str = "clip.mp4",
        seconds: float = 1.0,
        picture: bool = True,
        sound: bool = True,
        fps: float = 25.0,
        size: tuple[int, int] = (48, 64),
    ) -> Path:
        frames = waveform = None
        if picture:
            count = round(seconds * fps)
            frames = np.empty((count, *size, 3), np.uint8)
            frames[:] = np.linspace(40, 200, count).astype(np.uint8)[:, None, None, None]
            for index, frame in enumerate(frames):
                frame[:, index % size[1]] = 255
        if sound:
            times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
            waveform = (0.5 * np.sin(2 * np.pi * (200 + 100 * times) * times)).astype(np.float32)
        path = tmp_path / name
        write_clip(path, frames, waveform, fps=fps)
        return path

    return write
