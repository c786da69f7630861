"""Encoding: clips written to files, whole or piece by piece, and round trips through codecs."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from extractors.clock import SAMPLE_RATE, STEP_RATE

# suffix -> the picture's and the sound's codec; None: the container has no picture
CODECS: dict[str, tuple[str | None, str]] = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".ts": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".m4a": (None, "aac"),
    ".mp3": (None, "libmp3lame"),
    ".flac": (None, "flac"),
    ".ogg": (None, "libopus"),
    ".opus": (None, "libopus"),
    ".wav": (None, "pcm_s16le"),
}
# codec -> PyAV's encoder and a container that stores how much priming the decoder has to cut
LOSSY = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "mp4"), "opus": ("libopus", "ogg")}
OPUS_RATE = 48_000  # Hz, Opus's only internal rate


def write_clip(
    path: str | os.PathLike[str],
    frames: npt.NDArray[np.uint8] | None,
    waveform: npt.NDArray[np.float32] | None,
    fps: float = 25.0,
    *,
    crf: int = 18,
    preset: str = "veryfast",
    video_codec: str | None = None,
    audio_codec: str | None = None,
    audio_bit_rate: int | None = None,
    sample_rate: int = SAMPLE_RATE,
    options: dict[str, str] | None = None,
) -> None:
    """Write frames (T, H, W, 3) uint8 and a mono waveform (S,) at ``sample_rate`` to ``path``.

    The suffix chooses the container and its usual codecs: mp4, mov, mkv, ts (H.264 and AAC), webm
    (VP8 and Opus), avi (MPEG-4 and PCM); for sound alone also m4a, mp3, flac, ogg, opus and wav.
    ``options`` go to the picture's encoder. Odd sizes lose their last row or column (yuv420p).

    Raises:
        ValueError: the suffix or the combination of tracks cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CODECS:
        raise ValueError(f"cannot write {os.fspath(path)}: expected one of {', '.join(CODECS)}")
    if frames is None and waveform is None:
        raise ValueError(f"nothing to write to {os.fspath(path)}: neither frames nor a waveform")
    usual_video, usual_audio = CODECS[suffix]
    if frames is not None and usual_video is None:
        raise ValueError(f"cannot write frames to {os.fspath(path)}: it holds sound alone")
    import av

    with av.open(os.fspath(path), "w") as container:
        video: Any = None
        audio: Any = None
        if frames is not None:
            codec = str(video_codec or usual_video)
            picked = _quality(codec, crf, preset) | (options or {})
            video = _add_video(container, codec, frames, fps, picked)
        if waveform is not None:
            codec = audio_codec or usual_audio
            audio = _add_audio(container, codec, sample_rate, audio_bit_rate)
        if frames is not None:
            _encode_frames(container, video, frames)
        if waveform is not None:
            _encode_waveform(container, audio, waveform, sample_rate)


class ClipWriter:
    """A writer of frames at 25 a second and mono sound at 16 kHz, in pieces: H.264 and AAC in MP4.

    ``options`` go to the picture's encoder. Close it, or use it in a ``with``.
    """

    def __init__(self, file: str | BinaryIO, options: dict[str, str], bit_rate: int) -> None:
        self._target, self._options, self._bit_rate = file, options, bit_rate
        self._container: Any = None
        self._picture: Any = None
        self._sound: Any = None
        self._samples = 0

    def write(
        self,
        frames: Sequence[npt.NDArray[np.uint8]] | None,
        waveform: npt.NDArray[np.float32] | None,
    ) -> None:
        """Append frames (H, W, 3) and samples (S,); the first piece decides on the tracks."""
        import av
        import cv2

        if self._container is None:
            self._open(None if frames is None else frames[0], waveform is not None)
        for pixels in () if frames is None else frames:
            even = pixels[: self._picture.height, : self._picture.width]
            # converted by OpenCV: swscale takes five times as long
            planes = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
            self._mux(self._picture, av.VideoFrame.from_ndarray(planes, "yuv420p"))
        if waveform is not None:
            samples = np.ascontiguousarray(waveform[None], dtype=np.float32)
            sound = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            sound.sample_rate, sound.pts = SAMPLE_RATE, self._samples
            sound.time_base = Fraction(1, SAMPLE_RATE)
            self._samples += len(waveform)
            self._mux(self._sound, sound)

    def close(self) -> None:
        """Flush the encoders and write the file's index."""
        if self._container is not None:
            for stream in (self._picture, self._sound):
                if stream is not None:
                    self._mux(stream, None)
            self._container.close()
            self._container = None

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, frame: npt.NDArray[np.uint8] | None, sounds: bool) -> None:
        import av

        self._container = av.open(self._target, "w", format="mp4")
        if frame is not None:
            self._picture = _add_video(
                self._container, "libx264", frame[None], float(STEP_RATE), self._options
            )
        if sounds:
            self._sound = _add_audio(self._container, "aac", SAMPLE_RATE, self._bit_rate)

    def _mux(self, stream: Any, frame: Any) -> None:
        self._container.mux(stream.encode(frame))


def _quality(codec: str, crf: int, preset: str) -> dict[str, str]:
    """Return the encoder's options for a quality like that of H.264 at ``crf``."""
    if codec in ("libx264", "libx265"):
        return {"crf": str(crf), "preset": preset, "x265-params": "log-level=none"}
    if codec.startswith("libvpx"):
        speed = {"deadline": "realtime", "cpu-used": "8"}
        return {"crf": str(crf), "b": "4M", **speed}
    return {"b": "4M"} if codec != "mpeg4" else {"qmin": "2", "qmax": "6", "b": "4M"}


def _add_video(
    container: Any, codec: str, frames: npt.NDArray[np.uint8], fps: float, options: dict[str, str]
) -> Any:
    if codec != "libx265":
        options = {key: value for key, value in options.items() if key != "x265-params"}
    rate = Fraction(fps).limit_denominator(1001)
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.height, stream.width = (side // 2 * 2 for side in frames.shape[1:3])
    stream.pix_fmt = "yuv420p"
    return stream


def _add_audio(container: Any, codec: str, rate: int, bit_rate: int | None) -> Any:
    rate = OPUS_RATE if codec == "libopus" else rate
    stream = container.add_stream(codec, rate=rate, layout="mono")
    if bit_rate is not None:
        stream.bit_rate = bit_rate
    return stream


def _encode_frames(container: Any, stream: Any, frames: npt.NDArray[np.uint8]) -> None:
    import av

    for pixels in frames:
        pixels = np.ascontiguousarray(pixels[: stream.height, : stream.width])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
    container.mux(stream.encode())


def _encode_waveform(
    container: Any, stream: Any, waveform: npt.NDArray[np.float32], rate: int
) -> None:
    """Encode in pieces of a second; PyAV converts them to the encoder's format, rate and size."""
    import av

    for start in range(0, len(waveform), rate):
        piece = np.ascontiguousarray(waveform[None, start : start + rate], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def reencode_waveform(
    waveform: npt.NDArray[np.float32], codec: str, bit_rate: int
) -> npt.NDArray[np.float32]:
    """Return a waveform (S,) at 16 kHz after a round trip through "mp3", "aac" or "opus".

    The result has the same length and is aligned with the input to the sample.

    Raises:
        ValueError: another codec.
    """
    if codec not in LOSSY:
        raise ValueError(f"expected one of {', '.join(LOSSY)}, got {codec!r}")
    import av

    encoder, container_format = LOSSY[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as output:
        stream = _add_audio(output, encoder, SAMPLE_RATE, bit_rate)
        _encode_waveform(output, stream, waveform, SAMPLE_RATE)
    file.seek(0)
    decoded = np.zeros(len(waveform), dtype=np.float32)
    position = 0
    with av.open(file, "r") as source:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        for frame in [*source.decode(audio=0), None]:
            for out in resampler.resample(frame):
                piece = out.to_ndarray()[0, : len(waveform) - position]
                decoded[position : position + len(piece)] = piece
                position += len(piece)
    return decoded


def reencode_frames(frames: npt.NDArray[np.uint8], crf: int) -> npt.NDArray[np.uint8]:
    """Return frames (T, H, W, 3) after a round trip through H.264 at ``crf``, in memory.

    Odd sides are made even by repeating the last row or column, which is cut off again.
    """
    import av

    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = _add_video(output, "libx264", even, 25.0, _quality("libx264", crf, "veryfast"))
        _encode_frames(output, stream, even)
    file.seek(0)
    with av.open(file, "r") as source:
        decoded = np.stack([f.to_ndarray(format="rgb24") for f in source.decode(video=0)])
    return decoded[:, :height, :width].astype(np.uint8, copy=False)
