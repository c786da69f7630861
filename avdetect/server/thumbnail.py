"""The small picture by which a clip is known in the server's list."""

from __future__ import annotations

from pathlib import Path

from extractors.media import open_media
from pipelines.storage.files import write_whole

HEIGHT = 54  # pixels
WIDEST = 2  # of its height, at most
NAME = "thumbnail.jpg"


def write_thumbnail(video: Path, out: Path) -> None:
    """Write a frame of a video's first seconds as a JPEG; sound alone has none.

    Raises:
        MediaError: the file cannot be read.
        OSError: the picture cannot be written.
    """
    import cv2

    with open_media(video) as reader:
        clip = next(iter(reader), None)
    if clip is None or clip.frames is None or not len(clip.frames):
        return
    frame = clip.frames[len(clip.frames) // 2]
    size = min(round(HEIGHT * frame.shape[1] / frame.shape[0]), WIDEST * HEIGHT) or 1
    small = cv2.resize(frame, (size, HEIGHT), interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    write_whole(out, content.tobytes())
