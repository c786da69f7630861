"""Uploads in, results out, one after the other; `avdetect.server.history` keeps them on disk."""

from __future__ import annotations

import logging
import queue
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread

from avdetect.server.history import Upload, read_jobs, shown_name, write_job, write_json
from avdetect.server.thumbnail import NAME as THUMBNAIL
from extractors.errors import AvdetectError
from extractors.media import MediaError
from pipelines.detection.result import Failure, Result
from pipelines.detection.verdict import error_dict
from pipelines.progress import OnStep
from pipelines.storage.local_copy import hold

Judge = Callable[[Path, str, Path, OnStep], Result]  # upload, its name, page, on_step


TRIES = 3  # a clip over which the server ended so often is not tried again
LOOKS = 600.0  # seconds between two looks for what is too old to be kept
log = logging.getLogger(__name__)


class QueueError(AvdetectError):
    """The history cannot be used. The message is one sentence that names it and the cause."""


class RemovedError(Exception):
    """The clip was deleted while it was judged."""


class Queue:
    """The history and the thread that judges what waits in it, in the order of arrival."""

    def __init__(
        self, folder: Path, judge: Judge, seconds: float, keep: float | None = None
    ) -> None:
        """Take up the history in the folder, which is made where there is none.

        Args:
            folder: the history.
            judge: writes the page of an upload and returns its result.
            seconds: that judging one clip may take.
            keep: seconds that results are kept; None: until they are deleted.

        Raises:
            QueueError: another server works there.
            OSError: it cannot be written to.
        """
        self.folder, self._judge, self._seconds, self._keep_for = folder, judge, seconds, keep
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hold(folder / ".lock") is None:  # held until this process ends
            raise QueueError(f"{folder}: another server keeps its history there")
        self._guard = Lock()
        self._jobs: dict[str, Upload] = {}
        self._arriving: set[str] = set()  # ids of uploads under way
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._recover()

    def start(self) -> None:
        """Begin to judge."""
        Thread(target=self._work, name="judge", daemon=True).start()

    def jobs(self) -> list[Upload]:
        """Return all jobs, the newest first."""
        with self._guard:
            return sorted(self._jobs.values(), key=lambda job: job.received, reverse=True)

    def get(self, name: str) -> Upload | None:
        """Return the job of an id, None where there is none."""
        with self._guard:
            return self._jobs.get(name)

    def waiting(self) -> int:
        """Return how many clips are not judged yet; those under way count."""
        with self._guard:
            return self._unjudged()

    def _unjudged(self) -> int:
        waiting = sum(job.state in ("queued", "judging") for job in self._jobs.values())
        return waiting + len(self._arriving - self._jobs.keys())

    def reserve(self, most: int) -> Path | None:
        """Return an empty folder, named by a new id, for an upload; None where `most` clips wait.

        Whoever gets it gives it back to `release`, whatever came of the upload.
        """
        folder = self.folder / secrets.token_hex(16)
        with self._guard:
            if self._unjudged() >= most:
                return None
            folder.mkdir(mode=0o700)
            self._arriving.add(folder.name)
        return folder

    def release(self, folder: Path) -> None:
        """End an upload; what did not become a job leaves nothing behind."""
        with self._guard:
            self._arriving.discard(folder.name)
            if folder.name not in self._jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def add(self, folder: Path, name: str) -> Upload:
        """Return the job of an upload that lies whole in a folder of `reserve`."""
        size = (folder / "upload").stat().st_size
        received = datetime.now(UTC).isoformat(timespec="microseconds")
        job = Upload(folder.name, shown_name(name), size, received)
        self._keep(job)
        self._waiting.put(job.id)
        return job

    def remove(self, job: Upload) -> None:
        """Delete everything about a job; one that is being judged stops at its next chunk."""
        with self._guard:
            self._jobs.pop(job.id, None)
            shutil.rmtree(self.folder / job.id, ignore_errors=True)

    def _keep(self, job: Upload) -> None:
        """Write a job down, whole or not at all."""
        with self._guard:
            write_job(self.folder, job)
            self._jobs[job.id] = job

    def _recover(self) -> None:
        """Read what an earlier server left: half uploads go, unjudged clips wait again."""
        self._jobs.update({job.id: job for job in read_jobs(self.folder)})
        for job in reversed(self.jobs()):
            if job.state not in ("queued", "judging"):
                continue
            if job.tries < TRIES:
                self._keep(replace(job, state="queued", progress=0.0))
                self._waiting.put(job.id)
            else:
                words = f"{job.name}: avdetect ended {job.tries} times while it judged this clip"
                self._finish(job, error_dict(job.name, MediaError(words)))

    def _work(self) -> None:
        while True:
            self._forget()
            try:
                job = self.get(self._waiting.get(timeout=LOOKS))
            except queue.Empty:
                continue
            if job is None:  # deleted while it waited
                continue
            try:
                self._take(job)
            except (RemovedError, OSError) as error:
                self._give_up(job, error)

    def _forget(self) -> None:
        """Delete what was kept long enough."""
        if self._keep_for is None:
            return
        now = datetime.now(UTC)
        for job in self.jobs():
            age = (now - datetime.fromisoformat(job.received)).total_seconds()
            if job.state in ("done", "failed") and age > self._keep_for:
                self.remove(job)

    def _give_up(self, job: Upload, error: Exception) -> None:
        """Tell of a clip whose result could not be written; leave nothing of a deleted one."""
        with self._guard:
            if job.id in self._jobs:
                log.error("the history cannot be written", exc_info=error)
                cause = getattr(error, "strerror", None) or type(error).__name__
                words = f"{job.name}: its result could not be written ({cause})"
                self._jobs[job.id] = replace(job, state="failed", error=words)
            else:  # its page may have been written after the folder was gone
                shutil.rmtree(self.folder / job.id, ignore_errors=True)

    def _take(self, job: Upload) -> None:
        """Judge one clip; whatever it does, the next one gets its turn."""
        job = replace(job, state="judging", tries=job.tries + 1)
        self._keep(job)
        folder = self.folder / job.id
        try:
            on_step = self._watch(job)
            result: Result | Failure
            result = self._judge(folder / "upload", job.name, folder / "page.html", on_step)
        except MediaError as error:
            words = str(error).replace(str(folder / "upload"), job.name)
            result = error_dict(job.name, MediaError(words))
        except (RemovedError, OSError):
            raise
        except Exception as error:  # one clip must not stop those behind it
            log.exception("judging failed")
            words = f"{job.name} cannot be judged ({type(error).__name__} within avdetect)"
            result = error_dict(job.name, RuntimeError(words))
        self._finish(job, result)

    def _watch(self, job: Upload) -> OnStep:
        """Return what is told each step: it shows progress, and ends what is to be ended."""
        end = time.monotonic() + self._seconds

        def on_step(done: int, total: int) -> None:
            if time.monotonic() > end:
                limit = f"{self._seconds / 60:g} minutes"
                raise MediaError(f"{job.name} takes longer to judge than the {limit} allowed here")
            with self._guard:
                if job.id not in self._jobs:
                    raise RemovedError(job.id)
                share = min(1.0, done / max(total, 1))
                self._jobs[job.id] = replace(job, progress=round(share, 3))

        return on_step

    def _finish(self, job: Upload, result: Result | Failure) -> None:
        """Keep a result; the clip itself is no longer needed."""
        if self.get(job.id) is None:
            raise RemovedError(job.id)
        if result["status"] == "ok":
            job = replace(
                job, state="done", progress=1.0, verdict=result["verdict"], score=result["score"],
                warning=next(iter(result["warnings"]), None),
                thumbnail=(self.folder / job.id / THUMBNAIL).is_file(),
            )  # fmt: skip
        else:
            job = replace(job, state="failed", error=result["error"]["message"])
        write_json(self.folder / job.id / "result.json", result)
        self._keep(job)
        (self.folder / job.id / "upload").unlink(missing_ok=True)
