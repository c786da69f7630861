"""A file's own metadata: container, tracks, tags, encoder, key frames, content credentials.

Runs in the decoder's child process. The metadata are shown to people and change no score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from extractors.decoding.container import open_container, packets
from extractors.decoding.credentials import read_credentials

MAX_TAGS = 40  # of the container and of each track
MAX_TEXT = 200  # characters of a tag
MAX_TRACKS = 16
# What encoders write into the first picture of H.264 and H.265: their name and their options.
SIGNATURE = re.compile(rb"(x26[45])[ -]+(?:core |\(build )?(\d+)[\x20-\x7e]*")


def file_facts(source: str, progress: Callable[[], None]) -> dict[str, Any]:
    """Return the metadata of the file at `source`, as plain values of bounded size."""
    with open_container(source) as container:
        video = next(iter(container.streams.video), None)
        facts: dict[str, Any] = {
            "container": str(container.format.long_name or container.format.name),
            "bit_rate": int(container.bit_rate or 0) or None,
            "tags": _tags(container.metadata),
            "tracks": [_track(stream) for stream in list(container.streams)[:MAX_TRACKS]],
            "encoder": None,
            "key_frames": None,
        }
        if video is not None:
            facts |= _picture(container, video, progress)
        names = container.format.name.split(",")
    return facts | {"credentials": read_credentials(source, names)}


def _track(stream: Any) -> dict[str, Any]:
    codec = stream.codec_context
    return {
        "kind": str(stream.type),
        "codec": None if codec is None else str(codec.codec.long_name),
        "profile": None if stream.profile is None else str(stream.profile),
        "pixels": str(codec.pix_fmt) if stream.type == "video" and codec is not None else None,
        "bit_rate": None if codec is None else codec.bit_rate,
        "tags": _tags(stream.metadata),
    }


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    return {str(k)[:MAX_TEXT]: str(v)[:MAX_TEXT] for k, v in list(metadata.items())[:MAX_TAGS]}


def _picture(container: Any, stream: Any, progress: Callable[[], None]) -> dict[str, Any]:
    """Return how the picture was encoded, by its packets: encoder and key frames."""
    signature, frames, keys = None, 0, []
    for packet in packets(container, stream):
        if frames == 0:
            signature = SIGNATURE.search(bytes(packet))
        if packet.size:
            if packet.is_keyframe:
                keys.append(frames)
            frames += 1
        progress()
    gaps = [b - a for a, b in pairwise(keys)]
    return {
        "encoder": None if signature is None else signature.group().decode()[:600],
        "key_frames": {
            "frames": frames, "count": len(keys),
            "longest_gap": max(gaps, default=None), "shortest_gap": min(gaps, default=None),
        },
    }  # fmt: skip
