"""Results that were written earlier in, the one that a report is asked of out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extractors.media import file_sha256


class ResultError(Exception):
    """There is no such result to write a page of. The message is one sentence."""


def page_stem(result: Mapping[str, Any]) -> str:
    """Return a name for what is written of a result: the video's, made harmless, and its hash.

    >>> page_stem({"path": "x/../a b<i>.mp4", "sha256": "0123456789abcdef"})
    'a_b_i_-01234567'
    """
    stem = re.sub(r"[^\w.-]", "_", Path(result["path"]).stem)[:80]
    return f"{stem}-{result['sha256'][:8]}"


def read_result(path: Path, video: Path) -> dict[str, Any]:
    """Return the last result in a file of JSON lines, or of one object, that is of this video.

    Raises:
        ResultError: the file holds no results, or none of this video.
        MediaError: the video cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not text"
        raise ResultError(f"{path}: cannot be read ({cause})") from error
    rows = _rows(text)
    if not rows:
        raise ResultError(f"{path}: holds no result of `avdetect detect --json`")
    content = file_sha256(video)
    mine = [row for row in rows if row.get("sha256") == content]
    if not mine:
        raise ResultError(f"{path}: holds no result of {video}, by the SHA-256 of its content")
    return mine[-1]


def _rows(text: str) -> list[dict[str, Any]]:
    """Return the results among a text's JSON, one object or one a line."""
    rows = []
    for part in (text, *text.splitlines()):
        try:
            row = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.get("schema") == 1 and row.get("status") == "ok":
            rows.append(row)
    return rows
