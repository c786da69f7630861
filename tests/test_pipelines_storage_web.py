"""Videos by a link, of a page and from standard input, from a server on this machine."""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from drawn_media import DrawnPicture, write_tracks

from extractors.media import MediaError, probe
from pipelines.storage import local_copy, web
from pipelines.storage.local_copy import judged_file
from pipelines.storage.sources import check_source, videos_of


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    return write_tracks(tmp_path / "clip.mp4", DrawnPicture(range(25))).read_bytes()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    made = local_copy.scratch_folder
    monkeypatch.setattr(local_copy, "scratch_folder", lambda: made(folder))
    return folder


@pytest.fixture
def site(clip: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if self.path.startswith("/old"):
                self.send_response(302)
                self.send_header("Location", "/clip.mp4?key=1&size=2")
                self.end_headers()
                return
            page = self.path.startswith("/watch")
            found = page or self.path.startswith(("/clip.mp4", "/other.mp4"))
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8" if page else "video/mp4")
            shown = self.path.partition("=")[2].split("+") if page else []
            videos = "".join(f'<video src="/{name}.mp4"></video>' for name in shown if name)
            body = f"<html><title>A</title>{videos}</html>".encode() if page else clip
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mp4?key=a/b.c&size=2", "old"])
def test_a_link_is_read_and_leaves_nothing_behind(site: str, scratch: Path, name: str) -> None:
    with judged_file(f"{site}/{name}") as file:
        assert probe(file).duration == pytest.approx(1.0)
    assert list(scratch.iterdir()) == []


def test_a_link_that_leads_nowhere_is_one_sentence(site: str, scratch: Path) -> None:
    for url, cause in (
        (f"{site}/nothing.mp4", "404"),
        ("http://127.0.0.1:9/clip.mp4", "refused"),
        ("https://name.invalid/clip.mp4", "cannot be fetched"),
    ):
        with pytest.raises(MediaError, match=cause) as caught, judged_file(url):
            pass
        assert str(caught.value).startswith(f"{url} cannot be fetched (")
        assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_a_file_that_cannot_be_judged_is_named_by_its_link(site: str, scratch: Path) -> None:
    url = f"{site}/clip.mp4"
    with pytest.raises(MediaError) as caught, judged_file(url) as file:
        raise MediaError(f"{file} is empty")
    assert str(caught.value) == f"{url} is empty"


def test_a_page_needs_the_extra(site: str, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "find_spec", lambda name: None)
    with (
        pytest.raises(MediaError, match=r"is a web page, not a video; with `pip install avdetect"),
        judged_file(f"{site}/watch?v=1"),
    ):
        pass


def test_the_video_of_a_page_is_fetched_where_the_extra_is_installed(
    site: str, scratch: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DownloadError(Exception):
        pass

    class Site:
        def __init__(self, options: dict[str, Any]) -> None:
            self.name = options["outtmpl"].replace("%(ext)s", "mp4")

        def __enter__(self) -> Site:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def extract_info(self, url: str, *, download: bool) -> dict[str, Any]:
            assert not download
            if url.endswith("private"):
                raise DownloadError("ERROR: the video\nis private")
            return {}

        def process_ie_result(self, info: dict[str, Any], *, download: bool) -> dict[str, Any]:
            assert download
            Path(self.name).write_bytes(clip)
            return info

        def prepare_filename(self, info: dict[str, Any]) -> str:
            return self.name

    fake = types.ModuleType("yt_dlp")
    fake.YoutubeDL = Site  # type: ignore[attr-defined]
    fake.utils = types.SimpleNamespace(DownloadError=DownloadError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yt_dlp", fake)
    monkeypatch.setattr(web, "find_spec", lambda name: name)
    with judged_file(f"{site}/watch?v=1") as file:
        assert probe(file).duration == pytest.approx(1.0)
    with (
        pytest.raises(MediaError, match=r"cannot be fetched \(the video is private\)"),
        judged_file(f"{site}/watch?v=private"),
    ):
        pass
    assert list(scratch.iterdir()) == []


def test_yt_dlp_itself_fetches_the_only_video_of_a_page(
    site: str, scratch: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("yt_dlp")
    with judged_file(f"{site}/watch?v=clip") as file:
        assert probe(file).duration == pytest.approx(1.0)
    for page, cause in (
        ("watch?v=clip+other", r"is a web page with several videos: give the link of one"),
        ("watch?v=", r"is a web page whose video cannot be fetched \(Unsupported URL"),
    ):
        with pytest.raises(MediaError, match=cause), judged_file(f"{site}/{page}"):
            pass
    assert list(scratch.iterdir()) == []
    assert "ERROR" not in capfd.readouterr().err  # its errors are raised, not printed too


def test_standard_input_is_read(
    clip: bytes, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(clip)))
    with judged_file("-") as file:
        assert probe(file).duration == pytest.approx(1.0)
    assert list(scratch.iterdir()) == []
    with judged_file("clip.mp4") as file:
        assert file == Path("clip.mp4")  # what lies here is not copied


def test_a_scan_takes_a_link_for_a_video(site: str) -> None:
    url = f"{site}/clip.mp4"
    assert [video.path for video in videos_of(url)] == [url]
    check_source(url)
