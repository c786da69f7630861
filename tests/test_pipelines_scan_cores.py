"""Workers on one machine: each runs on cores of its own, and its children with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.scan.cores import keep_to_cores

HERE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
bound = pytest.mark.skipif(len(HERE) < 2, reason="needs two cores and a system that binds to them")
ROOT = Path(__file__).resolve().parents[1]
# Says where it, an older thread and a child run, then lives until its standard input is closed.
SCRIPT = """
import os, subprocess, sys, threading
from pathlib import Path
from pipelines.scan.cores import keep_to_cores

go, seen = threading.Event(), []
older = threading.Thread(target=lambda: (go.wait(), seen.append(os.sched_getaffinity(0))))
older.start()
taken = keep_to_cores(int(sys.argv[1]), Path(sys.argv[2]))
go.set()
older.join()
child = "import os; print(sorted(os.sched_getaffinity(0)))"
said = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip()
print(sorted(taken), sorted(os.sched_getaffinity(0)), sorted(seen[0]), said, sep=";", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def worker(tmp_path: Path):
    """Start processes that take so many cores; return each and where it says that it runs."""
    begun: list[subprocess.Popen[str]] = []

    def start(cores: int) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(cores), str(tmp_path / "locks")],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        begun.append(process)
        assert process.stdout is not None
        places = set(process.stdout.readline().strip().split(";"))
        assert len(places) == 1, "threads or children run elsewhere"
        return process, places.pop()

    yield start
    for process in begun:
        process.kill()
        process.communicate()


Start = Callable[[int], tuple[subprocess.Popen[str], str]]


@bound
def test_each_worker_has_a_core_of_its_own_with_its_threads_and_children(worker: Start):
    assert [worker(1)[1] for _ in HERE[:2]] == [f"[{core}]" for core in HERE[:2]]


@bound
def test_a_worker_for_which_no_core_is_left_runs_on_all(worker: Start):
    worker(len(HERE))
    assert worker(1)[1] == str(HERE)


@bound
def test_a_worker_takes_all_the_cores_that_it_was_granted_or_none(worker: Start):
    worker(1)
    assert worker(len(HERE))[1] == str(HERE)
    assert worker(1)[1] == f"[{HERE[1]}]"  # those that were too few are free again


@bound
def test_the_core_of_a_killed_worker_goes_to_the_next_one(worker: Start):
    killed, place = worker(1)
    killed.kill()
    killed.wait()
    assert worker(1)[1] == place


@bound
def test_cores_whose_locks_are_another_users_count_as_taken(tmp_path: Path):
    (tmp_path / "locks").write_text("not a folder that can be written to")
    assert keep_to_cores(1, tmp_path / "locks") == set(HERE)
    assert os.sched_getaffinity(0) == set(HERE)


def test_where_the_system_binds_no_process_to_cores_nothing_is_bound(tmp_path, monkeypatch):
    for name in ("sched_setaffinity", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    assert keep_to_cores(1, tmp_path) == set(range(os.cpu_count() or 1))
    assert list(tmp_path.iterdir()) == []
