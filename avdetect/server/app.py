"""A clip dropped on a page in, its report in the browser out; the same for programs, by REST.

A clip is the body of a request, as it is: nothing has to be unpacked, it goes to disk as it comes,
and what is too long is refused before it is there. Of what was sent only a thumbnail is served.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse
from starlette.requests import ClientDisconnect

from avdetect import __version__
from avdetect.server.calls import Calls, add_calls
from avdetect.server.guard import Guard, is_loopback
from avdetect.server.history import Upload
from avdetect.server.pages import render
from avdetect.server.queue import Judge, Queue
from avdetect.server.schema import ALWAYS, CLIP, MISSING, PICTURE, REFUSED, Faults, in_json
from avdetect.server.thumbnail import NAME as THUMBNAIL
from avdetect.server.thumbnail import write_thumbnail
from extractors.media import MediaError, probe
from pipelines.detection.result import Failure, Result
from pipelines.evidence.recorder import explain
from pipelines.report.page import Origin, write_report

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession
    from pipelines.progress import OnStep

MB = 2**20
SILENCE = 60.0  # seconds without a byte after which an upload is given up


Id = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="of a job")]
Name = Annotated[str, Query(max_length=1000, description="the clip's file name, to be shown")]


@dataclass(frozen=True)
class UploadLimits:
    """What a clip may take, and how long its result is kept."""

    megabytes: int = 500  # MiB, of an upload
    minutes: float = 60.0  # of its length, and of the time to judge it
    waiting: int = 100  # clips not judged yet, all together
    days: int | None = None  # that results are kept; None: until they are deleted


def judge_of(session: DetectorSession, origin: Origin, limits: UploadLimits) -> Judge:
    """Return what judges an upload and writes its page."""

    def judge(upload: Path, name: str, page: Path, on_step: OnStep) -> Result:
        if probe(upload).duration > 60 * limits.minutes:
            raise MediaError(f"{name} is longer than the {limits.minutes:g} minutes allowed here")
        verdict, evidence = explain(upload, session, on_step)
        result: Result = {**verdict.to_dict(), "path": name}
        on_step(1, 1)  # the page, too, is written within the limit only
        write_report(result, upload, page, evidence, origin)
        write_thumbnail(upload, page.with_name(THUMBNAIL))
        return result

    return judge


def make_app(
    queue: Queue, limits: UploadLimits, token: str | None, calls: Calls | None = None
) -> FastAPI:
    """Return the application: the page at /, REST under /v1, its description at /openapi.json.

    calls: where challenges of callers are kept, with their page at /call; None: there is none.
    """
    app = FastAPI(
        title="avdetect", version=__version__, docs_url=None, redoc_url=None, responses=ALWAYS,
        description="Tells whether a video with sound has been manipulated.",
    )  # fmt: skip
    app.add_middleware(Guard, token=token)
    _add_uploads(app, queue, limits)
    _add_history(app, queue)

    if calls is not None:

        async def receive(request: Request, path: Path) -> None:
            with _refusing_uploads():
                await _stream(request, path, limits)

        add_calls(app, calls, receive)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def index() -> HTMLResponse:
        return render("serve.html", limits=limits, calls=calls is not None)

    return app


def _add_uploads(app: FastAPI, queue: Queue, limits: UploadLimits) -> None:
    @app.post("/v1/jobs", status_code=202, openapi_extra=CLIP, responses=REFUSED)
    async def add_job(request: Request, name: Name = "clip") -> Upload:
        """Take a clip and return its job at once."""
        return await _receive(request, name, queue, limits)

    unjudged = {"description": "the clip cannot be judged", "model": Failure | Faults}
    waited = REFUSED | MISSING | {422: unjudged}

    @app.post("/v1/detect", response_model=Result, openapi_extra=CLIP, responses=waited)
    async def detect(request: Request, name: Name = "clip") -> Response:
        """Take a clip, wait, and return its result: schema 1, as `avdetect detect --json`."""
        job: Upload | None = await _receive(request, name, queue, limits)
        while job is not None and job.state in ("queued", "judging"):
            await asyncio.sleep(0.1)
            job = queue.get(job.id)
        return _result(queue, job, 200 if job and job.state == "done" else 422)


async def _receive(request: Request, name: str, queue: Queue, limits: UploadLimits) -> Upload:
    """Return the job of the clip in a request's body; what is refused leaves nothing behind."""
    folder = None
    try:
        with _refusing_uploads():
            folder = queue.reserve(limits.waiting)
            if folder is None:
                raise HTTPException(429, f"{limits.waiting} clips wait already; try again later")
            await _stream(request, folder / "upload", limits)
            return queue.add(folder, name)
    finally:
        if folder is not None:
            queue.release(folder)


@contextmanager
def _refusing_uploads() -> Iterator[None]:
    """Turn what may befall an upload into the answers to its request."""
    try:
        yield
    except TimeoutError:
        raise HTTPException(408, f"nothing came for {SILENCE:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the upload broke off") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HTTPException(507, "the server's disk is full; delete old clips") from None


async def _stream(request: Request, path: Path, limits: UploadLimits) -> None:
    """Write a request's body to a file, piece by piece."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        words = "send the clip as the body itself (curl --data-binary @CLIP), not in a form"
        raise HTTPException(415, words)
    limit, size = limits.megabytes * MB, 0
    pieces = request.stream()
    with path.open("wb") as file:
        while (piece := await asyncio.wait_for(anext(pieces, None), SILENCE)) is not None:
            size += len(piece)
            if size > limit:
                raise HTTPException(413, f"a clip may have {limits.megabytes} MiB here")
            file.write(piece)
    if size == 0:
        raise HTTPException(400, "the request holds no clip: its body is empty")


def _add_history(app: FastAPI, queue: Queue) -> None:
    @app.get("/v1/jobs")
    def list_jobs() -> list[Upload]:
        """Return all jobs, the newest first."""
        return queue.jobs()

    @app.get("/v1/jobs/{job_id}", responses=MISSING)
    def get_job(job_id: Id) -> Upload:
        """Return what is known of a job."""
        return _job(queue, job_id)

    @app.delete("/v1/jobs/{job_id}", status_code=204, responses=MISSING)
    def delete_job(job_id: Id) -> None:
        """Delete a job, its clip, its result and its page."""
        queue.remove(_job(queue, job_id))

    @app.get("/v1/jobs/{job_id}/result", response_model=Result | Failure, responses=MISSING)
    def get_result(job_id: Id) -> Response:
        """Return the result of a clip that was judged, or why it could not be."""
        return _result(queue, _job(queue, job_id))

    told = in_json(ALWAYS | MISSING)

    @app.get("/v1/jobs/{job_id}/page", response_class=HTMLResponse, responses=told)
    def get_page(job_id: Id) -> FileResponse:
        """Return the page of a clip that was judged."""
        page = queue.folder / _job(queue, job_id).id / "page.html"
        if not page.is_file():
            raise HTTPException(404, "the clip has no page, or none yet")
        return FileResponse(page, media_type="text/html; charset=utf-8")

    @app.get("/v1/jobs/{job_id}/thumbnail", response_class=Response, responses=PICTURE | MISSING)
    def get_thumbnail(job_id: Id) -> FileResponse:
        """Return a small picture of a clip that was judged."""
        picture = queue.folder / _job(queue, job_id).id / THUMBNAIL
        if not picture.is_file():
            raise HTTPException(404, "the clip has no picture, or none yet")
        return FileResponse(picture, media_type="image/jpeg")


def _job(queue: Queue, name: str) -> Upload:
    job = queue.get(name)
    if job is None:
        raise HTTPException(404, "there is no such job")
    return job


def _result(queue: Queue, job: Upload | None, status: int = 200) -> Response:
    """Return the result of a job as it lies on disk."""
    path = None if job is None else queue.folder / job.id / "result.json"
    try:
        if path is not None:
            return Response(path.read_bytes(), status, media_type="application/json")
    except FileNotFoundError:
        pass
    raise HTTPException(404, "there is no result, or none yet")


def address(server: socket.socket, token: str | None) -> str:
    """Return what to open in a browser; a server that listens everywhere goes by this host."""
    host, port = server.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = _own_name()
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/" + (f"?token={token}" if token else "")


def _own_name() -> str:
    """Return this machine's name where it leads here, otherwise localhost."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return "localhost"
    return name


def token_for(host: str, given: str | None) -> str | None:
    """Return the token that requests need: the given one, or a new one beyond this machine."""
    return given or (None if is_loopback(host) else secrets.token_urlsafe(24))


def run(app: FastAPI, server: socket.socket) -> None:
    """Serve until interrupted; requests that wait then have five seconds to end."""
    import uvicorn

    config = uvicorn.Config(
        app, log_level="warning", server_header=False, timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 * 1024,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[server])
