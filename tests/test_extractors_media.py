"""Reading and writing media: the clock, both readers, the sound, bad files, and what is left."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from extractors.media import (
    SAMPLE_RATE,
    SAMPLES_PER_STEP,
    STEP_RATE,
    Clip,
    MediaConfig,
    MediaError,
    file_sha256,
    open_media,
    probe,
    read_chunks,
    read_clip,
    reencode_waveform,
    write_clip,
)

READERS = ("decord", "pyav")
SIZE = (32, 64)  # height and width of most frames here
NTSC = Fraction(30000, 1001)


def numbered(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame whose upper half spells its number in eight bright or dark blocks."""
    height, width = size
    frame = np.full((height, width, 3), 60, np.uint8)
    for bit in range(8):
        block = slice(bit * width // 8, (bit + 1) * width // 8)
        frame[: height // 2, block] = 235 if number >> bit & 1 else 20
    return frame


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that the frames spell."""
    height, width = frames.shape[1:3]
    rows = frames[:, height // 8 : height * 3 // 8].mean(axis=(1, 3))  # (T, W)
    centres = [(2 * bit + 1) * width // 16 for bit in range(8)]
    return [sum(int(row[x] > 127) << bit for bit, x in enumerate(centres)) for row in rows]


def beep(seconds: float, at: Iterable[float], rate: int = SAMPLE_RATE) -> np.ndarray:
    """Silence with 50 ms of a 1 kHz tone at the seconds ``at``."""
    waveform = np.zeros(round(seconds * rate), np.float32)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate // 20) / rate + 0.5)
    for second in at:
        waveform[round(second * rate) :][: len(tone)] = tone[: len(waveform) - round(second * rate)]
    return waveform


def noise(seconds: float) -> np.ndarray:
    """Noise without the highest octave, which lossy codecs drop."""
    white = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))
    return (0.1 * np.convolve(white, np.hanning(9) / 4.5, "same")).astype(np.float32)


def onset(waveform: np.ndarray) -> int:
    """The first sample that is loud."""
    return int(np.flatnonzero(np.abs(waveform) > 0.2)[0])


def lag(reference: np.ndarray, waveform: np.ndarray) -> int:
    """Samples by which ``waveform`` is late."""
    size = 2 * max(len(reference), len(waveform))
    spectrum = np.conj(np.fft.rfft(reference, size)) * np.fft.rfft(waveform, size)
    shift = int(np.argmax(np.fft.irfft(spectrum)))
    return shift if shift < size // 2 else shift - size


def write_timed(
    path: Path,
    times: list[Fraction],
    waveform: np.ndarray | None = None,
    sound_at: Iterable[float] = (0.0,),
    rotation: int = 0,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pixels: str = "yuv420p",
) -> Path:
    """Numbered frames at the given seconds; the waveform once at each second of ``sound_at``."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25)
        video.height, video.width, video.pix_fmt = *size, pixels
        video.codec_context.time_base = Fraction(1, 90000)
        if rotation:
            video.set_display_rotation(rotation)
        audio = None
        if waveform is not None:
            codec = "libopus" if path.suffix == ".webm" else "aac"
            audio = container.add_stream(codec, rate=48_000, layout="mono")
        packets = []
        for number, second in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(number, size), "rgb24")
            frame.time_base, frame.pts = Fraction(1, 90000), round(second * 90000)
            packets += video.encode(frame)
        packets += video.encode()
        if audio is not None and waveform is not None:
            for second in sound_at:
                frame = av.AudioFrame.from_ndarray(waveform[None], "fltp", "mono")
                frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
                frame.pts = round(second * SAMPLE_RATE)
                packets += audio.encode(frame)
            packets += audio.encode()
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def remux(source: Path, target: Path) -> Path:
    """The same packets in another container."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


def on_screen(times: list[Fraction], steps: int) -> list[int]:
    """The number of the frame on screen at the middle of each step, give or take 1.4 ms."""
    late = Fraction(14, 10_000)
    middles = [Fraction(2 * step + 1, 2 * STEP_RATE) + late for step in range(steps)]
    return [max(0, sum(second <= middle for second in times) - 1) for middle in middles]


def config(reader: str, **options: int) -> MediaConfig:
    return MediaConfig(reader=reader, timeout=20.0, **options)


# The clock


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("fps", [24, 25, NTSC, 30, 50, 60, "variable"])
def test_a_flash_and_a_beep_at_one_second_land_on_the_right_step(
    tmp_path: Path, fps: Fraction | int | str, reader: str
) -> None:
    if fps == "variable":
        gaps = np.random.default_rng(3).integers(5, 90, 70)
        times = [Fraction(int(ms), 1000) for ms in np.concatenate([[0], np.cumsum(gaps)])]
    else:
        times = [Fraction(number) / fps for number in range(round(2 * fps))]  # type: ignore[operator]
    flash = next(number for number, second in enumerate(times) if second >= Fraction(4, 5))
    waveform = beep(2.2, [float(times[flash])])
    path = write_timed(tmp_path / "clip.mp4", times, waveform)

    clip = read_clip(path, config(reader))

    assert clip.frames is not None
    assert clip.waveform is not None
    shown = numbers(clip.frames)
    assert shown == on_screen(times, clip.steps)
    first = next(step for step, number in enumerate(shown) if number >= flash)
    heard = onset(clip.waveform)
    assert heard == pytest.approx(float(times[flash]) * SAMPLE_RATE, abs=16)  # 1 ms
    assert abs(first - heard / SAMPLES_PER_STEP) <= 0.5 + 16 / SAMPLES_PER_STEP + 1e-9


@pytest.mark.parametrize(
    ("frames", "fps", "steps"), [(1, 25, 1), (1, 60, 1), (24, 24, 25), (30, 30, 25), (5, 50, 2)]
)
def test_steps_are_those_whose_middle_lies_in_the_picture(
    tmp_path: Path, frames: int, fps: int, steps: int
) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, np.zeros((frames, 32, 64, 3), np.uint8), None, fps=fps)
    assert read_clip(path).steps == steps


def test_the_size_of_chunks_changes_nothing(tmp_path: Path) -> None:
    times = [number / NTSC for number in range(70)]
    path = write_timed(tmp_path / "clip.mp4", times, noise(2.0))
    whole = read_clip(path)
    for steps in (1, 7, 58, 59):
        chunks = list(read_chunks(path, MediaConfig(max_chunk_steps=steps)))
        assert [chunk.steps for chunk in chunks[:-1]] == [steps] * (len(chunks) - 1)
        assert [chunk.start for chunk in chunks] == list(range(0, whole.steps, steps))
        frames = np.concatenate([chunk.frames for chunk in chunks if chunk.frames is not None])
        sound = np.concatenate([chunk.waveform for chunk in chunks if chunk.waveform is not None])
        assert np.array_equal(frames, whole.frames)
        assert np.array_equal(sound, whole.waveform)


def test_a_chunk_holds_no_more_bytes_than_allowed(make_clip: Callable[..., Path]) -> None:
    chunks = list(read_chunks(make_clip(), MediaConfig(chunk_bytes=10 * 48 * 64 * 3)))
    assert [chunk.steps for chunk in chunks] == [10, 10, 5]
    chunks = list(read_chunks(make_clip(), MediaConfig(chunk_bytes=1)))
    assert [chunk.steps for chunk in chunks] == [1] * 25


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".ts"])
def test_another_container_shows_the_same_frames_and_plays_the_same_sound(
    tmp_path: Path, suffix: str
) -> None:
    times = [number / NTSC for number in range(60)]
    source = write_timed(tmp_path / "clip.mp4", times, noise(2.0))
    one, other = read_clip(source), read_clip(remux(source, tmp_path / f"other{suffix}"))
    assert one.frames is not None
    assert one.waveform is not None
    assert other.frames is not None
    assert other.waveform is not None
    pairs = zip(numbers(one.frames), numbers(other.frames), strict=True)
    assert sum(a != b for a, b in pairs) <= 2  # times are rounded to milliseconds
    assert abs(lag(one.waveform, other.waveform)) <= 8


@pytest.mark.parametrize("reader", READERS)
def test_what_an_edit_list_cuts_is_not_shown(tmp_path: Path, reader: str) -> None:
    times = [Fraction(number, 25) for number in range(40)]
    path = write_timed(tmp_path / "clip.mp4", times)
    content = bytearray(path.read_bytes())
    entry = content.index(b"elst") + 12  # version, flags and count; then duration, start, rate
    start = int.from_bytes(content[entry + 4 : entry + 8], "big") + 10 * 90_000 // 25
    content[entry + 4 : entry + 8] = start.to_bytes(4, "big")  # as a phone cuts: 10 frames in
    path.write_bytes(content)
    clip = read_clip(path, config(reader))
    assert clip.frames is not None
    assert numbers(clip.frames) == list(range(10, 40))


# The picture


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_picture_comes_upright(tmp_path: Path, rotation: int, reader: str) -> None:
    times = [Fraction(number, 25) for number in range(5)]
    path = write_timed(tmp_path / "clip.mp4", times, rotation=rotation, size=(64, 96))
    clip = read_clip(path, config(reader))
    assert clip.frames is not None
    upright = np.rot90(clip.frames, -rotation // 90, axes=(1, 2))  # back to how it is stored
    assert numbers(upright) == [0, 1, 2, 3, 4]
    info = probe(path)
    assert (info.height, info.width) == clip.frames.shape[1:3]


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("reader", READERS)
def test_large_frames_are_scaled_down(tmp_path: Path, reader: str, rotation: int) -> None:
    times = [Fraction(number, 25) for number in range(5)]
    path = write_timed(tmp_path / "clip.mp4", times, rotation=rotation, size=(80, 120))
    with open_media(path, config(reader, max_side=60)) as media:
        frames = [chunk.frames for chunk in media]
    shape = (5, 60, 40, 3) if rotation else (5, 40, 60, 3)
    assert [chunk.shape for chunk in frames if chunk is not None] == [shape]
    assert (media.info.width, media.info.height) == ((80, 120) if rotation else (120, 80))


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size"),
    [
        ("ten_bit.mp4", "libx264", "yuv420p10le", SIZE),
        ("hevc.mkv", "libx265", "yuv420p", SIZE),
        ("intra.mkv", "mjpeg", "yuvj420p", SIZE),
        ("odd.mkv", "ffv1", "yuv444p", (33, 65)),
        ("portrait.mp4", "libx264", "yuv420p", (96, 40)),
        ("narrow.mp4", "libx264", "yuv420p", (32, 48)),  # decord believes it has four channels
        ("vp8.webm", "libvpx", "yuv420p", SIZE),
        ("vp9.webm", "libvpx-vp9", "yuv420p", SIZE),
        ("prores.mov", "prores_ks", "yuv422p10le", SIZE),
        ("transport.ts", "libx264", "yuv420p", SIZE),
    ],
)
def test_both_readers_show_the_same_pixels(
    tmp_path: Path, name: str, codec: str, pixels: str, size: tuple[int, int]
) -> None:
    times = [Fraction(number, 30) for number in range(36)]
    path = write_timed(tmp_path / name, times, codec=codec, pixels=pixels, size=size)
    one, other = (read_clip(path, config(reader)).frames for reader in READERS)
    assert one is not None
    assert other is not None
    assert one.shape == other.shape == (30, *size, 3)
    assert numbers(one) == numbers(other) == on_screen(times, 30)
    assert np.abs(one.astype(int) - other).mean() < 3


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.avi"])
def test_decord_reads_ordinary_short_clips_and_no_others(
    make_clip: Callable[..., Path], name: str
) -> None:
    path = make_clip(name, sound=False)
    with open_media(path) as media:
        list(media)
        assert media.reader == "decord"
    with open_media(path, MediaConfig(decord_bytes=24 * 48 * 64 * 3)) as media:
        assert media.reader == "pyav"


@pytest.mark.parametrize("name", ["clip.avi", "clip.webm", "clip.mkv", "clip.mov", "clip.ts"])
def test_what_was_written_is_read(make_clip: Callable[..., Path], name: str) -> None:
    clip = read_clip(make_clip(name, 1.2))
    assert clip.frames is not None
    assert clip.frames.shape == (30, 48, 64, 3)
    grey = np.median(clip.frames, axis=(1, 2, 3))
    assert np.abs(grey - np.linspace(40, 200, 30)).max() < 6


# The sound


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(
    "name",
    ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.ogg", "a.opus", "v.mp4", "v.mkv", "v.webm", "v.ts"],
)
def test_a_sound_at_second_x_starts_at_sample_16000_x(tmp_path: Path, name: str, rate: int) -> None:
    frames = np.zeros((50, 32, 64, 3), np.uint8) if name[0] == "v" else None
    write_clip(tmp_path / name, frames, beep(2.0, [0.7], rate), sample_rate=rate)
    clip = read_clip(tmp_path / name)
    assert clip.waveform is not None
    assert onset(clip.waveform) == pytest.approx(0.7 * SAMPLE_RATE, abs=16)  # 1 ms
    assert np.abs(clip.waveform).max() == pytest.approx(0.5, abs=0.08)
    assert clip.steps in (50, 51)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("delay", [0.36, -0.36])
def test_a_track_that_starts_late_keeps_its_place(
    tmp_path: Path, delay: float, suffix: str
) -> None:
    shift = Fraction(max(0.0, -delay)).limit_denominator(100)  # of the picture
    times = [shift + Fraction(number, 25) for number in range(50)]
    sound_at = [max(0.0, delay)]
    path = write_timed(tmp_path / f"clip{suffix}", times, beep(2.0, [0.8]), sound_at)
    clip = read_clip(path)
    assert clip.frames is not None
    assert clip.waveform is not None
    assert clip.steps in (59, 60)  # until the later track has ended
    assert numbers(clip.frames) == on_screen(times, clip.steps)
    assert onset(clip.waveform) == pytest.approx((0.8 + sound_at[0]) * SAMPLE_RATE, abs=32)


def test_sound_is_padded_to_the_picture_and_goes_on_after_it(tmp_path: Path) -> None:
    frames = np.zeros((25, 32, 64, 3), np.uint8)
    for seconds in (0.6, 2.0):
        waveform = noise(seconds)
        write_clip(tmp_path / "clip.mkv", frames, waveform, audio_codec="flac")
        clip = read_clip(tmp_path / "clip.mkv")
        heard = clip.waveform
        assert heard is not None
        assert len(heard) == max(1.0, seconds) * SAMPLE_RATE
        both = len(waveform)
        assert np.abs(heard[:both] - waveform[:both]).max() < 1e-4
        assert np.all(heard[both:] == 0)


def test_a_hole_in_the_sound_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for second in (0.0, 1.2):
            frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 8192, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, round(second * SAMPLE_RATE)
            frame.time_base = Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(frame))
    waveform = read_clip(path).waveform
    assert waveform is not None
    expected = np.zeros(round(1.7 * SAMPLE_RATE))
    expected[:8000] = expected[19_200:27_200] = 0.25
    assert np.abs(waveform[: len(expected)] - expected[: len(waveform)]).max() < 1e-3


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="stereo")
        pair = np.array([[16384, -8192] * 16_000], np.int16)
        frame = av.AudioFrame.from_ndarray(pair, "s16", "stereo")
        frame.sample_rate = SAMPLE_RATE
        container.mux(audio.encode(frame))
    waveform = read_clip(path).waveform
    assert waveform is not None
    assert waveform == pytest.approx(np.full(16_000, 0.125), abs=1e-4)


def test_a_song_with_a_cover_is_sound_alone(tmp_path: Path) -> None:
    write_clip(tmp_path / "plain.mp3", None, beep(1.0, [0.2]))
    image = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    picture = b"\0image/jpeg\0\3\0" + image
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    path = tmp_path / "covered.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + frame + (tmp_path / "plain.mp3").read_bytes())
    clip = read_clip(path)
    assert clip.frames is None
    assert clip.waveform is not None
    assert not probe(path).has_video


def test_a_picture_without_sound_has_no_waveform(make_clip: Callable[..., Path]) -> None:
    path = make_clip(sound=False)
    clip = read_clip(path)
    assert clip.waveform is None
    assert clip.steps == 25
    assert not probe(path).has_audio


@pytest.mark.parametrize("codec", ["mp3", "aac", "opus"])
@pytest.mark.parametrize("samples", [100, 33_333])
def test_a_lossy_codec_neither_shifts_nor_stretches(codec: str, samples: int) -> None:
    waveform = noise(3.0)[:samples]
    result = reencode_waveform(waveform, codec, 64_000)
    assert result.shape == waveform.shape
    assert result.dtype == np.float32
    assert lag(waveform, result) == 0
    assert np.corrcoef(waveform, result)[0, 1] > 0.98
    assert not np.array_equal(waveform, result)


# What is known of a file


def test_probe_tells_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, np.zeros((60, 32, 64, 3), np.uint8), noise(2.0), fps=29.97)
    info = probe(path)
    assert info.path == str(path)
    assert info.duration == pytest.approx(60 / 29.97, abs=1e-3)
    assert (info.width, info.height) == (64, 32)
    assert info.fps == pytest.approx(29.97, abs=1e-3)
    assert (info.video_codec, info.audio_codec, info.sample_rate) == ("h264", "aac", 16_000)
    assert info.has_video
    assert info.has_audio


def test_the_bit_rate_of_the_picture_is_that_of_its_packets(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3), np.uint8)
    for name in ("clip.mp4", "clip.mkv"):
        write_clip(tmp_path / name, frames, noise(2.0))
        with av.open(str(tmp_path / name)) as container:
            held = sum(packet.size for packet in container.demux(video=0))
        assert probe(tmp_path / name).video_bit_rate == pytest.approx(8 * held / 2.0, rel=1e-3)
    write_wav = tmp_path / "sound.m4a"
    write_clip(write_wav, None, noise(1.0))
    assert probe(write_wav).video_bit_rate is None


def test_file_sha256_is_the_sum_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert file_sha256(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(MediaError, match="nowhere"):
        file_sha256(tmp_path / "nowhere")


def test_a_clip_checks_itself() -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    assert Clip(0, frames, np.zeros(3 * 640, np.float32)).steps == 3
    with pytest.raises(ValueError, match="got 5 samples"):
        Clip(0, frames, np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="neither"):
        Clip(0, None, None)


def test_write_clip_names_what_it_cannot_write(tmp_path: Path) -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"clip\.xyz: expected one of"):
        write_clip(tmp_path / "clip.xyz", frames, None)
    with pytest.raises(ValueError, match="sound alone"):
        write_clip(tmp_path / "clip.wav", frames, None)
    with pytest.raises(ValueError, match="neither frames nor a waveform"):
        write_clip(tmp_path / "clip.mp4", None, None)


def test_content_decides_not_the_name(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("clip.txt", "clip.mp3", "http:clip.png", "näme %03d .jpg", "-"):
        path = make_clip().rename(tmp_path / name)
        assert read_clip(path).steps == 25


# Bad files


def faststart(path: Path) -> Path:
    """An mp4 of 4 s whose index comes first, so that a part of it can be read."""
    waveform = noise(4.0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "10", "g": "10"})
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        picture = []
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(numbered(number, (64, 96)), "rgb24")
            picture += video.encode(frame)
        frame = av.AudioFrame.from_ndarray(waveform[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        sound = [*audio.encode(frame), *audio.encode()]
        packets = [*picture, *video.encode(), *sound]
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def huge_frames(folder: Path, side: int) -> bytes:
    """An AVI whose header says that the frames have ``side`` rows and columns."""
    write_clip(folder / "raw.avi", np.zeros((3, 32, 64, 3), np.uint8), None, video_codec="rawvideo")
    content = (folder / "raw.avi").read_bytes()
    return content.replace(struct.pack("<II", 64, 32), struct.pack("<II", side, side))


def wav_header() -> bytes:
    """A WAV of no samples."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36) + b"WAVE" + form + struct.pack("<4sI", b"data", 0)


def bad_files(folder: Path, clip: bytes) -> dict[str, tuple[Path, str]]:
    """Files that cannot be judged, and what is to be said about each."""
    image = np.zeros((64, 64, 3), np.uint8)
    contents = {
        "empty.mp4": (b"", "is empty"),
        "text.mp4": (b"This is not a video.\n" * 50, "is not a video or sound file"),
        "noise.mp4": (np.random.default_rng(0).bytes(20_000), "is not a video or sound file"),
        "noise.mp3": (np.random.default_rng(1).bytes(20_000), "cannot be decoded|is not a video"),
        "zeros.mkv": (bytes(20_000), "is not a video or sound file"),
        "headless.mp4": (clip[len(clip) // 2 :], "is not a video or sound file"),
        "tail_cut.mp4": (clip[: clip.index(b"moov") + 99], "is not a video|holds neither"),
        "image.mp4": (cv2.imencode(".png", image)[1].tobytes(), "is an image, not a video"),
        "photo.jpg": (cv2.imencode(".jpg", image)[1].tobytes(), "is an image, not a video"),
        "silent.wav": (wav_header(), "holds a sound track that cannot be decoded"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "is not a video or sound file"),
        "concat.txt": (b"ffconcat version 1.0\nfile clip.mp4\n", "is not a video or sound file"),
        "subtitles.srt": (b"1\n00:00:01,000 --> 00:00:02,000\nhi\n", "is not a video"),
        "huge.avi": (huge_frames(folder, 15_000), "has frames of 15000x15000 pixels"),
        "absurd.avi": (huge_frames(folder, 60_000), "holds a picture track that cannot be decoded"),
    }
    cases = {}
    for name, (content, cause) in contents.items():
        (folder / name).write_bytes(content)
        cases[name] = (folder / name, cause)
    os.mkfifo(folder / "pipe")
    return cases | {
        "folder": (folder, "is a folder"),
        "missing": (folder / "nowhere.mp4", "No such file"),
        "pipe": (folder / "pipe", "is not a regular file"),
        "zero byte": (Path(f"{folder}/a\0b"), "cannot be opened"),
    }


def test_a_file_that_cannot_be_judged_is_a_media_error_that_says_why(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    for path, cause in bad_files(tmp_path / "bad", make_clip().read_bytes()).values():
        start = time.monotonic()
        with pytest.raises(MediaError, match=cause) as caught:
            read_clip(path)
        message = str(caught.value)
        assert message.startswith(f"{path} ")
        assert "\n" not in message
        assert time.monotonic() - start < 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_media_error(make_clip: Callable[..., Path]) -> None:
    path = make_clip()
    path.chmod(0)
    with pytest.raises(MediaError, match="Permission denied"):
        open_media(path)


@pytest.mark.parametrize("reader", READERS)
def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path, reader: str) -> None:
    path = faststart(tmp_path / "clip.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with open_media(path, config(reader)) as media:
        chunks = list(media)
    frames = np.concatenate([chunk.frames for chunk in chunks if chunk.frames is not None])
    assert 30 < len(frames) < 80
    shown = numbers(frames)[:-4]  # the last ones build on one another
    assert shown == list(range(len(shown)))
    assert any("although the header says 4.0 s" in warning for warning in media.warnings)


def test_an_8k_picture_is_read(tmp_path: Path) -> None:
    frame = cv2.resize(numbered(0xA5), (7680, 4320), interpolation=cv2.INTER_NEAREST)
    write_clip(tmp_path / "8k.mp4", frame[None], None, preset="ultrafast")
    clip = read_clip(tmp_path / "8k.mp4")
    assert clip.frames is not None
    assert clip.frames.shape == (1, 1440, 2560, 3)
    assert numbers(clip.frames) == [0xA5]


# The child process


def fake_decord(folder: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    """A decord for the child whose reader does ``behaviour`` from its third frame on."""
    source = f"""
import os, signal, sys, time
sys.path.remove({str(folder)!r})
del sys.modules["decord"]
import decord
class VideoReader(decord.VideoReader):
    count = 0
    def next(self):
        self.count += 1
        if self.count > 2:
            {behaviour}
        return super().next()
decord.VideoReader = VideoReader
"""
    (folder / "decord.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize(
    "behaviour",
    ["os.kill(os.getpid(), signal.SIGSEGV)", "time.sleep(1000)", "raise RuntimeError('broken')"],
)
def test_pyav_goes_on_where_decord_crashes_hangs_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    times = [number / NTSC for number in range(60)]
    path = write_timed(tmp_path / "clip.mp4", times, noise(2.0))
    expected = read_clip(path)
    fake_decord(tmp_path, monkeypatch, behaviour)
    with open_media(path, MediaConfig(max_chunk_steps=2, timeout=3.0)) as media:
        assert media.reader == "decord"
        chunks = list(media)
        assert media.reader == "pyav"
    frames = np.concatenate([chunk.frames for chunk in chunks if chunk.frames is not None])
    sound = np.concatenate([chunk.waveform for chunk in chunks if chunk.waveform is not None])
    assert expected.frames is not None
    assert numbers(frames) == numbers(expected.frames)
    assert np.array_equal(sound, expected.waveform)


def test_a_decoder_that_hangs_or_dies_for_good_is_a_media_error(
    make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip()
    monkeypatch.syspath_prepend(str(tmp_path))
    for behaviour, timeout, cause in (
        ("import time; time.sleep(1000)", 1.0, "made no progress in decoding for 1 s"),
        ("import os; os.kill(os.getpid(), 11)", 20.0, "crashed the decoder .SIGSEGV"),
        ("import os; os._exit(3)", 20.0, "exit status 3"),
    ):
        (tmp_path / "av.py").write_text(behaviour)
        with pytest.raises(MediaError, match=cause) as caught:
            open_media(path, MediaConfig(timeout=timeout))
        assert str(caught.value).startswith(f"{path} ")


def children() -> set[int]:
    """The running or uncollected child processes of this one."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(pid) for file in listed for pid in file.read_text().split()}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_nothing_is_left_behind_however_reading_ends(make_clip: Callable[..., Path]) -> None:
    path, before = make_clip(seconds=4.0), children()
    options = MediaConfig(max_chunk_steps=10)
    read_clip(path, options)
    assert children() == before

    with open_media(path, options) as media:
        next(media)
        assert len(children() - before) == 1
    assert children() == before
    assert list(media) == []  # closed

    next(iter(read_chunks(path, options)))  # dropped at once
    gc.collect()
    assert children() == before

    media = open_media(path, options)
    del media
    gc.collect()
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the child in /proc")
def test_the_child_ends_when_its_parent_is_killed(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time\n"
        "from extractors.media import MediaConfig, open_media\n"
        "media = open_media(sys.argv[1], MediaConfig(max_chunk_steps=1))\n"
        "print('open', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, str(script), str(make_clip(seconds=20.0))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"open\n"
        listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
        parent.send_signal(signal.SIGKILL)
    [child] = listed.split()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()


def environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    return os.environ | {"PYTHONPATH": root}


def test_a_script_without_a_main_guard_can_read_in_any_folder(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom extractors.media import read_clip\nprint(read_clip(sys.argv[1]).steps)\n"
    )
    (tmp_path / "extractors").mkdir()  # a folder of the same name must not matter
    result = subprocess.run(
        [sys.executable, str(script), make_clip().name],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == "25\n"
    assert result.stderr == ""


def test_several_files_can_be_read_at_once_and_in_threads(make_clip: Callable[..., Path]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = [make_clip(f"{number}.mp4") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        clips = list(pool.map(read_clip, paths))
    assert all(np.array_equal(clip.frames, clips[0].frames) for clip in clips)
