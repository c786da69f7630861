"""Frames in lent memory: seen as they were written, theirs as long as anybody looks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from extractors.decoding.frame_memory import FrameMemory

SHAPE = (4, 3, 5, 3)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def filled(memory: FrameMemory, value: int, count: int = 4) -> np.ndarray:
    descriptor = memory.lend()
    os.pwrite(descriptor, bytes([value]) * int(np.prod(SHAPE)), 0)
    return memory.frames(descriptor, count)


def test_frames_are_what_was_written() -> None:
    memory = FrameMemory(SHAPE)
    descriptor = memory.lend()
    pixels = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint8)
    os.pwrite(descriptor, pixels.tobytes(), 0)
    assert np.array_equal(memory.frames(descriptor, 3), pixels[:3])


def test_memory_is_used_again_only_when_no_frame_of_it_is_seen() -> None:
    memory = FrameMemory(SHAPE)
    first = filled(memory, 1)
    last_frame = first[3]
    del first
    second = filled(memory, 2)
    assert (last_frame == 1).all()  # one frame keeps its chunk
    assert (second == 2).all()
    del last_frame
    third = filled(memory, 3)  # in the memory of the first
    assert (second == 2).all()
    assert (third == 3).all()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_many_chunks_one_after_the_other_need_the_memory_of_one() -> None:
    before = open_descriptors()
    memory = FrameMemory(SHAPE)
    for value in range(50):
        assert (filled(memory, value) == value).all()
    assert open_descriptors() == before + 1
    memory.close()
    assert open_descriptors() == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_frames_outlive_the_memory_they_came_from() -> None:
    before = open_descriptors()
    memory = FrameMemory(SHAPE)
    frames = filled(memory, 7)
    memory.close()
    assert (frames == 7).all()
    del frames
    assert open_descriptors() == before
