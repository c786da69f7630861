"""Training clips: labelled samples with their extracted streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from extractors.added_streams import of_sound
from extractors.clip import Array, Clip
from extractors.media import SAMPLES_PER_STEP, MediaReader, open_media
from extractors.spectrogram import log_mel
from extractors.stream_extractor import StreamExtractor
from extractors.streams import Streams
from pipelines.data.samples import Sample, unlabelled
from pipelines.streams.stream_cache import Extract
from pipelines.train.augment import augment_streams, augment_waveform, recode
from temporal.segment import MODALITIES


@dataclass(eq=False)
class TrainClip:
    """One sample with its extracted streams: the main face, and the sound that goes with it."""

    sample: Sample
    face: Streams | None  # the longest face track
    waveform: Tensor | None  # (T * 640,) int16 of the whole file
    recoded: Tensor | None = field(default=None, repr=False)  # the same after a lossy codec
    # added streams (T, ...) of the sound over the clip's steps, by name; never augmented
    heard: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def start(self) -> int:
        """The step of the file at which the face begins; 0 for sound alone."""
        return self.face.start if self.face is not None else 0

    @property
    def steps(self) -> int:
        """T, the steps of the face, or of the sound where there is no face."""
        if self.face is not None:
            return self.face.steps
        return 0 if self.waveform is None else len(self.waveform) // SAMPLES_PER_STEP

    @property
    def names(self) -> set[str]:
        """The names of the streams that the clip has."""
        seen = {} if self.face is None else self.face.given()
        pictures = {name for name in seen if not of_sound(name)}
        return pictures | self.heard.keys() | ({"mel"} if self.waveform is not None else set())

    def targets(self) -> Tensor:
        """Return step labels (T, 3): 1 forged, 0 genuine, -1 unknown."""
        labels = self.sample.targets(self.start, self.steps)
        if self.face is None:
            labels[:, MODALITIES.index("visual")] = -1
            labels[:, MODALITIES.index("sync")] = -1
        if self.waveform is None:
            labels[:, MODALITIES.index("audio")] = -1
            labels[:, MODALITIES.index("sync")] = -1
        return labels

    def mel(self, first: int, last: int, rng: np.random.Generator | None, shift: int = 0) -> Tensor:
        """Return the log-mel (last - first, 80, 4) of steps of the clip, augmented with an `rng`.

        shift takes the sound from that many steps later in the file, so that it is out of sync.
        """
        if self.waveform is None:
            raise ValueError(f"{self.sample.path}: has no sound")
        source = self.waveform
        if rng is not None and rng.random() < 0.4:
            if self.recoded is None:
                # one version per clip, seeded by its length: batches depend on no earlier draw
                own = np.random.default_rng(len(self.waveform))
                heard = recode(self.waveform.numpy().astype(np.float32) / 32768, own)
                self.recoded = torch.from_numpy(
                    (heard * 32767).clip(-32768, 32767).astype(np.int16)
                )
            source = self.recoded
        begin, end = self.start + first + shift, self.start + last + shift
        before = max(begin - 1, 0)  # a step of history fills the first columns' windows
        piece = source[before * SAMPLES_PER_STEP : end * SAMPLES_PER_STEP].numpy()
        piece = self.retold(piece.astype(np.float32) / 32768)
        if rng is not None:
            piece = augment_waveform(piece, rng)
        return log_mel(piece)[begin - before :]

    def pictures(self, first: int, last: int, names: Sequence[str]) -> dict[str, Tensor]:
        """Return those of the named picture streams (last - first, ...) that the clip has."""
        present = {} if self.face is None else self.face.given()
        return {n: present[n][first:last] for n in present if n in names and not of_sound(n)}

    def chunk(
        self,
        first: int,
        last: int,
        names: Sequence[str],
        rng: np.random.Generator | None,
        pictures: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return the named streams (last - first, ...) that the clip has, augmented with an `rng`.

        pictures replaces the clip's own picture streams.
        """
        streams = self.seen(self.pictures(first, last, names) if pictures is None else pictures)
        heard = {n: stream[first:last] for n, stream in self.heard.items() if n in names}
        if rng is not None and streams:
            streams = augment_streams(streams, rng)
        if "mel" in names and self.waveform is not None:
            streams["mel"] = self.mel(first, last, rng)
        return streams | heard

    def seen(self, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return picture streams (L, ...) as they are before augmentation."""
        return pictures

    def retold(self, piece: Array) -> Array:
        """Return a piece (S,) of the sound as it is before augmentation."""
        return piece


def train_clip(sample: Sample, extract: Extract, min_face: float) -> TrainClip | None:
    """Return the training clip of a sample; None if it has neither a usable face nor sound."""
    faces = [b for b in extract.blocks if b.track is not None and (b.face_size or 0) >= min_face]
    face = max(faces, key=lambda block: block.steps, default=None)
    if face is None and extract.waveform is None:
        return None
    clip = TrainClip(sample, face, extract.waveform)
    sounds = [b for b in extract.blocks if b.track is None and not b.scene]
    for block in sounds:
        first = clip.start - block.start
        if first >= 0 and first + clip.steps <= block.steps:
            of_steps = slice(first, first + clip.steps)
            clip.heard = {name: stream[of_steps] for name, stream in block.added.items()}
            break
    return clip


def main_face_of_opening(
    path: Path, extractor: StreamExtractor, min_face: float
) -> TrainClip | None:
    """Return the main face and the sound of a file's first six seconds; None if it has neither.

    Raises:
        MediaError: the file cannot be decoded.
    """
    sounds: list[Array] = []

    def opening(reader: MediaReader) -> Iterator[Clip]:
        # one chunk at a time: six seconds of frames would take as much memory as all else
        for chunk in reader:
            if chunk.waveform is not None:
                sounds.append(chunk.waveform)
            yield chunk
            if chunk.start + chunk.steps >= LONGEST:
                return

    with open_media(path) as reader:
        blocks = list(extractor(opening(reader)))
    return train_clip(unlabelled(path), Extract(blocks, whole_sound(sounds)), min_face)


def whole_sound(chunks: Sequence[Array]) -> Tensor | None:
    """Return the waveforms of chunks as one, (S,) int16; None if there are none."""
    if not chunks:
        return None
    levels = (np.concatenate(chunks) * 32767).round().clip(-32768, 32767)
    return torch.from_numpy(levels.astype(np.int16))


LONGEST = 150  # steps of a held-out clip that are scored
