"""Calls over REST: a challenge out, a recorded answer in.

Each call is one file beside the clips, `history/calls/<id>.json`: see `pipelines.challenge.call`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from avdetect.server.pages import render
from avdetect.server.schema import CLIP, NO_ANSWER, NO_CALL, REFUSED
from extractors.errors import InputError
from extractors.media import MediaError
from pipelines.challenge.call import Call, read_call, to_plain, write_call
from pipelines.challenge.recordings import Hear, hear_answer

CallId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="of a call")]
Nonce = Annotated[str, InPath(pattern="^[0-9a-f]{16}$", description="of a challenge")]
Decided = Annotated[Literal["genuine", "forged"], Query(description="by whoever listened")]
Plain = dict[str, Any]  # a call as its file has it
Receive = Callable[[Request, Path], Awaitable[None]]  # writes a request's body to a file


class Calls:
    """The calls of a folder, changed one at a time."""

    def __init__(self, folder: Path, hear: Hear) -> None:
        """Take up the folder, which is made where there is none; hear: the detector's opinion."""
        self.folder, self._hear, self._one = folder, hear, Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin(self) -> Plain:
        """Return a new call."""
        name = secrets.token_hex(16)
        return self._keep(name, Call())

    def get(self, name: str) -> Plain:
        """Return a call."""
        return _told(name, self._read(name))

    def ask(self, name: str) -> Plain:
        """Return a call with one more challenge, the last of `asked`."""
        with self._one:
            try:
                return self._keep(name, self._read(name).ask(time.time())[0])
            except InputError as error:
                raise HTTPException(409, str(error)) from None

    def answer(self, name: str, nonce: str, recording: Path, now: float) -> Plain:
        """Return a call with a recorded answer."""
        with self._one:
            try:
                call = hear_answer(self._read(name), nonce, recording, self._hear, now)
            except InputError as error:
                raise HTTPException(409, str(error)) from None
            except MediaError as error:
                words = str(error).replace(str(recording), "the recording")
                raise HTTPException(422, words) from None
            return self._keep(name, call)

    def decide(self, name: str, human: Literal["genuine", "forged"]) -> Plain:
        """Return a call with the decision of whoever listened."""
        with self._one:
            return self._keep(name, replace(self._read(name), human=human))

    def remove(self, name: str) -> None:
        """Delete a call."""
        with self._one:
            self._read(name)
            (self.folder / f"{name}.json").unlink()

    def _read(self, name: str) -> Call:
        try:
            return read_call(self.folder / f"{name}.json")
        except FileNotFoundError:
            raise HTTPException(404, "there is no such call") from None

    def _keep(self, name: str, call: Call) -> Plain:
        write_call(self.folder / f"{name}.json", call)
        return _told(name, call)


def _told(name: str, call: Call) -> Plain:
    return {"id": name, **to_plain(call)}


def add_calls(app: FastAPI, calls: Calls, receive: Receive) -> None:
    """Add the requests about calls to an application, and their page at /call."""

    @app.get("/call", response_class=HTMLResponse, include_in_schema=False)
    def page() -> HTMLResponse:
        return render("call.html")

    @app.post("/v1/calls", status_code=201)
    def begin_call() -> Plain:
        """Begin a call."""
        return calls.begin()

    @app.get("/v1/calls/{call_id}", responses=NO_CALL)
    def get_call(call_id: CallId) -> Plain:
        """Return a call: its challenges, their answers and what these add up to."""
        return calls.get(call_id)

    @app.delete("/v1/calls/{call_id}", status_code=204, responses=NO_CALL)
    def delete_call(call_id: CallId) -> None:
        """Delete a call."""
        calls.remove(call_id)

    @app.post("/v1/calls/{call_id}/challenges", responses=NO_ANSWER)
    def ask(call_id: CallId) -> Plain:
        """Put one more challenge."""
        return calls.ask(call_id)

    @app.post(
        "/v1/calls/{call_id}/answers/{nonce}", openapi_extra=CLIP, responses=REFUSED | NO_ANSWER
    )
    async def answer(request: Request, call_id: CallId, nonce: Nonce) -> Plain:
        """Take the recorded answer to a challenge and judge it."""
        now = time.time()
        with TemporaryDirectory() as folder:
            recording = Path(folder) / "answer"
            await receive(request, recording)
            return await run_in_threadpool(calls.answer, call_id, nonce, recording, now)

    @app.post("/v1/calls/{call_id}/decision", responses=NO_CALL)
    def decide(call_id: CallId, human: Decided) -> Plain:
        """Note what whoever listened decided."""
        return calls.decide(call_id, human)
