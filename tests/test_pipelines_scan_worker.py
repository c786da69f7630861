"""A worker: one job, one file at a time, whose failures are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extractors.media import MediaError
from pipelines.scan.tasks import Task
from pipelines.scan.worker import LoopPool, Worker

MODEL = {"name": "stub"}


class Reader:
    """The job of reading what is in a file."""

    model = MODEL

    def run(self, path: Path, on_step: Any) -> dict[str, Any]:
        on_step(1, 2)
        on_step(2, 2)
        if not path.stat().st_size:
            raise MediaError(f"{path} is empty")
        return {"status": "ok", "verdict": path.read_text()}


def test_a_result_has_its_path_and_time_and_steps_are_signs_of_life(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("real")
    worker = Worker(Reader, MODEL)
    result = worker.run(str(tmp_path / "a"))
    assert (result["status"], result["verdict"]) == ("ok", "real")
    assert result["path"] == str(tmp_path / "a")
    assert result["seconds"] >= 0
    assert worker.signs() == 2


def test_a_file_that_cannot_be_read_is_a_result_too(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    result = Worker(Reader, MODEL).run(str(tmp_path / "b"))
    assert result["error"] == {"type": "MediaError", "message": f"{tmp_path / 'b'} is empty"}


def test_other_weights_than_the_results_belong_to_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the model"):
        Worker(Reader, {"name": "another"})


def test_a_job_without_shards_does_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("real")
    with pytest.raises(TypeError, match="Reader does no shards"):
        Worker(Reader, MODEL).run(str(tmp_path / "a"), range(5))


def test_a_job_that_fails_in_this_process_is_lost_and_the_next_one_is_done(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff")  # no text: not a MediaError
    (tmp_path / "b").write_text("real")
    pool = LoopPool(Reader())
    outcomes = []
    for name in ("a", "b"):
        pool.submit(Task(str(tmp_path / name)))
        outcomes += pool.wait(1.0)
    assert outcomes[0].result is None
    assert "stopped its worker (UnicodeDecodeError" in str(outcomes[0].lost)
    assert outcomes[1].result is not None
    assert outcomes[1].result["verdict"] == "real"
