"""A cache of extracted streams, in files named by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractors.encoder_store import encoder_sha256
from extractors.faces import FaceConfig
from extractors.media import Clip, file_sha256, read_chunks
from extractors.stream_extractor import StreamExtractor
from extractors.streams import VERSION, StreamConfig, Streams, load_streams, save_streams
from pipelines.detection.starter import ENCODER
from pipelines.progress import OnStep
from pipelines.storage.files import write_by


@dataclass(frozen=True, eq=False)
class Extract:
    """A file's cached streams, and its waveform for sound augmentation."""

    blocks: list[Streams]
    waveform: Tensor | None  # (T * 640,) int16


class StreamCache:
    """Streams on disk, one entry per content and configuration, extracted on first use."""

    def __init__(
        self, folder: Path, streams: StreamConfig | None = None, faces: FaceConfig | None = None
    ) -> None:
        self.folder = folder
        self.streams, self.faces = streams or StreamConfig(), faces or FaceConfig()
        weights = self.streams.flow_weights, self.streams.depth_weights, self.streams.scenes
        encoder = self.streams.encoder, self.streams.portrait, self.streams.portrait_every
        self._key = f"{VERSION}{weights}{encoder}{self.faces}{_of_encoder(self.streams)}"
        self._extractor: StreamExtractor | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, path: Path, on_step: OnStep = lambda done, total: None) -> Extract:
        """Return the extract of a media file, making it if needed; `on_step` reports progress.

        Raises:
            MediaError: the file cannot be decoded.
        """
        streams, sound = self._files(path)
        if not streams.exists():
            waveforms: list[np.ndarray] = []  # type: ignore[type-arg]
            if self._extractor is None:
                self._extractor = StreamExtractor(self.streams, self.faces)
            blocks = list(self._extractor(_tee(read_chunks(path), waveforms, on_step)))
            if waveforms:
                samples = (np.concatenate(waveforms) * 32767).round().clip(-32768, 32767)
                waveform = torch.from_numpy(samples.astype(np.int16))
                write_by(sound, partial(save_file, {"waveform": waveform}))
            write_by(streams, partial(save_streams, blocks=blocks))
        heard = load_file(sound)["waveform"] if sound.exists() else None
        return Extract(load_streams(streams), heard)

    def has(self, path: Path) -> bool:
        """Return whether the extract of a media file is cached.

        Raises:
            MediaError: the file cannot be read.
        """
        return self._files(path)[0].exists()

    def _files(self, path: Path) -> tuple[Path, Path]:
        """Return the cache paths of a file's streams and its sound."""
        name = hashlib.sha256((file_sha256(path) + self._key).encode()).hexdigest()[:32]
        return self.folder / f"{name}.streams", self.folder / f"{name}.sound"


def _of_encoder(streams: StreamConfig) -> str:
    """Return what an encoder other than the package's adds to the name of an entry."""
    if streams.encoder in (None, str(ENCODER)) and not streams.portrait_image:
        return ""
    return f"{encoder_sha256(streams.encoder or ENCODER)}{streams.portrait_image}"


def _tee(
    chunks: Iterator[Clip],
    waveforms: list[np.ndarray],  # type: ignore[type-arg]
    on_step: OnStep,
) -> Iterator[Clip]:
    for clip in chunks:
        if clip.waveform is not None:
            waveforms.append(clip.waveform)
        yield clip
        on_step(clip.start + clip.steps, 0)
