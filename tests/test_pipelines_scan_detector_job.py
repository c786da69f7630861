"""The job of a scan: what is cut in shards, and by whose hands blocks become timelines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.detection.session import WeightsSpec
from pipelines.detection.shards import LongVideoError
from pipelines.scan.detector_job import DetectorJob, detector_job
from pipelines.scan.worker import ShardJob, Worker


def session(stride: int) -> Any:
    """A session that says how it was asked, of files of 100 steps."""

    def read_piece(path: Any, span: Any, on_step: Any, shard: Any = None, stage: Any = None) -> str:
        if shard is not None and shard < 100:
            raise LongVideoError([range(50), range(50, 100)])
        return f"{stage} read {path}"

    def conclude(path: Any, pieces: Any) -> Any:
        return SimpleNamespace(to_dict=lambda: {"status": "ok", "said": list(pieces)})

    return SimpleNamespace(
        model={"name": "stub"}, read_piece=read_piece, conclude=conclude,
        config=SimpleNamespace(windows=SimpleNamespace(stride=stride)),
    )  # fmt: skip


@pytest.mark.parametrize(("stride", "steps"), [(448, 448 * 30), (7, 13_503), (99_999, 99_999)])
def test_a_shard_is_a_whole_number_of_window_strides(
    monkeypatch: pytest.MonkeyPatch, stride: int, steps: int
) -> None:
    monkeypatch.setattr(WeightsSpec, "load", lambda self: session(stride))
    assert detector_job(WeightsSpec(shard=540.0)).shard == steps


def test_another_stage_may_turn_blocks_into_timelines() -> None:
    job = DetectorJob(session(448))
    job.stage = "elsewhere"  # type: ignore[assignment]
    assert job.run("a.mp4", print)["said"] == ["elsewhere read a.mp4"]


def test_a_long_file_is_answered_by_its_shards(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    job = DetectorJob(session(448), shard=50)
    assert isinstance(job, ShardJob)
    result = Worker(lambda: job, {"name": "stub"}).run(str(tmp_path / "film.mp4"))
    assert (result["status"], result["spans"]) == ("long", [range(50), range(50, 100)])
