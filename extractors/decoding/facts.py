"""A file's own metadata: container, tracks, tags, encoder, key frames, content credentials.

Runs in the decoder's child process. The metadata are shown to people and change no score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from extractors.decoding.container import open_container, packets

MAX_TAGS = 40  # of the container and of each track
MAX_TEXT = 200  # characters of a tag
MAX_TRACKS = 16
MAX_MANIFEST = 50_000  # characters of content credentials; longer ones are not parsed
# x264 and x265 write their name and options into the first packet.
SIGNATURE = re.compile(rb"(x26[45])[ -]+(?:core |\(build )?(\d+)[\x20-\x7e]*")
CREDENTIAL_TYPES = {"mov": "video/mp4", "avi": "video/avi", "wav": "audio/wav", "mp3": "audio/mpeg"}


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
    return facts | {"credentials": _credentials(source, names)}


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


def _credentials(source: str, formats: list[str]) -> dict[str, Any]:
    """Return the claims of the file's C2PA content credentials, without any network access."""
    import c2pa

    kind = next((CREDENTIAL_TYPES[name] for name in formats if name in CREDENTIAL_TYPES), None)
    if kind is None:
        return {"state": "not looked for: no such credentials are defined for this container"}
    offline = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    try:
        with (
            c2pa.Context(settings=c2pa.Settings.from_dict(offline)) as context,
            Path(source).open("rb") as file,
        ):
            reader = c2pa.Reader.try_create(kind, file, context=context)
            if reader is None:
                return {"state": "none"}
            text = reader.json()
    except c2pa.C2paError as error:
        return {"state": f"unreadable: {' '.join(str(error).split())[:MAX_TEXT]}"}
    return _summary(json.loads(text)) if len(text) <= MAX_MANIFEST else {"state": "very long"}


def _summary(store: dict[str, Any]) -> dict[str, Any]:
    """Return a summary of a manifest store: state, generator, issuer, time of signing, actions.

    `state` is the library's: `Valid` means unchanged since it was signed by anybody; only
    `Trusted` means a signer on a trust list.
    """
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    actions = [
        _action(action)
        for assertion in manifest.get("assertions", [])
        if str(assertion.get("label", "")).startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions", [])
    ]
    signature = manifest.get("signature_info") or {}
    makers = manifest.get("claim_generator_info") or [{}]
    return {
        "state": str(store.get("validation_state", "unknown")),
        "generator": str(makers[0].get("name") or manifest.get("claim_generator", ""))[:MAX_TEXT],
        "issuer": str(signature.get("issuer", ""))[:MAX_TEXT],
        "signed": str(signature.get("time", ""))[:MAX_TEXT],
        "actions": actions[:MAX_TAGS],
    }


def _action(action: Mapping[str, Any]) -> str:
    """Return an action of the manifest, with the type of its digital source."""
    source = str(action.get("digitalSourceType", "")).rpartition("/")[2]
    words = f"{action.get('action')} ({source})" if source else str(action.get("action"))
    return words[:MAX_TEXT]
