"""The page of a result: what it says, that nothing of a file gets into it unescaped, how it works.

The last tests open it in Chromium; they are skipped where that or Playwright is missing.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.media import Clip, MediaInfo, file_sha256, write_clip
from pipelines.evidence.moments import Moment
from pipelines.evidence.preview import Preview
from pipelines.evidence.recorder import Evidence
from pipelines.report.lanes import POINTS, fused, lane, thinned, ticks
from pipelines.report.outputs import ReportError, page_stem, read_result
from pipelines.report.page import Origin, write_report
from pipelines.report.pictures import place
from pipelines.streams.stream_cache import Extract
from pipelines.taxonomy import taxonomy

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{ 7 * 7 }}\u202e.mp4'
STEPS = 50


def result_of(**changes: Any) -> dict[str, Any]:
    curve = [0.1] * 25 + [0.9] * 25
    return {
        "schema": 1, "path": "clips/a.mp4", "sha256": "ab" * 32, "status": "ok", "error": None,
        "verdict": "fake", "score": 0.9, "visual_score": 0.9, "audio_score": 0.2,
        "sync_score": None, "uncertain": [0.35, 0.64],
        "not_judged": {"visual": None, "audio": None, "sync": "too little speech with a face"},
        "segments": [{"start": 1.0, "end": 2.0, "score": 0.8, "modality": "visual"}],
        "timeline": {"rate": 25.0, "visual": curve, "audio": [0.2] * STEPS, "sync": [None] * STEPS},
        "streams": {"appearance": True, "mel": True},
        "faces": [{"track": 0, "start": 0.0, "end": 2.0, "score": 0.9}],
        "crowd": {"seen": 1, "judged": 1, "time": 0.0},
        "media": {
            "duration": 2.0, "width": 64, "height": 48, "fps": 25.0, "video_codec": "h264",
            "audio_codec": "aac", "sample_rate": 16000,
        },
        "warnings": [], "model": {"name": "tiny", "version": "1", "sha256": "cd" * 32},
        "elapsed": {"decode": 0.1, "extract": 0.1, "judge": 0.1, "total": 0.3},
        **changes,
    }  # fmt: skip


def evidence_of(**changes: Any) -> Evidence:
    streams = {
        "appearance": torch.randint(0, 255, (20, 3, 112, 112), dtype=torch.uint8),
        "depth": torch.ones(20, 1, 56, 56).half(),
        "mel": torch.randn(20, 80, 4),
    }
    face = Moment("visual", 0, 30, 0.9, 20, streams)
    sound = Moment("audio", None, 10, 0.2, 0, {"mel": streams["mel"]})
    values: dict[str, Any] = {
        "contributions": [{"evidence": "flow", "without": {"score": 0.7}, "change": 0.2}],
        "measurements": [],
        "off_face": {"flow": 0.8, "area": 0.4},
        "moments": [
            (face, {"appearance": torch.rand(20, 7, 7), "depth": torch.zeros(20, 7, 7)}),
            (sound, {"mel": torch.rand(1, 5, 80)}),
        ],
        "boxes": {0: (0, np.tile(np.array([0.5, 0.4, 0.3, 0.0], np.float32), (STEPS, 1)))},
        "aspect": 4 / 3,
        "lips": np.random.default_rng(0).random(STEPS).astype(np.float32),
        "loudness": np.random.default_rng(1).random(STEPS).astype(np.float32),
        "spectrogram": np.random.default_rng(2).random((80, 200)).astype(np.float32),
        "preview": None,
        "opening": Extract([], None),
    }
    return Evidence(**{**values, **changes})


class Page(HTMLParser):
    """The elements of a page, its scripts, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.data = "", ""
        self._in_data = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data
        self.text += data


def page_of(tmp_path: Path, result: dict[str, Any], **changes: Any) -> Page:
    out = tmp_path / "page.html"
    video = tmp_path / "missing.mp4"
    write_report(result, video, out, evidence_of(**changes), Origin("avdetect detect", "0.1"))
    return Page(out.read_text(encoding="utf-8"))


def test_the_page_says_the_verdict_its_meaning_and_what_was_not_judged(tmp_path: Path) -> None:
    words = " ".join(page_of(tmp_path, result_of()).text.split())
    assert "Fake, score 0.90" in words
    assert "not judged: too little speech with a face" in words
    # Bayes' rule by hand: 0.9 at one in a hundred is 0.009 / (0.009 + 0.099)
    assert "Where 1 in 100 files is manipulated: 8 %" in words
    assert "Where 1 in 10 files is manipulated: 50 %" in words
    assert "80 % of what the network for movement of the face goes by lies off the face" in words
    assert "movement of the face 0.70" in words  # what was hidden, and the score without it
    assert "avdetect detect" in words


def test_the_head_says_how_often_these_weights_accuse_the_innocent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {
        "name": "tiny", "version": "1", "sha256": "cd" * 32, "weak": ["<b>still</b> people"],
        "genuine_called_fake": {"found": 3, "of": 40, "what": "clips of unseen sources"},
    }  # fmt: skip
    monkeypatch.setattr("pipelines.report.limits.described", lambda: limits)
    words = " ".join(page_of(tmp_path, result_of()).text.split())
    assert "These weights called 3 of 40 clips of unseen sources fake." in words
    assert "Known to be weak: <b>still</b> people." in words
    other = {"name": "tiny", "version": "1", "sha256": "ef" * 32}
    assert "These weights called" not in page_of(tmp_path, result_of(model=other)).text


def test_the_glossary_explains_every_kind_of_manipulation_in_the_taxonomys_words(
    tmp_path: Path,
) -> None:
    words = " ".join(page_of(tmp_path, result_of()).text.split())
    for name, family in taxonomy().families.items():
        assert f"{name} {family.meaning}" in words
        for kind, subtype in family.subtypes.items():
            track = {"visual": "picture", "audio": "sound"}[subtype.modality]
            whole = "" if subtype.localisable else ", the whole clip"
            assert f"{kind} ({track}{whole}): {subtype.meaning}" in words


def test_what_shows_nothing_is_a_line(tmp_path: Path) -> None:
    (face, maps), (sound, _) = evidence_of().moments
    moments = [(replace(face, score=0.19), maps), (replace(sound, score=0.04), {})]
    contributions = [
        {"evidence": name, "without": {"score": 0.9}, "change": change}
        for name, change in (("depth", 0.004), ("flow", -0.004), ("portrait", 0.3))
    ]
    page = page_of(tmp_path, result_of(), moments=moments, contributions=contributions)
    words = " ".join(page.text.split())
    assert (
        "Nothing to show at 0:01.22 of face 0, step score 0.19; at 0:00.42 of the sound, "
        "step score 0.04."
    ) in words
    assert "stays without the shape of the face in depth, or without movement of the face." in words
    assert "the look of the face, seen by a picture encoder 0.90 +0.30" in words
    assert sum(tag == "img" for tag, _ in page.tags) == 1  # the spectrogram


def test_without_the_stream_that_carries_it_the_picture_is_not_judged(tmp_path: Path) -> None:
    less = {"score": 0.2, "visual_score": None, "audio_score": 0.2, "sync_score": None}
    hidden = [{"evidence": "portrait", "without": less, "change": 0.7}]
    words = " ".join(page_of(tmp_path, result_of(), contributions=hidden).text.split())
    assert "0.20 of the sound alone: the picture is not judged without +0.70" in words


def test_of_many_warnings_two_are_seen_and_the_others_unfold(tmp_path: Path) -> None:
    page = page_of(tmp_path, result_of(warnings=["one", "two", "no HDR", "four"]))
    words = " ".join(page.text.split())
    assert "One. Two. 2 more warnings No HDR. Four." in words


def test_the_meters_change_colour_where_the_result_becomes_inconclusive(tmp_path: Path) -> None:
    page = page_of(tmp_path, result_of(uncertain=[0.2, 0.75]))
    meters = [attributes for tag, attributes in page.tags if tag == "meter"]
    assert [(m["low"], m["high"]) for m in meters] == [("0.2", "0.75")] * 2


def test_the_page_asks_no_network_and_runs_only_its_own_scripts(tmp_path: Path) -> None:
    page = page_of(tmp_path, result_of())
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            assert re.match(r"data:|#|$", attributes.get(name) or ""), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    (policy,) = [a["content"] or "" for t, a in page.tags if a.get("http-equiv")]
    (nonce,) = [a["nonce"] for t, a in page.tags if t == "script" and "nonce" in a]
    assert f"default-src 'none'; script-src 'nonce-{nonce}'" in policy


def test_a_hostile_name_and_hostile_tags_stay_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless = page_of(tmp_path, result_of())
    facts = {
        "container": HOSTILE, "bit_rate": None, "tags": {HOSTILE: HOSTILE}, "encoder": HOSTILE,
        "tracks": [{
            "kind": HOSTILE, "codec": HOSTILE, "profile": HOSTILE, "pixels": HOSTILE,
            "bit_rate": None, "tags": {HOSTILE: HOSTILE},
        }],
        "key_frames": None,
        "credentials": {"state": HOSTILE, "generator": HOSTILE, "issuer": HOSTILE,
                        "signed": HOSTILE, "actions": [HOSTILE], "generated": True},
    }  # fmt: skip
    monkeypatch.setattr("pipelines.report.page.read_facts", lambda _: facts)
    hostile = page_of(
        tmp_path, result_of(path=f"x/{HOSTILE}", warnings=[HOSTILE], model={
            "name": HOSTILE, "version": HOSTILE, "sha256": "0"})
    )  # fmt: skip
    kinds = ("script", "img", "iframe", "object", "video", "style", "link", "base", "form")
    for kind in kinds:
        assert [t for t, _ in hostile.tags].count(kind) == [t for t, _ in harmless.tags].count(kind)
    assert "{{ 7 * 7 }}" in hostile.text  # shown, not worked out
    assert json.loads(hostile.data)["result"]["path"] == f"x/{HOSTILE}"


def test_every_picture_and_every_lane_has_words(tmp_path: Path) -> None:
    page = page_of(tmp_path, result_of())
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 3  # the spectrogram, the face close up, the sound
    assert all(image["alt"] for image in images)
    assert "Highest 0.90 at 0:01.02; above 0.5 for 1.0 s." in page.text
    assert "Nothing here speaks for a manipulation in the face's shape in depth" in page.text


def test_segments_can_be_reached_by_keyboard(tmp_path: Path) -> None:
    page = page_of(tmp_path, result_of())
    jumps = [a for tag, a in page.tags if tag == "button" and a.get("class") == "jump"]
    assert ("1.0", "2.0") in [(a["data-start"], a["data-end"]) for a in jumps]
    assert not any("tabindex" in a for a in jumps)


def test_an_inconclusive_result_without_any_score_has_a_page(tmp_path: Path) -> None:
    empty = {"rate": 25.0, "visual": [None] * 9, "audio": [None] * 9, "sync": [None] * 9}
    result = result_of(
        verdict="inconclusive", score=None, visual_score=None, audio_score=None, timeline=empty,
        segments=[], faces=[], warnings=["nothing in the file could be judged"],
    )  # fmt: skip
    page = page_of(
        tmp_path, result, moments=[], contributions=[], boxes={}, off_face={},
        lips=np.zeros(0), loudness=np.zeros(0), spectrogram=np.zeros((0, 0)),
    )  # fmt: skip
    assert "Inconclusive" in page.text
    assert "Nothing in the file could be judged." in page.text
    assert not any("data-lane" in attributes for _, attributes in page.tags)


def test_the_page_tells_of_faces_that_were_not_judged(tmp_path: Path) -> None:
    crowd = {"seen": 9, "judged": 4, "time": 1.0}
    words = " ".join(page_of(tmp_path, result_of(crowd=crowd)).text.split())
    assert "Faces 1 judged; at 0:01.00, 4 of 9 faces were judged" in words
    assert "faces were judged" not in page_of(tmp_path, result_of()).text


def test_the_page_of_a_sound_file_speaks_of_no_picture(tmp_path: Path) -> None:
    result = result_of(faces=[], visual_score=None, sync_score=None)
    result["media"] |= {"width": None, "height": None, "fps": None, "video_codec": None}
    result["timeline"] |= {name: [None] * 50 for name in ("visual", "sync")}
    page = page_of(tmp_path, result, boxes={}, lips=np.zeros(0))
    lanes = [attributes["data-lane"] for _, attributes in page.tags if "data-lane" in attributes]
    assert lanes == ["audio", "spectrogram"]
    words = " ".join(page.text.split())
    assert "0:02.00 of sound alone." in words
    assert not re.search(r"Faces \d+ judged", words)


def test_the_file_speaks_for_itself(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    write_clip(video, np.zeros((10, 48, 64, 3), np.uint8), np.zeros(6400, np.float32))
    write_report(result_of(), video, tmp_path / "p.html", evidence_of(), Origin("x", "0.1"))
    words = Page((tmp_path / "p.html").read_text()).text
    assert "QuickTime / MOV" in words
    assert re.search(r"x264 - core \d+", words)
    assert "1 key frame in 10 pictures" in words
    assert "none: this says nothing either way" in words


def test_a_result_is_found_by_its_files_content(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"content")
    mine = result_of(sha256=file_sha256(video), path="elsewhere.mp4")
    lines = tmp_path / "r.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in (result_of(), mine)))
    assert read_result(lines, video) == mine
    lines.write_text(json.dumps(mine, indent=2))
    assert read_result(lines, video) == mine


@pytest.mark.parametrize(
    ("text", "cause"),
    [("", "holds no result"), ("[1, 2]", "holds no result"), ('{"schema": 1}', "holds no result"),
     (json.dumps(result_of()), "holds no result of")],
)  # fmt: skip
def test_a_file_without_the_result_is_one_sentence(tmp_path: Path, text: str, cause: str) -> None:
    video, path = tmp_path / "a.mp4", tmp_path / "r.json"
    video.write_bytes(b"content")
    path.write_text(text)
    with pytest.raises(ReportError, match=cause) as caught:
        read_result(path, video)
    assert "r.json" in str(caught.value)
    with pytest.raises(ReportError, match="cannot be read"):
        read_result(tmp_path / "none.json", video)


@pytest.mark.parametrize("name", [HOSTILE, "..", "a/../../b.mp4", "\x00\n.mp4", "x" * 300])
def test_no_name_of_a_video_leads_out_of_the_folder(name: str) -> None:
    stem = page_stem({"path": name, "sha256": "ab" * 32})
    assert re.fullmatch(r"[\w.-]{1,80}-abababab", stem)
    assert "/" not in stem


def test_a_long_curve_keeps_its_peaks() -> None:
    values = np.full(90_000, np.nan)
    values[1000:80_000] = 0.1
    values[54_321] = 0.9
    x, y = thinned(values)
    assert len(x) <= POINTS
    assert np.nanmax(y) == 0.9
    assert x[np.nanargmax(y)] == pytest.approx(54_321, abs=60)
    assert np.isnan(y[0])
    assert np.isnan(y[-1])


def test_a_film_of_many_faces_stays_a_page(tmp_path: Path) -> None:
    tracks = range(300)
    faces = [{"track": t, "start": 0.0, "end": 9.0, "score": t / 300} for t in tracks]
    square = np.array([0.5, 0.4, 0.3, 0.0], np.float32)
    boxes = {t: (0, np.tile(square, (225, 1))) for t in tracks}
    page = page_of(tmp_path, result_of(faces=faces), boxes=boxes)
    drawn = json.loads(page.data)["boxes"]
    assert len(drawn) == 300
    assert sum(len(face["squares"]) for face in drawn) <= 8000
    assert {face["steps"] for face in drawn} == {225}
    words = " ".join(page.text.split())
    assert "Face 299: 0:00.00 to 0:09.00, score 1.00." in words
    assert "The others are less suspicious." in words


def test_the_page_of_an_hour_stays_small_and_asks_for_the_file(tmp_path: Path) -> None:
    steps = 3600 * 25
    random = np.random.default_rng(0)
    curve = [round(float(v), 4) for v in random.random(steps)]
    result = result_of(timeline={"rate": 25.0, "visual": curve, "audio": curve, "sync": curve})
    moved = random.random((steps, 4)).astype(np.float32)
    page = page_of(
        tmp_path, result, boxes={0: (0, moved)}, preview=None,
        lips=moved[:, 0], loudness=moved[:, 1], spectrogram=random.random((80, 4000)),
    )  # fmt: skip
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    assert "too long for a copy in this page" in page.text
    assert [a["type"] for _, a in page.tags if a.get("id") == "original"] == ["file"]


def test_a_lane_is_drawn_in_the_pages_own_colours() -> None:
    svg = lane({"visual": np.linspace(0, 1, 50)}, 0.0, 1.0, 0.5)
    assert svg.startswith('<svg class="plot" aria-hidden="true" viewBox=')
    assert "stroke: var(--visual)" in svg
    assert "var(--grid)" in svg
    assert not re.search(r" id=|#0000|<metadata|http://(?!www.w3.org)", svg)


def test_the_fused_curve_is_the_highest_that_was_judged() -> None:
    curves = {"visual": [0.1, None, None], "audio": [0.3, 0.2, None], "sync": [None, 0.4, None]}
    assert np.array_equal(fused(curves), [0.3, 0.4, np.nan], equal_nan=True)


@pytest.mark.parametrize("duration", [0.04, 2.0, 61.0, 3600.0])
def test_ticks_are_few_and_within_the_file(duration: float) -> None:
    times = ticks(duration)
    assert times[0] == 0
    assert len(times) <= 8
    assert times[-1] <= duration


def test_the_place_of_a_map_is_said_as_the_viewer_sees_it() -> None:
    heat = torch.zeros(1, 9, 9)
    heat[0, 0, 8] = 1
    assert place(heat) == "at the top right"
    assert place(heat.flip(1)) == "at the bottom right"
    assert place(torch.nn.functional.pad(torch.ones(1, 1, 1), (4, 4, 4, 4))) == "in the middle"


Open = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """A function that writes a page, opens it from disk, and returns it with what it asked for.

    `page.asked` are the addresses that it requested, `page.said` its errors and dialogs.
    """
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium")
    frames, waveform = example_frames(2.0, size=(96, 128)), example_waveform(2.0)
    preview = Preview(MediaInfo("a.mp4", 2.0, 128, 96, 25.0, "h264", "aac", 16000))
    preview.chunk(Clip(0, frames, waveform))
    copy = preview.finish()
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def open_page(
            result: dict[str, Any], width: int = 1000, scheme: str = "light", copied: bool = True
        ) -> Any:
            out, video = tmp_path / "page.html", tmp_path / "missing.mp4"
            evidence = evidence_of(preview=copy if copied else None)
            write_report(result, video, out, evidence, Origin("x", "0"))
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.asked, page.said = [], []
            page.on("request", lambda request: page.asked.append(request.url))
            page.on("console", lambda message: page.said.append(message.text))
            page.on("pageerror", lambda error: page.said.append(str(error)))
            page.on("dialog", lambda dialog: (page.said.append(dialog.message), dialog.dismiss()))
            page.goto(out.as_uri())
            if copied:
                until(page, "video.readyState >= 2")
            return page

        yield open_page
        browser.close()


def until(page: Any, condition: str) -> None:
    """Wait for a condition; the page forbids the evaluated strings of Playwright's own waiting."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def test_the_page_opens_from_disk_without_network_or_errors(opened: Open) -> None:
    page = opened(result_of(path=f"x/{HOSTILE}", warnings=[HOSTILE]))
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.said == []
    assert page.evaluate("document.querySelectorAll('svg.plot path').length") >= 6
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("video.duration") == pytest.approx(2.0, abs=0.1)


def test_a_click_on_a_segment_plays_it_and_the_cursor_follows(opened: Open) -> None:
    page = opened(result_of())
    page.click("section button.jump >> nth=0")
    until(page, "video.currentTime > 1.1")
    until(page, "video.paused")  # at the segment's end
    time, left, width = page.evaluate(
        "[video.currentTime,"
        " parseFloat(getComputedStyle(document.querySelector('.cursor')).left),"
        " document.querySelector('.lane').clientWidth]"
    )
    assert time > 1.5
    assert left / width == pytest.approx(min(time / 2, 1), abs=0.02)


def test_a_click_into_a_curve_and_the_arrow_keys_go_there(opened: Open) -> None:
    page = opened(result_of())
    curve = page.locator(".lane").nth(1)
    curve.click(position={"x": curve.bounding_box()["width"] / 4, "y": 10})
    assert page.evaluate("video.currentTime") == pytest.approx(0.5, abs=0.03)
    page.focus("#position")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("video.currentTime") == pytest.approx(0.54, abs=0.04)


def test_a_file_too_long_for_a_copy_is_played_from_disk_and_by_keyboard(
    opened: Open, face_clip: Path
) -> None:
    page = opened(result_of(), copied=False)
    assert "too long for a copy in this page" in page.inner_text(".controls")
    page.set_input_files("#original", face_clip)
    until(page, "video.readyState >= 2")
    page.focus("section button.jump >> nth=0")
    page.keyboard.press("Enter")
    until(page, "video.currentTime > 1.1")
    assert page.said == []


def test_verdict_tracks_and_timeline_are_seen_without_scrolling(opened: Open) -> None:
    page = opened(result_of(warnings=["the face is small"]), width=1280)
    bottoms = "[...document.querySelectorAll('%s')].map(e => e.getBoundingClientRect().bottom)"
    for part, count in (("h1", 1), ("body > .warning", 1), ("#lanes > .score", 3), (".ticks", 1)):
        ends = page.evaluate(bottoms % part)
        assert len(ends) == count
        assert max(ends) <= 800, part
    widths = "[...document.querySelectorAll('#lanes > .score .lane')].map(e => e.clientWidth)"
    assert all(width > 700 for width in page.evaluate(widths))
    bars = (
        "[...document.querySelectorAll('.bar, .number')].map(e => [...e.children].map(c => {"
        "const b = c.getBoundingClientRect(); return (b.top + b.bottom) / 2}))"
    )
    for bar, number in page.evaluate(bars):
        assert bar == pytest.approx(number, abs=2)  # in one line


def test_on_paper_all_is_unfolded_and_nothing_to_press_is_left(opened: Open) -> None:
    page = opened(result_of())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.controls')).display") == "none"
    height = "document.querySelector('details.part dl').getBoundingClientRect().height"
    assert page.evaluate(height) > 20


def test_the_box_of_a_face_is_drawn_over_it(opened: Open) -> None:
    page = opened(result_of())
    page.wait_for_timeout(200)
    drawn = (
        "[...document.getElementById('boxes').getContext('2d')"
        ".getImageData(0, 0, boxes.width, boxes.height).data].some(value => value > 0)"
    )
    assert page.evaluate(drawn)
    page.uncheck("#show-boxes")
    assert not page.evaluate(drawn)


def test_verdict_tracks_and_time_are_on_the_first_screen_of_a_phone(opened: Open) -> None:
    page = opened(result_of(warnings=["a face is too blurred to be judged well"]), width=390)
    ends = "[...document.querySelectorAll('h1, .lanes .row')].map(e => e.getBoundingClientRect())"
    assert page.evaluate(f"Math.max(...{ends}.map(r => r.bottom))") <= 844


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_its_text_has_contrast(opened: Open, scheme: str) -> None:
    page = opened(result_of(), width=360, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(CONTRAST) >= 4.5  # WCAG 2 AA


# The least contrast of an element's own text with the background that it stands on.
CONTRAST = """() => {
  const parse = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const skipped = ["SCRIPT", "INPUT", "METER"];
  let least = 21;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.offsetParent || skipped.includes(element.tagName)) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
}"""


def test_a_tag_changes_words_and_maps_and_no_number(tmp_path: Path) -> None:
    plain = page_of(tmp_path, result_of())
    swap, voice = (
        page_of(tmp_path, result_of(), tag=tag)
        for tag in ("face swap", "synthetic or converted voice")
    )
    assert "It looks like a face swap" in swap.text
    assert "It looks like a synthetic or converted voice" in voice.text
    assert "It looks like" not in plain.text
    pictures = [sum(tag == "img" for tag, _ in page.tags) for page in (plain, swap, voice)]
    assert pictures == [3, 2, 2]  # the spectrogram, and maps of face and sound
    told = [json.loads(page.data) for page in (plain, swap, voice)]
    assert [data["evidence"].pop("tag") for data in told] == [
        None, "face swap", "synthetic or converted voice",
    ]  # fmt: skip
    assert told[0] == told[1] == told[2]
