"""The benchmark of a scan: the plain loop does the same work, and the table compares."""

from __future__ import annotations

import types
from io import StringIO
from typing import Any

from rich.console import Console

from avdetect.scan_benchmark import PLAIN, scan_table
from extractors.media import MediaError
from pipelines.pieces import PieceStore
from pipelines.scan import judged_rows
from pipelines.scan_worker import LoopPool
from pipelines.sources import Video


class FakeJudge:
    def __init__(self) -> None:
        self.model: dict[str, str] = {}

    def detect(self, path: Any, on_step: Any = None) -> Any:
        if "broken" in path.name:
            raise MediaError(f"{path} is empty")
        result = {"status": "ok", "verdict": "real"}
        return types.SimpleNamespace(to_dict=lambda: result)


def test_the_plain_loop_judges_one_video_after_the_other(tmp_path):
    names = [str(tmp_path / name) for name in ("a", "broken", "c")]
    (tmp_path / "corpus").touch()
    pool: Any = LoopPool(FakeJudge())
    videos = iter(map(Video, names))
    rows = list(judged_rows(str(tmp_path), videos, pool, PieceStore(tmp_path)))
    assert [(row["path"], row["status"]) for row in rows] == [
        (names[0], "ok"), (names[1], "error"), (names[2], "ok"),
    ]  # fmt: skip


def test_the_table_compares_with_the_plain_loop():
    console = Console(file=StringIO(), width=80)
    taken = {PLAIN: 10.0, "Ray, workers: 2": 5.0, "start of Ray and first clip": 9.0}
    console.print(scan_table(taken, clips=5))
    lines = console.file.getvalue().split("\n")  # type: ignore[attr-defined]
    assert lines[1].split() == ["plain", "loop", "10.0", "2.00", "1.00"]
    assert lines[2].split() == ["Ray,", "workers:", "2", "5.0", "1.00", "2.00"]
    assert lines[3].split() == ["start", "of", "Ray", "and", "first", "clip", "9.0"]
