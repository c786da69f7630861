"""A bucket behind Google's own protocol, served on this machine where its emulator is installed."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from extractors.media import MediaError
from pipelines.storage.local_copy import local_copy
from pipelines.storage.sources import SourceError, videos_of

emulator = pytest.importorskip("gcp_storage_emulator.server", reason="needs gcp-storage-emulator")
AWKWARD = "b c#1.mp4"  # the emulator takes no letters beyond ASCII
BUCKET = "gs://anonymous@corpus"


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[None]:
    """The bucket `corpus`, whose objects lie in folders for which there is no object."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True)
    server.start()

    def post(place: str, content: bytes, kind: str = "video/mp4") -> None:
        address, headers = f"http://127.0.0.1:{port}{place}", {"Content-Type": kind}
        request = urllib.request.Request(address, content, headers)
        urllib.request.urlopen(request, timeout=10).close()

    post("/storage/v1/b", json.dumps({"name": "corpus"}).encode(), "application/json")
    for key in ("videos/z.mp4", "videos/notes.txt", f"videos/in/{AWKWARD}", "other/a.wav"):
        name = quote(key, safe="")
        post(f"/upload/storage/v1/b/corpus/o?uploadType=media&name={name}", key.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://127.0.0.1:{port}")
        yield
    server.stop()


def paths(source: str) -> list[str]:
    return [video.path for video in videos_of(source)]


def test_objects_are_found_at_all_depths():
    inner = [f"{BUCKET}/videos/in/{AWKWARD}", f"{BUCKET}/videos/z.mp4"]
    assert paths(f"{BUCKET}/videos") == paths(f"{BUCKET}/videos/") == inner
    assert paths(BUCKET) == [f"{BUCKET}/other/a.wav", *inner]


def test_what_is_listed_is_fetched(tmp_path: Path):
    listed = paths(BUCKET)
    assert len(listed) == 3
    for uri in listed:
        with local_copy(uri, tmp_path, lambda _: None) as file:
            assert file.read_text() == uri.removeprefix(f"{BUCKET}/")


def test_what_is_not_there_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(SourceError, match=f"{BUCKET}/nothing: no such file or folder"):
        paths(f"{BUCKET}/nothing")
    gone = f"{BUCKET}/videos/gone.mp4"
    with (
        pytest.raises(MediaError, match=f"{gone} cannot be fetched"),
        local_copy(gone, tmp_path, lambda _: None),
    ):
        pass
