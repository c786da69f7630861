"""Videos on the web: plain links to files, and pages of video sites by yt-dlp."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from extractors.media import MediaError

SILENT = logging.getLogger(f"{__name__}.yt_dlp")  # whose errors are raised as well
SILENT.setLevel(logging.CRITICAL + 1)
PIECE = 2**20  # bytes that are read at once
TIMEOUT = 60.0  # seconds without an answer
PAGES = ("text/html", "application/xhtml+xml")


def is_web(uri: str) -> bool:
    """Return whether a URI is an http or https one."""
    return uri.lower().startswith(("http://", "https://"))


def web_copy(url: str, folder: Path) -> Iterator[bytes]:
    """Yield the bytes of a video on the web, piece by piece.

    Args:
        url: of a file, or of the page of a video site.
        folder: for the temporary file of a page's video.

    Raises:
        MediaError: there is no answer, or the video of a page cannot be fetched.
    """
    try:
        with urlopen(Request(url, headers={"User-Agent": "avdetect"}), timeout=TIMEOUT) as answer:
            if answer.headers.get_content_type() not in PAGES:
                yield from _pieces(answer)
                return
    except (OSError, ValueError) as error:
        plain = isinstance(error, URLError) and not isinstance(error, HTTPError)
        cause = getattr(error, "reason", error) if plain else error
        raise MediaError(f"{url} cannot be fetched ({cause})") from error
    yield from _video_of_page(url, folder)


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece


def _video_of_page(url: str, folder: Path) -> Iterator[bytes]:
    if find_spec("yt_dlp") is None:
        raise MediaError(
            f"{url} is a web page, not a video; with `pip install avdetect[web]` the videos of "
            "many sites' pages can be fetched"
        )
    yt_dlp: Any = import_module("yt_dlp")
    # "b": the best single file with picture and sound, so that no tracks have to be joined
    options: dict[str, Any] = {
        "format": "b", "outtmpl": str(folder / "page.%(ext)s"), "quiet": True, "noprogress": True,
        "no_warnings": True, "noplaylist": True, "socket_timeout": TIMEOUT,
        "playlist_items": "1:2",  # enough to know that there are several
        "logger": SILENT,
    }  # fmt: skip
    try:
        with yt_dlp.YoutubeDL(options) as site:
            found = site.extract_info(url, download=False)
            if "entries" in found:
                found = _only_video(url, found["entries"])
            path = Path(site.prepare_filename(site.process_ie_result(found, download=True)))
    except yt_dlp.utils.DownloadError as error:
        cause = " ".join(str(error).split()).removeprefix("ERROR: ")
        raise MediaError(f"{url} is a web page whose video cannot be fetched ({cause})") from error
    try:
        with path.open("rb") as file:
            yield from _pieces(file)
    finally:
        path.unlink(missing_ok=True)


def _only_video(url: str, entries: Iterable[Any]) -> Any:
    """Return the video of a list that holds one."""
    videos = [video for video in entries if video]
    if len(videos) != 1:
        number = "several videos" if videos else "no video"
        raise MediaError(f"{url} is a web page with {number}: give the link of one")
    return videos[0]
