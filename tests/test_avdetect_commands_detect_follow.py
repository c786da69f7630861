"""`detect --follow` prints what is known so far, and at last the result."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from avdetect.cli import main
from avdetect.commands import detect_follow
from extractors.media import MediaError


def test_every_verdict_is_a_line_of_json_and_a_broken_file_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def growing(source: str, patience: float) -> Iterator[Any]:
        yield Path("/scratch/copy"), lambda: True

    def follow(session: Any, file: Path, finished: Any) -> Iterator[Any]:
        for score in (0.4, 0.9):
            yield types.SimpleNamespace(to_dict=lambda s=score: {"path": "copy", "score": s})
        raise MediaError(f"{file} is empty (0 bytes)")

    monkeypatch.setattr(detect_follow, "load_session", lambda options: None)
    monkeypatch.setattr(detect_follow, "growing_file", growing)
    monkeypatch.setattr(detect_follow, "follow", follow)
    assert main(["detect", "--follow", "--json", "-", "a.mkv", "b.mkv"]) == 1
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [(row["path"], row.get("score")) for row in rows] == [
        ("a.mkv", 0.4), ("a.mkv", 0.9), ("a.mkv", None),
        ("b.mkv", 0.4), ("b.mkv", 0.9), ("b.mkv", None),
    ]  # fmt: skip
    assert rows[2]["error"]["message"] == "a.mkv is empty (0 bytes)"
    assert "b.mkv is empty (0 bytes)" in printed.err


def test_a_report_cannot_be_followed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["detect", "--follow", "--report", str(tmp_path), "a.mkv"]) == 2
    assert "--follow" in capsys.readouterr().err
