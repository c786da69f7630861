"""Growing files: when they are complete, and standard input as it comes."""

from __future__ import annotations

import io
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.storage.growing import Unchanged, growing_file
from pipelines.storage.local_copy import ScratchError


def test_a_file_is_complete_when_it_has_not_grown_for_a_while(tmp_path: Path) -> None:
    file, now = tmp_path / "a.mkv", 0.0
    finished = Unchanged(file, 10.0, lambda: now)
    for now, content, expected in (  # noqa: B007  the clock reads it
        (9.0, None, False), (9.5, b"x", False), (19.0, b"xy", False), (28.9, b"xy", False),
        (29.0, b"xy", True),
    ):  # fmt: skip
        if content is not None:
            file.write_bytes(content)
        assert finished() is expected


def test_a_file_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    now = 0.0
    finished = Unchanged(tmp_path / "none.mkv", 10.0, lambda: now)
    assert not finished()
    now = 10.0
    assert finished()


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_standard_input_can_be_read_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=source))
        with growing_file("-", 10.0) as (file, finished):
            os.write(writing, b"first ")
            wait_until(lambda: file.read_bytes() == b"first ")
            assert not finished()
            os.write(writing, b"second")
            os.close(writing)
            wait_until(lambda: file.read_bytes() == b"first second")
            wait_until(finished)
        assert not file.exists()


def test_a_copy_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=Broken()))
    with (
        growing_file("-", 10.0) as (_, finished),
        pytest.raises(ScratchError, match="No space left"),
    ):
        wait_until(finished)
