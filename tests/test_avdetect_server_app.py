"""Clips sent to the server are judged, kept and deleted; bad ones harm nothing."""

from __future__ import annotations

import argparse
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi.testclient import TestClient

from avdetect import cli
from avdetect.server.app import UploadLimits, address, judge_of, make_app, token_for
from avdetect.server.queue import TRIES, Judge, Queue, QueueError
from extractors.media import MediaError
from pipelines.report.page import Origin

HOME = "http://127.0.0.1"


def stub(upload: Path, name: str, page: Path, on_step: Callable[[int, int], None]) -> Any:
    """Judge as the real one does, but by the first letters."""
    content = upload.read_bytes()
    if not content.startswith(b"clip"):
        raise MediaError(f"{upload} is no video")
    on_step(1, 1)
    page.write_text("<p>page")
    if name.endswith(".mp4"):
        page.with_name("thumbnail.jpg").write_bytes(b"JPEG")
    warnings = ["the face is small", "the sound is silent"]
    result = {"schema": 1, "status": "ok", "path": name, "verdict": "fake", "score": 0.9}
    return {**result, "warnings": warnings}


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., TestClient]:
    """A function that starts a server over the folder `history`."""

    def start(judge: Judge = stub, token: str | None = None, **limits: Any) -> TestClient:
        queue = Queue(tmp_path / "history", judge, 60.0)
        queue.start()
        return TestClient(make_app(queue, UploadLimits(**limits), token), base_url=HOME)

    return start


def test_a_clip_is_answered_by_its_result_and_its_page_can_be_read(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = serve()
    answer = client.post("/v1/detect?name=a.mp4", content=b"clip")
    assert answer.status_code == 200
    assert answer.json()["path"] == "a.mp4"
    (job,) = client.get("/v1/jobs").json()
    assert (job["state"], job["verdict"], job["score"], job["size"]) == ("done", "fake", 0.9, 4)
    assert client.get(f"/v1/jobs/{job['id']}/result").json() == answer.json()
    page = client.get(f"/v1/jobs/{job['id']}/page")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not (tmp_path / "history" / job["id"] / "upload").exists()
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert client.get("/v1/jobs").json() == []
    assert [p.name for p in (tmp_path / "history").iterdir()] == [".lock"]


def test_a_clip_is_listed_with_its_first_warning_and_a_thumbnail(
    serve: Callable[..., TestClient],
) -> None:
    client = serve()
    for name in ("a.mp4", "b.wav"):
        assert client.post(f"/v1/detect?name={name}", content=b"clip").status_code == 200
    sound, video = client.get("/v1/jobs").json()
    assert video["warning"] == "the face is small"
    assert (video["thumbnail"], sound["thumbnail"]) == (True, False)
    picture = client.get(f"/v1/jobs/{video['id']}/thumbnail")
    assert (picture.headers["content-type"], picture.content) == ("image/jpeg", b"JPEG")
    assert client.get(f"/v1/jobs/{sound['id']}/thumbnail").status_code == 404
    assert client.get(f"/v1/jobs/{'0' * 32}/thumbnail").status_code == 404


def test_a_bad_file_is_one_sentence_that_names_it_and_no_folder(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    answer = serve().post("/v1/detect?name=notes.txt", content=b"words")
    assert answer.status_code == 422
    assert answer.json()["error"] == {"type": "MediaError", "message": "notes.txt is no video"}
    assert str(tmp_path) not in answer.text


def test_a_clip_that_breaks_the_judge_does_not_stop_the_next(
    serve: Callable[..., TestClient],
) -> None:
    def judge(upload: Path, name: str, page: Path, on_step: Any) -> Any:
        if name == "broken.mp4":
            raise ZeroDivisionError
        return stub(upload, name, page, on_step)

    client = serve(judge)
    assert client.post("/v1/detect?name=broken.mp4", content=b"clip").status_code == 422
    assert client.post("/v1/detect?name=good.mp4", content=b"clip").status_code == 200


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = serve(megabytes=1)
    pieces = iter([b"x" * 2**19] * 3)  # of no announced length
    assert client.post("/v1/jobs", content=pieces).status_code == 413
    assert client.post("/v1/jobs", content=b"").status_code == 400
    assert client.post("/v1/jobs", content=b"clip" + b"x" * (2**20 - 4)).status_code == 202
    assert len(list((tmp_path / "history").glob("*/job.json"))) == 1


def test_a_clip_in_a_form_is_told_to_come_as_it_is(serve: Callable[..., TestClient]) -> None:
    answer = serve().post("/v1/detect", files={"file": ("a.mp4", b"clip")})
    assert answer.status_code == 415
    assert "--data-binary" in answer.json()["detail"]


def test_more_clips_than_may_wait_are_refused(serve: Callable[..., TestClient]) -> None:
    held = threading.Event()

    def judge(upload: Path, name: str, page: Path, on_step: Any) -> Any:
        held.wait(10)
        return stub(upload, name, page, on_step)

    client = serve(judge, waiting=2)
    codes = [client.post("/v1/jobs", content=b"clip").status_code for _ in range(3)]
    held.set()
    assert codes == [202, 202, 429]


def test_a_clip_longer_than_the_limit_is_refused_before_it_is_judged(face_clip: Path) -> None:
    judge = judge_of(None, Origin("avdetect", "0"), UploadLimits(minutes=0.01))  # type: ignore[arg-type]
    with pytest.raises(MediaError, match=r"^a\.mp4 is longer than the 0\.01 minutes"):
        judge(face_clip, "a.mp4", face_clip, lambda done, total: None)


def test_the_time_limit_covers_heat_maps_and_page(
    face_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explained(path: Path, session: Any, on_step: Any) -> Any:
        return verdict, None

    verdict = argparse.Namespace(to_dict=dict)
    monkeypatch.setattr("avdetect.server.app.explain", explained)
    judge = judge_of(None, Origin("avdetect", "0"), UploadLimits())  # type: ignore[arg-type]

    def over(done: int, total: int) -> None:
        raise MediaError("over time")

    with pytest.raises(MediaError, match="over time"):
        judge(face_clip, "a.mp4", tmp_path / "page.html", over)
    assert not (tmp_path / "page.html").exists()


def test_twenty_uploads_at_once_are_all_answered(serve: Callable[..., TestClient]) -> None:
    client = serve()
    with ThreadPoolExecutor(20) as pool:
        names = [f"{i}.mp4" for i in range(20)]
        answers = pool.map(lambda n: client.post(f"/v1/detect?name={n}", content=b"clip"), names)
        assert [answer.json()["path"] for answer in answers] == names


def test_a_new_server_keeps_results_and_takes_up_what_waited(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    template = {"name": "a.mp4", "size": 4, "received": "2026-01-01T00:00:00+00:00"}
    jobs = {
        "0" * 32: {"state": "done", "verdict": "real", "score": 0.1},
        "1" * 32: {"state": "judging", "tries": 1},
        "2" * 32: {"state": "judging", "tries": TRIES},
    }
    for name, job in jobs.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "upload").write_bytes(b"clip")
        (folder / name / "job.json").write_text(json.dumps(template | {"id": name} | job))
    (folder / ("3" * 32)).mkdir()  # half an upload
    (folder / "mine").mkdir()  # nothing of the server's
    queue = Queue(folder, stub, 60.0)
    queue.start()
    end = time.monotonic() + 10
    while queue.waiting() and time.monotonic() < end:
        time.sleep(0.01)
    states = {job.id[0]: (job.state, job.verdict) for job in queue.jobs()}
    assert states == {"0": ("done", "real"), "1": ("done", "fake"), "2": ("failed", None)}
    assert not (folder / ("3" * 32)).exists()
    assert (folder / "mine").exists()


def test_uploads_under_way_count_among_those_that_wait(tmp_path: Path) -> None:
    queue = Queue(tmp_path, stub, 60.0)
    first, second = queue.reserve(2), queue.reserve(2)
    assert first is not None
    assert second is not None
    assert queue.reserve(2) is None
    queue.release(second)  # broken off
    assert not second.exists()
    (first / "upload").write_bytes(b"clip")
    queue.add(first, "a.mp4")
    queue.release(first)
    assert queue.waiting() == 1
    assert (first / "upload").exists()
    assert queue.reserve(2) is not None


def test_a_clip_deleted_while_it_is_judged_leaves_nothing_and_the_next_gets_its_turn(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    begun, deleted = threading.Event(), threading.Event()

    def judge(upload: Path, name: str, page: Path, on_step: Any) -> Any:
        if name != "next.mp4":
            begun.set()
            deleted.wait(10)
            if name == "page.mp4":  # as a page is written that makes its folder
                page.parent.mkdir()
                page.write_text("<p>page")
                return {"schema": 1, "status": "ok", "verdict": "fake", "score": 0.9}
        return stub(upload, name, page, on_step)

    client = serve(judge)
    for name in ("steps.mp4", "page.mp4"):
        begun.clear(), deleted.clear()
        job = client.post(f"/v1/jobs?name={name}", content=b"clip").json()
        assert begun.wait(10)
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        deleted.set()
        answer = client.post("/v1/detect?name=next.mp4", content=b"clip")
        assert answer.status_code == 200
        assert not (tmp_path / "history" / job["id"]).exists()


def test_a_full_disk_is_one_sentence(
    serve: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")  # every write into it fails for want of space
    if not full.exists():
        pytest.skip("no /dev/full")
    reserve = Queue.reserve

    def onto_full_disk(queue: Queue, most: int) -> Path | None:
        folder = reserve(queue, most)
        if folder is not None:
            (folder / "upload").symlink_to(full)
        return folder

    monkeypatch.setattr(Queue, "reserve", onto_full_disk)
    answer = serve().post("/v1/jobs", content=b"clip")
    assert answer.status_code == 507
    assert answer.json() == {"detail": "the server's disk is full; delete old clips"}
    assert [p.name for p in (tmp_path / "history").iterdir()] == [".lock"]


def test_a_result_that_cannot_be_written_stops_no_other_clip(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    def judge(upload: Path, name: str, page: Path, on_step: Any) -> Any:
        if name == "a.mp4":
            raise OSError(28, "No space left on device", str(page))
        return stub(upload, name, page, on_step)

    client = serve(judge)
    client.post("/v1/detect?name=a.mp4", content=b"clip")
    assert client.post("/v1/detect?name=b.mp4", content=b"clip").status_code == 200
    job = client.get("/v1/jobs").json()[1]
    assert job["state"] == "failed"
    assert job["error"] == "a.mp4: its result could not be written (No space left on device)"


def test_results_are_deleted_once_they_are_old_enough(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for name, age in (("0" * 32, 3), ("1" * 32, 1)):
        folder = tmp_path / name
        folder.mkdir()
        received = (now - timedelta(days=age)).isoformat()
        job = {"id": name, "name": "a.mp4", "size": 4, "received": received, "state": "done"}
        (folder / "job.json").write_text(json.dumps(job))
    queue = Queue(tmp_path, stub, 60.0, keep=2 * 24 * 3600.0)
    queue.start()
    end = time.monotonic() + 10
    while len(queue.jobs()) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert [job.id[0] for job in queue.jobs()] == ["1"]
    assert not (tmp_path / ("0" * 32)).exists()
    assert (tmp_path / ("1" * 32)).exists()


def test_two_servers_do_not_share_a_history(tmp_path: Path) -> None:
    Queue(tmp_path, stub, 60.0)
    with pytest.raises(QueueError, match="another server"):
        Queue(tmp_path, stub, 60.0)


HOSTILE = [
    "../../../etc/passwd", "..\\..\\x", "<script>alert(1)</script>", "a\x00b", "%2e%2e%2f", "", ".",
    "..", "\u202egpj.exe", "x" * 999, "CON", "-rf", "\r\nSet-Cookie: a=b",
]  # fmt: skip


def test_two_hundred_hostile_uploads_break_nothing(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    client, draw = serve(), random.Random(0)
    for index in range(200):
        name = HOSTILE[index % len(HOSTILE)] + "".join(chr(draw.randrange(1, 300)) for _ in "1234")
        content = b"clip" * (index % 2) + draw.randbytes(draw.randrange(1, 50))
        answer = client.post("/v1/jobs", params={"name": name[:1000]}, content=content)
        assert answer.status_code == 202
        assert not set(answer.json()["name"]) & set("/\\\r\n\x00\u202e")
    end = time.monotonic() + 30
    while any(j["state"] in ("queued", "judging") for j in client.get("/v1/jobs").json()):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["history"]
    files = {p.name for p in (tmp_path / "history").glob("*/*")}
    assert files == {"job.json", "result.json", "page.html"}


@pytest.mark.parametrize("job", ["..%2f..%2fetc%2fpasswd", "0" * 32, "x", "%00"])
def test_an_id_that_is_none_opens_no_file(serve: Callable[..., TestClient], job: str) -> None:
    client = serve()
    for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/page", f"/v1/jobs/{job}/result"):
        assert client.get(path).status_code in (404, 422)


def test_other_web_sites_are_not_answered(serve: Callable[..., TestClient]) -> None:
    client = serve()
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    evil = {"Origin": "http://evil.example"}
    assert client.post("/v1/jobs", content=b"clip", headers=evil).status_code == 403
    own = {"Origin": HOME}
    assert client.post("/v1/jobs", content=b"clip", headers=own).status_code == 202


def test_beyond_this_machine_a_token_is_needed(serve: Callable[..., TestClient]) -> None:
    assert token_for("127.0.0.1", None) is None
    assert token_for("0.0.0.0", None) != token_for("0.0.0.0", None)
    client = serve(token="secret")
    assert client.get("/v1/jobs").status_code == 401
    assert client.get("/openapi.json").status_code == 401
    assert client.get("/?token=wrong").status_code == 401
    bearer = {"Authorization": "Bearer secret"}
    assert client.get("/v1/jobs", headers=bearer).status_code == 200
    assert client.get("/?token=secret").status_code == 200  # by way of a cookie
    assert client.get("/v1/jobs").status_code == 200


def test_only_scripts_of_the_page_itself_may_run(serve: Callable[..., TestClient]) -> None:
    page = serve().get("/")
    policy = page.headers["content-security-policy"]
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert page.text.count(f'nonce="{nonce}"') == page.text.count("nonce=") == 2
    assert "innerHTML" not in page.text


def test_every_path_and_refusal_is_described(serve: Callable[..., TestClient]) -> None:
    paths = serve().get("/openapi.json").json()["paths"]
    detect = paths["/v1/detect"]["post"]
    assert "application/octet-stream" in detect["requestBody"]["content"]
    assert {"200", "400", "401", "403", "408", "413", "415", "422", "429", "507"} <= set(
        detect["responses"]
    )
    assert set(paths) == {"/v1/jobs", "/v1/detect", *(f"/v1/jobs/{{job_id}}{x}" for x in
                          ("", "/result", "/page", "/thumbnail"))}  # fmt: skip


def test_a_page_is_described_as_html_and_its_refusals_as_json(
    serve: Callable[..., TestClient],
) -> None:
    description = serve().get("/openapi.json").json()
    answers = description["paths"]["/v1/jobs/{job_id}/page"]["get"]["responses"]
    kinds = {status: list(answer["content"]) for status, answer in answers.items()}
    assert kinds.pop("200") == ["text/html"]
    assert set(kinds) == {"401", "403", "404", "422"}
    for status, kind in kinds.items():
        assert kind == ["application/json"]
        name = answers[status]["content"][kind[0]]["schema"]["$ref"].split("/")[-1]
        assert "detail" in description["components"]["schemas"][name]["properties"]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Host and port of a server that really listens, over the folder `history`."""
    queue = Queue(tmp_path / "history", stub, 60.0)
    queue.start()
    server = uvicorn.Server(
        uvicorn.Config(make_app(queue, UploadLimits(), None), log_level="error")
    )
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        yield door.getsockname()[:2]
        server.should_exit = True
        thread.join(10)


HALF = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nclip"


def test_an_upload_that_stands_still_is_answered_and_leaves_nothing(
    listening: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avdetect.server.app.SILENCE", 0.2)
    with socket.create_connection(listening, timeout=10) as client:
        client.sendall(HALF)
        answer = client.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert [p.name for p in (tmp_path / "history").iterdir()] == [".lock"]


def test_an_upload_that_breaks_off_leaves_nothing(
    listening: tuple[str, int], tmp_path: Path
) -> None:
    def uploads() -> list[Path]:
        return list((tmp_path / "history").glob("*/upload"))

    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    with socket.create_connection(listening, timeout=10) as client:
        client.sendall(HALF)
        until(lambda: len(uploads()) == 1)
    until(lambda: [p.name for p in (tmp_path / "history").iterdir()] == [".lock"])


def test_the_printed_address_can_be_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        assert address(door, None) == f"http://127.0.0.1:{port}/"
    with socket.create_server(("0.0.0.0", 0)) as door:
        opened = urlsplit(address(door, "t"))
        assert opened.hostname not in (None, "0.0.0.0")
        assert opened.query == "token=t"
        socket.create_connection((opened.hostname, opened.port), timeout=5).close()


def test_an_address_that_is_taken_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--host", "203.0.113.1", "--port", "0"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "--host 203.0.113.1" in errors
