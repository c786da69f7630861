"""What a file's content credentials (C2PA) say; looked up in the file alone.

Runs in the decoder's child process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

MAX_MANIFEST = 1_000_000  # characters of content credentials that are looked at
MAX_ACTIONS = 40
MAX_TEXT = 200  # characters of a name
TYPES = {"mov": "video/mp4", "avi": "video/avi", "wav": "audio/wav", "mp3": "audio/mpeg"}
# Where manifests lie, by C2PA 2.2 (appendix A): a box of this identifier, a RIFF chunk, an ID3 tag.
BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
CHUNK = b"C2PA"
TAG = b"c2pa"
MAX_BOXES = 100_000
# Sources of which the IPTC's vocabulary says that a generator made the picture or sound, or parts.
GENERATED = {
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic",
    "algorithmicMedia",
}  # fmt: skip


def read_credentials(source: str, formats: list[str]) -> dict[str, Any]:
    """Return the credentials of the file at `source`, see `extractors.clip.Credentials`.

    `state` is the library's: `Valid` means unchanged since signing, by whomever; only `Trusted`
    means a signer on a trust list. `none` is a file without any; they are looked for in its
    structure before the library is loaded, which takes longer than to judge a short clip's sound.
    """
    kind = next((TYPES[name] for name in formats if name in TYPES), None)
    if kind is None:
        return {"state": "not looked for: no such credentials are defined for this container"}
    if not _has_manifest(source):
        return {"state": "none"}
    import c2pa

    offline = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    try:
        with (
            c2pa.Context(settings=c2pa.Settings.from_dict(offline)) as context,
            Path(source).open("rb") as file,
        ):
            reader = c2pa.Reader.try_create(kind, file, context=context)
            text = None if reader is None else reader.json()
    except c2pa.C2paError as error:
        return _summary({}, f"unreadable: {' '.join(str(error).split())[:MAX_TEXT]}")
    if text is None:
        return {"state": "none"}
    return _summary(json.loads(text)) if len(text) <= MAX_MANIFEST else _summary({}, "very long")


def _summary(store: dict[str, Any], state: str | None = None) -> dict[str, Any]:
    """Return the facts of a manifest store that a person asks for first.

    Who signed is of the active manifest; a generator may have signed the one before it.
    """
    manifests = store.get("manifests", {})
    active = manifests.get(store.get("active_manifest"), {})
    signature = active.get("signature_info") or {}
    makers = active.get("claim_generator_info") or [{}]
    sources = {_source(action) for m in manifests.values() for action in _actions(m)}
    return {
        "state": state or str(store.get("validation_state", "unknown")),
        "generator": str(makers[0].get("name") or active.get("claim_generator", ""))[:MAX_TEXT],
        "issuer": str(signature.get("issuer", ""))[:MAX_TEXT],
        "signed": str(signature.get("time", ""))[:MAX_TEXT],
        "actions": [_words(action) for action in _actions(active)][:MAX_ACTIONS],
        "generated": not sources.isdisjoint(GENERATED),
    }


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from assertion.get("data", {}).get("actions", [])


def _source(action: Mapping[str, Any]) -> str:
    return str(action.get("digitalSourceType", "")).rpartition("/")[2]


def _words(action: Mapping[str, Any]) -> str:
    """Return what was done, and what kind of source it was done to, as the manifest claims."""
    source = _source(action)
    words = f"{action.get('action')} ({source})" if source else str(action.get("action"))
    return words[:MAX_TEXT]


def _has_manifest(source: str) -> bool:
    """Return whether there is a manifest where the file's structure would have one."""
    with Path(source).open("rb") as file:
        head = file.read(12)
        if head[:3] == b"ID3":  # its size has seven bits a byte
            size = sum((byte & 127) << 7 * place for place, byte in enumerate(head[9:5:-1]))
            return TAG in file.read(size)
        if head[:4] == b"RIFF":
            return any(kind == CHUNK for kind in _chunks(file))
        return any(kind == b"uuid" and file.read(16) == BOX for kind in _boxes(file))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the kind of each chunk of a RIFF file."""
    place = 12
    for _ in range(MAX_BOXES):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        yield head[:4]
        size = int.from_bytes(head[4:], "little")
        place += 8 + size + size % 2


def _boxes(file: BinaryIO) -> Iterator[bytes]:
    """Yield the kind of each outer box of an MP4 file, which is then read up to its content."""
    place = 0
    for _ in range(MAX_BOXES):
        file.seek(place)
        head = file.read(8)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if len(head) < 8:
            return
        yield head[4:]
        if size < 8:  # up to the end of the file, or broken
            return
        place += size
