"""The order of a scan's tasks, and what becomes of videos that are judged in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.results.result_set import ResultError
from pipelines.scan.agenda import Agenda, Finished, Outcome
from pipelines.scan.tasks import PieceStore, Task
from pipelines.storage.sources import Video

SPANS = [range(10), range(10, 20), range(20, 25)]


@pytest.fixture
def store(tmp_path: Path) -> PieceStore:
    return PieceStore(tmp_path / "pieces")


def agenda_of(store: PieceStore, *names: str) -> Agenda:
    return Agenda((Video(name) for name in names), store)


def long(agenda: Agenda, task: Task) -> None:
    said = {"path": task.path, "status": "long", "spans": SPANS, "seconds": 0.5}
    assert agenda.settle(Outcome(task, said)) is None


def piece(agenda: Agenda, task: Task) -> Finished | None:
    assert task.span is not None
    said = {"path": task.path, "status": "piece", "piece": b"%d" % task.span.start, "seconds": 2.0}
    return agenda.settle(Outcome(task, said))


def taken(agenda: Agenda, count: int) -> list[Task]:
    tasks = [agenda.next() for _ in range(count)]
    assert None not in tasks
    return [task for task in tasks if task is not None]


def test_shards_come_before_the_next_video_and_are_joined_when_all_are_there(store):
    agenda = agenda_of(store, "film", "b", "c")
    film, b = taken(agenda, 2)
    long(agenda, film)
    shards = taken(agenda, 3)
    assert [(t.path, t.span) for t in shards] == [("film", span) for span in SPANS]
    assert piece(agenda, shards[2]) is None
    assert piece(agenda, shards[0]) is None
    (c,) = taken(agenda, 1)  # nothing of the film is to be had at the moment
    assert (b, c) == (Task("b"), Task("c"))
    assert agenda.next() is None
    assert piece(agenda, shards[1]) is None
    (join,) = taken(agenda, 1)
    assert (join.path, join.contents()) == ("film", [b"0", b"10", b"20"])
    ok: dict[str, Any] = {"path": "film", "status": "ok", "seconds": 0.25}
    finished = agenda.settle(Outcome(join, ok))
    assert finished is not None
    assert finished.result == ok | {"tries": 1, "seconds": 6.75}
    assert list(finished.spans) == SPANS


def test_a_shard_that_costs_a_worker_is_tried_again_and_then_the_film_has_failed(store):
    agenda = agenda_of(store, "film", "b")
    (film,) = taken(agenda, 1)
    long(agenda, film)
    first, second = taken(agenda, 2)
    assert agenda.settle(Outcome(first, None, "ended its worker")) is None
    last, b, again = taken(agenda, 3)
    assert (last.span, b.path, again) == (SPANS[2], "b", first)
    finished = agenda.settle(Outcome(again, None, "ended its worker"))
    assert finished is not None
    assert finished.result["error"]["message"] == "film ended its worker, 2 times"
    assert finished.result["tries"] == 2
    assert piece(agenda, second) is None  # it comes too late
    assert agenda.next() is None


def test_after_an_error_no_shard_of_the_film_is_given_out(store):
    agenda = agenda_of(store, "film", "b")
    (film,) = taken(agenda, 1)
    long(agenda, film)
    (first,) = taken(agenda, 1)
    error = {"path": "film", "status": "error", "error": {"type": "MediaError", "message": "x"}}
    assert agenda.settle(Outcome(first, error)) is not None
    assert [t.path for t in taken(agenda, 1)] == ["b"]
    assert agenda.next() is None


def test_a_scan_that_was_killed_goes_on_within_a_film(store):
    agenda = agenda_of(store, "film")
    (film,) = taken(agenda, 1)
    long(agenda, film)
    piece(agenda, taken(agenda, 2)[1])
    after = agenda_of(store, "film")
    (film,) = taken(after, 1)
    long(after, film)
    assert [t.span for t in taken(after, 2)] == [SPANS[0], SPANS[2]]
    assert after.next() is None


def test_pieces_that_cannot_be_written_are_one_error(tmp_path):
    (tmp_path / "file").touch()
    agenda = agenda_of(PieceStore(tmp_path / "file"), "film")
    (film,) = taken(agenda, 1)
    long(agenda, film)
    with pytest.raises(ResultError, match="the pieces of long videos cannot be written"):
        piece(agenda, taken(agenda, 1)[0])
