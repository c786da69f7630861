"""Files whose clock starts anew, jumps or has holes: every part is judged, once, in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_media import DrawnPicture, DrawnSound, beep, joined, numbers, onsets, write_tracks

from extractors.decoding.sections import FileClock, TrackClock
from extractors.media import open_media, read_clip

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def segment(path: Path, first: int, at: float, **options: str) -> Path:
    """A second of frames that count from ``first``, and a beep at a second."""
    old = path.suffix == ".mpg"
    picture = DrawnPicture(range(first, first + 25), codec="mpeg2video" if old else "libx264")
    sound = DrawnSound(beep(1.0, [at]), codec="mp2" if old else "aac")
    return write_tracks(path, picture, sound, **options)


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".flv", ".mp4"])
def test_segments_joined_byte_by_byte_are_judged_one_after_the_other(
    tmp_path: Path, suffix: str
) -> None:
    options = FRAGMENTS if suffix == ".mp4" else {}
    parts = [
        segment(tmp_path / f"{first}{suffix}", first, at, **options)
        for first, at in ((0, 0.4), (100, 0.6), (200, 0.2))
    ]
    path = joined(tmp_path / f"joined{suffix}", *parts)
    clip = read_clip(path)
    assert clip.frames is not None
    assert clip.waveform is not None
    shown = numbers(clip.frames)
    assert sorted(set(shown)) == [*range(25), *range(100, 125), *range(200, 225)]
    assert shown == sorted(shown)
    assert 75 <= clip.steps <= 85  # sound is filled up to whole frames of its codec
    starts = [shown.index(first) / 25 for first in (0, 100, 200)]
    expected = [start + at for start, at in zip(starts, (0.4, 0.6, 0.2), strict=True)]
    assert onsets(clip.waveform) == pytest.approx(expected, abs=0.07)
    with open_media(path) as media:
        assert media.info.fps == pytest.approx(25, abs=2)
        assert any("3 parts are judged one after the other" in line for line in media.warnings)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_of_matroska_what_ffmpeg_reads_is_judged_and_the_rest_is_said(
    tmp_path: Path, suffix: str
) -> None:
    codecs = {"codec": "libvpx"} if suffix == ".webm" else {}
    parts = [
        write_tracks(
            tmp_path / f"{first}{suffix}", DrawnPicture(range(first, first + 25), **codecs)
        )
        for first in (0, 100, 200)
    ]
    clip = read_clip(joined(tmp_path / f"two{suffix}", *parts[:2]))
    assert clip.frames is not None
    assert numbers(clip.frames) == [*range(25), *range(100, 125)]
    with open_media(joined(tmp_path / f"three{suffix}", *parts)) as media:
        seen = {n for c in media if c.frames is not None for n in numbers(c.frames)}
        said = any("another file begins at byte" in line for line in media.warnings)
    assert {*range(25), *range(100, 125)} <= seen
    assert said is (200 not in seen)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "sound.wav", "sound.flac"])
def test_a_second_file_behind_the_first_is_said(tmp_path: Path, name: str) -> None:
    tracks = [DrawnSound(beep(1.0, [0.5]), codec="flac" if "flac" in name else "pcm_s16le")]
    if name == "clip.mp4":
        tracks = [DrawnSound(beep(1.0, [0.5]))]
    if name.startswith("clip"):
        tracks.insert(0, DrawnPicture(range(25), codec="mpeg4"))
    one = write_tracks(tmp_path / name, *tracks)
    both = joined(tmp_path / f"both_{name}", one, one)
    with open_media(one) as media:
        assert media.warnings == []
    with open_media(both) as media:
        steps = sum(chunk.steps for chunk in media)
        size = one.stat().st_size
        said = [f"another file begins at byte {size}," in line for line in media.warnings]
    assert steps > 45 or any(said)


def test_a_jump_ahead_is_closed_and_said(tmp_path: Path) -> None:
    early = segment(tmp_path / "early.ts", 0, 0.4)
    late = segment(tmp_path / "late.ts", 100, 0.6, output_ts_offset="500")
    path = joined(tmp_path / "joined.ts", early, late)
    clip = read_clip(path)
    assert clip.frames is not None
    assert sorted(set(numbers(clip.frames))) == [*range(25), *range(100, 125)]
    assert clip.steps < 60
    with open_media(path) as media:
        assert any("jump or start anew at 1." in line for line in media.warnings)


def test_a_hole_in_the_picture_stays_as_long_as_it_is_and_is_said(tmp_path: Path) -> None:
    times = [*np.arange(25) / 25, *(6 + np.arange(25) / 25)]
    picture = DrawnPicture([*range(25), *range(100, 125)], times)
    path = write_tracks(tmp_path / "hole.mkv", picture, DrawnSound(beep(7.0, [6.5])))
    with open_media(path) as media:
        frames = np.concatenate([c.frames for c in media if c.frames is not None])
        hole = "the picture stands still for 5.0 s in all, first after 1.0 s"
        assert any(hole in line for line in media.warnings)
    shown = numbers(frames)
    assert shown[150:175] == list(range(100, 125))
    assert shown[25:149] == [24] * 124


def follow(clock: FileClock, *tracks: list[float]) -> list[TrackClock]:
    """Tracks whose packets come in the order of the lists' positions."""
    made = [TrackClock(clock) for _ in tracks]
    for number in range(max(map(len, tracks))):
        for track, times in zip(made, tracks, strict=True):
            if number < len(times):
                track.add(number, times[number], times[number], 0.04, False)
    for track in made:
        track.finish()
    return made


def count(start: float, steps: int) -> list[float]:
    return [start + step / 25 for step in range(steps)]


def test_both_tracks_go_on_together_though_one_starts_anew_earlier() -> None:
    clock = FileClock(("mpegts",))
    picture = [*count(10, 50), *count(10, 50)]
    sound = [*count(10, 53), *count(10, 47)]  # three packets of the first part come late
    tracks = follow(clock, picture, sound)
    offset = 53 / 25
    for track, old in zip(tracks, (50, 53), strict=True):
        expected = [*count(10, old), *count(10 + offset, 100 - old)]
        assert track.times() == pytest.approx(np.array(expected))
    assert clock.joints() == pytest.approx([10 + offset])


def test_a_single_time_that_is_off_is_not_believed() -> None:
    clock = FileClock(("mpegts",))
    for wrong in (9_000.0, 0.0):
        [track] = follow(clock, [*count(10, 20), wrong, *count(10.84, 20)])
        assert track.strays == 1
        assert len(track.times()) == 40
        assert track.times()[-1] == pytest.approx(11.6)
        assert track.retiming().offsets == (0.0, None, 0.0)


def test_a_pause_of_one_track_is_no_jump_where_the_other_goes_on() -> None:
    clock = FileClock(("mov",))
    sound = count(0, 25 * 100)
    slides = TrackClock(clock)
    voice = TrackClock(clock)
    for number, time in enumerate(sound):
        voice.add(number, time, time, 0.04, False)
        if time in (0.0, 80.0):
            slides.add(number, time, time, 0.04, False)
    assert clock.joints() == []
    assert slides.times().tolist() == [0.0, 80.0]


def test_what_runs_on_after_a_stretch_of_wrong_times_stays_where_it_was() -> None:
    clock = FileClock(("mov",))
    picture = [*count(0, 50), *count(5_000, 5), *count(2.2, 45)]
    tracks = follow(clock, picture, count(0, 100))
    assert tracks[1].times() == pytest.approx(np.array(count(0, 100)))
    assert tracks[0].times()[:95] == pytest.approx(np.array([*count(0, 50), *count(2.2, 45)]))
    assert len(tracks[0].times()) == 100  # the stretch is judged at the end
