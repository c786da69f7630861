"""The cache of streams: files named by the content and the settings that they were made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from extractors.added_streams import added_key
from extractors.encoder_store import encoder_sha256
from extractors.faces import FaceConfig
from extractors.media import MediaConfig, file_sha256
from extractors.precision import precision_of
from extractors.stream_extractor import StreamExtractor
from extractors.streams import VERSION, StreamConfig, Streams
from pipelines.progress import OnStep
from pipelines.streams.cache_entry import CacheEntry
from pipelines.streams.walk import walk


@dataclass(frozen=True, eq=False)
class Extract:
    """A file's cached streams, and its waveform for sound augmentation."""

    blocks: list[Streams]
    waveform: Tensor | None  # (T * 640,) int16


class StreamCache:
    """Streams on disk, one entry per content, settings, span and sound track.

    Judging and training share the entries of whole files.
    """

    def __init__(
        self,
        folder: Path,
        streams: StreamConfig | None = None,
        faces: FaceConfig | None = None,
        media: MediaConfig | None = None,
    ) -> None:
        self.folder = folder
        self.streams, self.faces = streams or StreamConfig(), faces or FaceConfig()
        self.media = media or MediaConfig()
        self._key = _key(self.streams, self.faces, self.media)
        self._extractor: StreamExtractor | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, path: Path, on_step: OnStep = lambda done, total: None) -> Extract:
        """Return the extract of a media file, making it if needed; `on_step` reports progress.

        Raises:
            MediaError: the file cannot be decoded.
            ScratchError: the extract cannot be written.
        """
        entry = self.entry(path)
        if not entry.streams.exists():
            if self._extractor is None:
                self._extractor = StreamExtractor(self.streams, self.faces)
            with walk(path, self._extractor, self.media, entry=entry, on_step=on_step) as made:
                for _ in made.blocks:  # passing by, they are kept
                    pass
        return Extract(list(entry.blocks()), entry.waveform())

    def has(self, path: Path) -> bool:
        """Return whether the extract of a media file is cached.

        Raises:
            MediaError: the file cannot be read.
        """
        return self.entry(path).streams.exists()

    def entry(
        self,
        path: str | PathLike[str],
        span: range | None = None,
        sound_track: int = 0,
        sha256: str | None = None,
    ) -> CacheEntry:
        """Return the entry of a file, of a span of its steps, or of another of its sound tracks.

        sha256: of the file, where that is known.

        Raises:
            MediaError: the file cannot be read.
        """
        part = "" if span is None else f" {span.start} to {span.stop}"
        part += f" sound {sound_track}" if sound_track else ""
        content = (sha256 or file_sha256(path)) + self._key + part
        name = hashlib.sha256(content.encode()).hexdigest()[:32]
        return CacheEntry(self.folder, name, str(path))


def _key(streams: StreamConfig, faces: FaceConfig, media: MediaConfig) -> str:
    """Return all settings that streams depend on, as text.

    What is not of its default stands at the end, so that entries of the defaults keep their names.
    """
    weights = streams.flow_weights, streams.depth_weights, streams.scenes
    named = encoder_sha256(streams.encoder) if streams.encoder else None
    encoder = named, streams.portrait, streams.portrait_every
    device = torch.device(streams.device)
    auto = streams.precision == "auto" and device.type == "cpu"
    default, other = StreamConfig(), replace(media, threads=MediaConfig().threads)
    more: list[object] = [
        f"{name} {value}"
        for name, value, usual in (
            ("device", streams.device, default.device),
            ("image", streams.portrait_image, default.portrait_image),
            ("added", added_key(streams), ""),
            ("block", (streams.block, streams.context), (default.block, default.context)),
            ("media", other, MediaConfig()),
        )
        if value != usual
    ]
    more += [] if auto or not streams.encoder else [precision_of(streams.precision, device)]
    return f"{VERSION}{weights}{encoder}{faces}{''.join(map(str, more))}"
