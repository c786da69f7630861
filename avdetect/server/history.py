"""Uploads and their results on disk: what is known of each, in a folder that outlives the server.

    history/.lock           held by the one server that works here
    history/<id>/upload     what was sent, removed once it is judged
    history/<id>/job.json   `Upload`; a folder without it is half an upload
    history/<id>/result.json, page.html, thumbnail.jpg

No name that a user sent is ever a path: ids are random, and files have the names above.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.storage.files import write_whole

State = Literal["queued", "judging", "done", "failed"]


@dataclass(frozen=True)
class Upload:
    """What is known of one upload."""

    id: str  # 32 hexadecimal digits
    name: str  # as it was sent, without folders: to be shown, never a path
    size: int  # bytes
    received: str  # ISO 8601, UTC
    state: State = "queued"
    tries: int = 0  # how often judging it was begun
    progress: float = 0.0  # of judging, 0 to 1
    verdict: str | None = None
    score: float | None = None
    warning: str | None = None  # the first of the result's
    thumbnail: bool = False  # whether there is one
    error: str | None = None  # one sentence


def read_jobs(folder: Path) -> list[Upload]:
    """Return the jobs that an earlier server left in a history; half uploads are removed."""
    jobs = []
    for place in folder.iterdir():
        if not re.fullmatch("[0-9a-f]{32}", place.name):
            continue
        try:
            jobs.append(Upload(**json.loads((place / "job.json").read_text("utf-8"))))
        except (OSError, ValueError, TypeError):
            shutil.rmtree(place, ignore_errors=True)
    return jobs


def write_job(folder: Path, job: Upload) -> None:
    """Write a job down, whole or not at all."""
    write_json(folder / job.id / "job.json", asdict(job))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON into a file that is never seen half written."""
    write_whole(path, json.dumps(values, allow_nan=False).encode())


def shown_name(name: str) -> str:
    r"""Return a file's name to be shown: without folders and control characters, not too long.

    >>> shown_name("../../etc/a\x00b\n.mp4"), shown_name("C:\\x\\b.mp4"), shown_name("/")
    ('ab.mp4', 'b.mp4', 'clip')
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter for letter in last if letter.isprintable()).strip()
    return plain[:200] if plain.strip(".") else "clip"
