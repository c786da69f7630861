"""The page on which clips are dropped, in Chromium; skipped where that or Playwright is missing."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from avdetect.server.app import UploadLimits, make_app
from avdetect.server.queue import Queue
from extractors.media import MediaError

HOSTILE = "<img src=x onerror=alert(1)>.mp4"
# A drag from outside the browser, which Playwright has none of.
DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name));
  const told = { dataTransfer: given, bubbles: true, cancelable: true };
  document.getElementById("drop").dispatchEvent(new DragEvent("dragover", told));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", told));
}"""


class Site:
    """A server and a browser's page of it, whose judge waits to be let on."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.folder, self.browser = folder, browser
        self.let_on = threading.Event()
        self.said: list[str] = []

    def judge(
        self, upload: Path, name: str, page: Path, on_step: Callable[[int, int], None]
    ) -> Any:
        on_step(1, 2)
        assert self.let_on.wait(120)
        if not upload.read_bytes().startswith(b"clip"):
            raise MediaError(f"{upload} is no video")
        page.write_text("<link rel=icon href=data:,><title>judged</title><p>page", encoding="utf-8")
        result = {"schema": 1, "status": "ok", "path": name, "verdict": "fake", "score": 0.9}
        return {**result, "warnings": []}

    def open(self, width: int = 1000, scheme: str = "light") -> Any:
        page = self.browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.goto(self.address)
        return page

    address = ""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium")
    with api.sync_playwright() as playwright, socket.create_server(("127.0.0.1", 0)) as door:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        site = Site(tmp_path / "history", browser)
        queue = Queue(site.folder, site.judge, 60.0)
        queue.start()
        config = uvicorn.Config(make_app(queue, UploadLimits(megabytes=1), None), log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        site.address = f"http://127.0.0.1:{door.getsockname()[1]}/"
        yield site
        site.let_on.set()
        browser.close()
        server.should_exit = True
        thread.join(10)


def drop(page: Any, name: str, content: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(content).decode()])


def test_a_dropped_clip_is_queued_judged_shown_and_deleted(site: Site) -> None:
    page = site.open()
    drop(page, HOSTILE, b"clip")
    page.wait_for_selector("#jobs progress[value='0.5']")
    drop(page, "second.mp4", b"clip")
    page.wait_for_selector("#jobs tr >> nth=1")
    rows = page.locator("#jobs tr")
    first = rows.filter(has_text=HOSTILE)
    assert "judging" in first.inner_text()
    assert "queued" in rows.filter(has_text="second.mp4").inner_text()
    site.let_on.set()
    link = first.locator("a", has_text="fake, score 0.90")
    link.wait_for()
    link.click()
    page.wait_for_url("**/page")
    assert page.title() == "judged"
    page.go_back()
    second = page.locator("#jobs tr").filter(has_text="second.mp4")
    second.get_by_role("button", name="Delete second.mp4").click()
    second.wait_for(state="detached")
    assert len(list(site.folder.glob("*/page.html"))) == 1
    assert site.said == []


def test_what_cannot_be_judged_is_told_in_one_sentence(site: Site) -> None:
    site.let_on.set()
    page = site.open()
    drop(page, "notes.txt", b"words")
    page.wait_for_selector("text=notes.txt is no video")
    drop(page, "film.mp4", b"clip" * 2**19)
    page.wait_for_selector("text=film.mp4: a clip may have 1 MiB here")
    assert len(list(site.folder.glob("*/job.json"))) == 1
    assert site.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_goes_by_keyboard(site: Site, scheme: str) -> None:
    site.let_on.set()
    page = site.open(width=360, scheme=scheme)
    drop(page, "x" * 150 + ".mp4", b"clip")
    page.wait_for_selector("#jobs a")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[1:] == ["fake, score 0.90", "JSON", "Delete"]
    page.keyboard.press("Enter")
    page.wait_for_selector("#jobs tr", state="detached")
    assert site.said == []


@pytest.mark.parametrize("width", [360, 1000])
def test_a_long_name_in_a_sentence_does_not_widen_the_page(site: Site, width: int) -> None:
    site.let_on.set()
    page = site.open(width=width)
    drop(page, "x" * 190 + ".txt", b"words")
    page.wait_for_selector("text=x.txt is no video")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert site.said == []
