"""Objects of buckets as files on this machine, for as long as they are needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from extractors.media import MediaError
from pipelines.scan import worker as scan_worker
from pipelines.scan.worker import Worker
from pipelines.storage import local_copy as fetch
from pipelines.storage.local_copy import ScratchError, hold, local_copy, scratch_folder
from pipelines.storage.sources import videos_of


def paths(source: object) -> list[str]:
    return [video.path for video in videos_of(str(source))]


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A file system in memory, known to fsspec alone, with two media objects at two depths."""
    system = fsspec.filesystem("memory")
    system.pipe({"/bucket/a.mp4": b"a" * 3 * 2**20, "/bucket/in/bad.wav": b"b", "/bucket/c": b"c"})
    yield system
    system.rm("/bucket", recursive=True)


class Watcher:
    """Judges objects by their first letter, and says which files there were meanwhile."""

    model: dict[str, str] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def run(self, path: Path, on_step: Any = None) -> Any:
        self.seen.append([f"{p.name} {p.stat().st_size}" for p in path.parent.glob("fetched*")])
        if path.read_bytes().startswith(b"b"):
            raise MediaError(f"{path} is empty")
        return {"status": "ok"}


def test_objects_of_a_bucket_are_fetched_one_at_a_time_and_removed_whatever_they_are(
    bucket, tmp_path, monkeypatch
):
    monkeypatch.setattr(scan_worker, "scratch_folder", lambda: tmp_path)
    watcher: Any = Watcher()
    worker = Worker(lambda: watcher, {})
    uris = paths("memory://bucket")
    assert uris == ["memory://bucket/a.mp4", "memory://bucket/in/bad.wav"]
    good, bad = map(worker.run, uris)
    assert (good["status"], good["path"]) == ("ok", uris[0])
    assert bad["error"]["message"] == f"{uris[1]} is empty"
    assert watcher.seen == [["fetched.mp4 3145728"], ["fetched.wav 1"]]
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_fault_of_the_object(bucket, monkeypatch):
    full = Path("/dev/full")  # takes nothing, as a full disk does
    monkeypatch.setattr(Path, "__truediv__", lambda *_: full)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with (
        pytest.raises(ScratchError, match=r"cannot be written \(No space left on device\)"),
        local_copy("memory://bucket/a.mp4", Path("/dev"), print),
    ):
        pass


def test_an_object_that_is_not_there_is_a_fault_of_the_file(tmp_path):
    uri = f"file://{tmp_path}/gone.mp4"
    with pytest.raises(MediaError, match=uri), local_copy(uri, tmp_path, print):
        pass
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_fetched_is_removed_by_the_next_one(tmp_path):
    dead = tmp_path / "dead"
    dead.mkdir()
    for name in ("lock", "fetched.mp4"):
        (dead / name).write_bytes(b"")
    alive = scratch_folder(tmp_path)
    assert not dead.exists()
    another = scratch_folder(tmp_path)
    assert alive.exists()
    assert hold(alive / "lock") is None
    assert another != alive


def test_a_new_folder_that_another_worker_takes_for_abandoned_is_not_used(tmp_path, monkeypatch):
    def slower(path: Path) -> int | None:
        monkeypatch.setattr(fetch, "hold", hold)
        shutil.rmtree(path.parent)  # what the other one does
        return hold(path)

    monkeypatch.setattr(fetch, "hold", slower)
    folder = scratch_folder(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    assert hold(folder / "lock") is None
