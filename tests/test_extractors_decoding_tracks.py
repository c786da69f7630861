"""Which tracks are read, as long as they are, in the shape that players show; the rest is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from drawn_media import (
    SIZE,
    DrawnPicture,
    DrawnSound,
    beep,
    joined,
    numbered,
    numbers,
    onsets,
    write_tracks,
)

from extractors.media import Clip, MediaConfig, MediaError, open_media, probe

READERS = ("decord", "pyav")


def read(path: Path, reader: str = "pyav", **options: int) -> tuple[list[Clip], list[str]]:
    with open_media(path, MediaConfig(reader=reader, max_chunk_steps=20, **options)) as media:
        chunks = list(media)
        assert [c.start for c in chunks] == [0, *np.cumsum([c.steps for c in chunks])[:-1]]
        assert sum(c.steps for c in chunks) == media.steps
        return chunks, media.warnings


def shown(chunks: list[Clip]) -> list[int]:
    return [n for chunk in chunks if chunk.frames is not None for n in numbers(chunk.frames)]


def heard(chunks: list[Clip]) -> list[float]:
    return onsets(np.concatenate([c.waveform for c in chunks if c.waveform is not None]))


# Length


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_sound_that_outlasts_the_picture_is_read_to_its_end(
    tmp_path: Path, name: str, reader: str
) -> None:
    picture, sound = DrawnPicture(range(25)), DrawnSound(beep(4.0, [0.5, 3.5]))
    path = write_tracks(tmp_path / name, picture, sound)
    chunks, warnings = read(path, reader)
    assert shown(chunks) == list(range(25))
    assert [c.frames is None for c in chunks] == [False, False, *[True] * (len(chunks) - 2)]
    assert heard(chunks) == pytest.approx([0.5, 3.5], abs=0.002)
    info = probe(path)
    assert info.duration == pytest.approx(4.0, abs=0.15)
    assert info.video_span == pytest.approx([0.0, 1.0], abs=0.01)
    assert info.audio_spans == [[0.0, info.duration]]
    assert any("s: each is judged as long as it is" in line for line in warnings)


def test_a_cover_picture_hides_no_voice(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mp4", DrawnPicture([7]), DrawnSound(beep(3.0, [2.5])))
    chunks, _ = read(path)
    assert shown(chunks) == [7]
    assert heard(chunks) == pytest.approx([2.5], abs=0.002)


def test_a_picture_that_outlasts_the_sound_is_read_to_its_end(tmp_path: Path) -> None:
    picture, sound = DrawnPicture(range(75)), DrawnSound(beep(1.0, [0.5]))
    path = write_tracks(tmp_path / "clip.mp4", picture, sound)
    chunks, warnings = read(path)
    assert shown(chunks) == list(range(75))
    info = probe(path)
    assert info.video_span == [0.0, info.duration]
    assert info.audio_spans[0] == pytest.approx([0.0, 1.0], abs=0.1)
    assert any("the sound at 1.0" in line for line in warnings)


def test_a_last_frame_of_sound_that_is_filled_up_makes_no_step(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", DrawnPicture(range(25)), DrawnSound(beep(1.05, [0.5])))
    chunks, warnings = read(path)
    assert len(shown(chunks)) == sum(c.steps for c in chunks) == 25
    assert warnings == []


def test_tracks_that_begin_late_have_their_own_seconds(tmp_path: Path) -> None:
    times = [0.8 + n / 25 for n in range(50)]
    late = write_tracks(
        tmp_path / "picture.mkv", DrawnPicture(range(50), times), DrawnSound(beep(2.8, [1.0]))
    )
    assert probe(late).video_span == pytest.approx([0.8, 2.8], abs=0.08)
    sound = DrawnSound(beep(1.0, [0.5]), start=1.6)
    late = write_tracks(tmp_path / "sound.mkv", DrawnPicture(range(75)), sound)
    assert probe(late).audio_spans[0] == pytest.approx([1.6, 2.6], abs=0.1)
    assert heard(read(late)[0]) == pytest.approx([2.1], abs=0.01)


def test_tracks_whose_clocks_are_far_apart_begin_together(tmp_path: Path) -> None:
    times = [200 + n / 25 for n in range(50)]
    path = write_tracks(
        tmp_path / "clip.mkv",
        DrawnPicture(range(50), times),
        DrawnSound(beep(2.0, [0.5])),
        interleaved=False,
        max_interleave_delta="1",
    )
    chunks, warnings = read(path)
    assert sum(c.steps for c in chunks) < 60
    assert set(shown(chunks)) == set(range(50))
    assert heard(chunks) == pytest.approx([0.5], abs=0.1)
    assert "sound and picture have clocks far apart, and are taken to begin together" in warnings


def test_where_the_picture_breaks_off_the_sound_goes_on(tmp_path: Path) -> None:
    picture, sound = DrawnPicture(range(75), options={"g": "5"}), DrawnSound(beep(3.0, [2.5]))
    path = write_tracks(tmp_path / "clip.mkv", picture, sound)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts * packet.time_base > 1:
                at = content.index(bytes(packet))
                content[at + 4 : at + packet.size] = bytes(packet.size - 4)
    path.write_bytes(content)
    chunks, warnings = read(path)
    assert set(shown(chunks)) <= set(range(30))
    assert heard(chunks) == pytest.approx([2.5], abs=0.002)
    assert any("the picture can be decoded up to" in line for line in warnings)


# Choice


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_track_that_players_play_is_the_first(tmp_path: Path, suffix: str) -> None:
    path = write_tracks(
        tmp_path / f"clip{suffix}",
        DrawnPicture(range(25), default=False),
        DrawnPicture(range(100, 125), size=(64, 128)),
        DrawnSound(beep(1.0, [0.2]), default=False, language="eng"),
        DrawnSound(beep(1.0, [0.6]), language="deu"),
    )
    chunks, warnings = read(path)
    assert shown(chunks) == list(range(100, 125))
    assert heard(chunks) == pytest.approx([0.6], abs=0.002)
    assert probe(path).audio_tracks == ["2 (aac, deu)", "1 (aac, eng)"]
    [line] = [line for line in warnings if "picture tracks" in line]
    assert "2 (h264, 128x64) is judged; not judged: 1 (h264, 64x32)" in line


@pytest.mark.parametrize("reader", READERS)
def test_of_two_that_players_may_play_the_first_is_taken_not_the_best(
    tmp_path: Path, reader: str
) -> None:
    path = write_tracks(
        tmp_path / "clip.mp4",
        DrawnPicture(range(25)),
        DrawnPicture(range(100, 125), size=(128, 256), options={"crf": "1"}),
    )
    assert shown(read(path, reader)[0]) == list(range(25))
    assert shown(read(path, reader, video_track=2)[0]) == list(range(100, 125))
    with pytest.raises(MediaError, match=r"clip\.mp4 has no picture track 3; it has 2"):
        open_media(path, MediaConfig(video_track=3))


def test_every_sound_track_can_be_read_in_its_place(tmp_path: Path) -> None:
    path = write_tracks(
        tmp_path / "clip.mkv",
        DrawnPicture(range(50)),
        DrawnSound(beep(2.0, [0.2])),
        DrawnSound(beep(1.0, [0.6]), start=0.8),
    )
    with open_media(path, sound_track=1) as media:
        chunks = list(media)
        assert media.steps == 50
    assert all(chunk.frames is None for chunk in chunks)
    assert heard(chunks) == pytest.approx([1.4], abs=0.01)


# Shape


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("pixel", "size"), [(Fraction(64, 45), (576, 1024)), (Fraction(2, 3), (576, 480))]
)
def test_a_picture_has_the_shape_in_which_it_is_shown(
    tmp_path: Path, pixel: Fraction, size: tuple[int, int], reader: str
) -> None:
    picture = DrawnPicture(range(5), size=(576, 720), pixel_shape=pixel)
    chunks, _ = read(write_tracks(tmp_path / "clip.mp4", picture), reader)
    assert chunks[0].frames is not None
    assert chunks[0].frames.shape[1:3] == size
    assert shown(chunks) == list(range(5))
    info = probe(tmp_path / "clip.mp4")
    assert (info.height, info.width) == size


def test_pixels_that_are_nearly_square_are_not_resampled(tmp_path: Path) -> None:
    picture = DrawnPicture(range(5), pixel_shape=Fraction(101, 100))
    chunks, _ = read(write_tracks(tmp_path / "clip.mp4", picture))
    assert chunks[0].frames is not None
    assert chunks[0].frames.shape[1:3] == SIZE


def test_a_change_of_size_is_fitted_between_bars_and_said(tmp_path: Path) -> None:
    wide = write_tracks(tmp_path / "wide.ts", DrawnPicture(range(25), size=(64, 128)))
    high = write_tracks(tmp_path / "high.ts", DrawnPicture(range(100, 125), size=(128, 64)))
    chunks, warnings = read(joined(tmp_path / "both.ts", wide, high))
    frames = np.concatenate([c.frames for c in chunks if c.frames is not None])
    assert frames.shape[1:3] == (64, 128)
    assert numbers(frames[:25]) == list(range(25))
    bars = np.concatenate([frames[26:, :, :47], frames[26:, :, 81:]], axis=2)
    assert bars.max() == 0
    inside = np.stack([cv2.resize(f, (128, 256)) for f in frames[26:, :, 48:80]])
    assert numbers(inside) == list(range(101, 125))[: len(inside)]
    [line] = [line for line in warnings if "changes its size" in line]
    assert "from 128x64 to 64x128 at 1.0 s" in line


# Times


@pytest.mark.parametrize("count", [12, 40])
def test_frames_without_times_follow_each_other(tmp_path: Path, count: int) -> None:
    times = [number / 25 - count / 25 for number in range(60)]  # Matroska loses negative ones
    path = write_tracks(
        tmp_path / "clip.mkv",
        DrawnPicture(range(60), times, options={"bf": "0"}),
        avoid_negative_ts="disabled",
    )
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    untimed = sum(packet.pts is None for packet in packets)
    chunks, warnings = read(path)
    assert shown(chunks) == list(range(60))
    assert untimed > 0
    assert any(line.startswith(f"{untimed} frames have no times") for line in warnings)


def test_a_cover_picture_is_said_to_be_left_out(tmp_path: Path) -> None:
    plain = write_tracks(tmp_path / "a.mp3", DrawnSound(beep(1.0, [0.5]), codec="libmp3lame"))
    image = cv2.imencode(".jpg", numbered(3))[1].tobytes()
    picture = b"\0image/jpeg\0\3\0" + image
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    path = tmp_path / "covered.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + frame + plain.read_bytes())
    chunks, warnings = read(path)
    assert shown(chunks) == []
    assert heard(chunks) == pytest.approx([0.5], abs=0.002)
    assert warnings == ["the cover picture was not judged"]
