"""The values of reading media: a file's properties, a decoded chunk, the config and the error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from extractors.clock import SAMPLES_PER_STEP
from extractors.errors import AvdetectError
from extractors.shapes import check_arrays

Array = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]


class MediaError(AvdetectError):
    """A file cannot be read. The message is one sentence that names the file and the cause."""


class Credentials(TypedDict):
    """What a file's content credentials (C2PA) say of it: who signed what."""

    # `Trusted`: unchanged since a signer on a trust list signed it; `Valid`: since anyone did;
    # `Invalid`: the file does not fit them; others say why they cannot be read.
    state: str
    generator: str  # that made the file, by its own account
    issuer: str  # of the signer's certificate
    signed: str  # when
    actions: list[str]  # what was done, and the kind of source it was done to
    generated: bool  # whether a generator made the picture or the sound, or parts, by that account


@dataclass(frozen=True)
class MediaInfo:
    """The properties of a file; those of a track that is missing or cannot be decoded are None."""

    path: str
    duration: float  # seconds of the longest track
    width: int | None  # square pixels as shown, upright (after rotation), before any scaling
    height: int | None
    fps: float | None  # the header's rate, or the mean where the header is wrong
    video_codec: str | None
    audio_codec: str | None
    sample_rate: int | None  # of the file's own sound
    video_bit_rate: int | None = None  # bits a second, by the sizes of its packets
    video_span: list[float] | None = None  # start and end of the picture, in seconds
    audio_tracks: list[str] = field(default_factory=list)  # names; the track described above first
    audio_spans: list[list[float]] = field(default_factory=list)  # start and end of each, seconds
    credentials: Credentials | None = None  # None: the file has none

    @property
    def has_video(self) -> bool:
        return self.video_codec is not None

    @property
    def has_audio(self) -> bool:
        return self.audio_codec is not None


@dataclass(frozen=True, eq=False)
class Clip:
    """A chunk of a file, or a whole short file: T steps of picture, sound or both."""

    start: int  # step of the first frame
    frames: npt.NDArray[np.uint8] | None  # (T, H, W, 3) RGB; None: no picture, or it has ended
    # (T * 640,) mono 16 kHz in [-1, 1], zeros where the track has none; None: no sound in the file
    waveform: npt.NDArray[np.float32] | None

    def __post_init__(self) -> None:
        if self.frames is None and self.waveform is None:
            raise ValueError("a clip needs frames, a waveform or both, got neither")
        check_arrays(self, frames="T H W 3 uint8", waveform="S float32")
        if self.waveform is not None and len(self.waveform) != self.steps * SAMPLES_PER_STEP:
            expected = f"{self.steps} steps of {SAMPLES_PER_STEP} samples"
            raise ValueError(f"expected {expected}, got {len(self.waveform)} samples")

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        if self.frames is not None:
            return len(self.frames)
        return 0 if self.waveform is None else len(self.waveform) // SAMPLES_PER_STEP


@dataclass(frozen=True)
class MediaConfig:
    """How files are read."""

    chunk_bytes: int = 48 * 2**20  # decoded pixels a chunk may hold; up to three are there at once
    max_chunk_steps: int = 128
    max_side: int = 2560  # pixels; larger frames are scaled down while decoding
    timeout: float = 60.0  # seconds without progress after which the decoder is stopped
    reader: str = "decord"  # "decord" (with PyAV where decord fails) or "pyav"
    decord_bytes: int = 512 * 2**20  # decord reads ahead: PyAV decodes pictures larger than this
    threads: int = 2  # of the decoder
    video_track: int | None = None  # the picture that is judged, from 1; None: players' choice

    def __post_init__(self) -> None:
        if self.reader not in ("decord", "pyav"):
            raise ValueError(f'media.reader must be "decord" or "pyav", got {self.reader!r}')
