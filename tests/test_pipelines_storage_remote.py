"""A bucket behind S3's own protocol, served on this machine where moto is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.scan import worker as scan_worker
from pipelines.scan.worker import Worker
from pipelines.storage.sources import SourceError, check_source, videos_of

moto_server = pytest.importorskip("moto.server", reason="needs moto[server]")
AWKWARD = "b c#1 ?ü 100%&a=1.mp4"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pyarrow's client of the server, whose bucket `corpus` has three media objects."""
    from pyarrow.fs import FileSelector, S3FileSystem

    known = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}
    for name, value in (known | {"ENDPOINT_URL": endpoint}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = S3FileSystem(
        endpoint_override=endpoint, allow_bucket_creation=True, allow_bucket_deletion=True
    )
    client.create_dir("corpus")
    for key in ("z.mp4", "notes.txt", f"in/{AWKWARD}", "in/deep/a.wav"):
        with client.open_output_stream(f"corpus/videos/{key}") as file:
            file.write(key.encode())
    yield client
    if client.get_file_info(FileSelector("", allow_not_found=True)):
        client.delete_dir("corpus")


class Reader:
    """Says as its verdict what is in a file."""

    model: dict[str, str] = {}  # noqa: RUF012

    def run(self, path: Path, on_step: Any = None) -> Any:
        return {"status": "ok", "verdict": path.read_text()}


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(scan_worker, "scratch_folder", lambda: tmp_path)
    reader: Any = Reader()
    return Worker(lambda: reader, {})


@pytest.mark.parametrize("source", ["s3://corpus", "s3://corpus/videos", "s3://corpus/videos/"])
def test_a_bucket_or_folder_names_its_media_objects_by_their_keys(store, source):
    assert [video.path for video in videos_of(source)] == [
        f"s3://corpus/videos/in/{AWKWARD}",
        "s3://corpus/videos/in/deep/a.wav",
        "s3://corpus/videos/z.mp4",
    ]


def test_what_is_listed_is_fetched_whatever_its_key(store, worker, tmp_path):
    said = [worker.run(video.path)["verdict"] for video in videos_of("s3://corpus")]
    assert said == [f"in/{AWKWARD}", "in/deep/a.wav", "z.mp4"]
    assert not list(tmp_path.iterdir())


def test_an_object_that_vanished_after_it_was_listed_is_an_error_of_its_own(store, worker):
    paths = [video.path for video in videos_of("s3://corpus/videos")]
    store.delete_file(f"corpus/videos/in/{AWKWARD}")
    results = [worker.run(path) for path in paths]
    assert [result["status"] for result in results] == ["error", "ok", "ok"]
    assert results[0]["error"]["type"] == "MediaError"
    assert results[0]["error"]["message"].startswith(f"{paths[0]} cannot be fetched (")
    check_source("s3://corpus/videos")


def test_a_bucket_that_vanished_is_noticed(store):
    check_source("s3://corpus")
    store.delete_dir("corpus")
    with pytest.raises(SourceError, match="s3://corpus has vanished"):
        check_source("s3://corpus")


@pytest.mark.parametrize("source", ["s3://nobodys", "s3://corpus/nothing", "s3://corpus/x.mp4"])
def test_what_is_not_there_is_one_error_that_names_it(store, source):
    with pytest.raises(SourceError, match=f"{source}: no such file or folder"):
        list(videos_of(source))


def test_a_store_that_does_not_answer_is_named_and_nothing_else_is_asked_for(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"s3://corpus/videos: cannot be listed \(.*curlCode: 7"):
        list(videos_of("s3://corpus/videos"))
