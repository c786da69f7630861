from __future__ import annotations

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extractors.faces import FaceTrack, track_faces
from extractors.media import Clip, read_clip, write_clip
from pipelines.forge.clip import forge_clip
from pipelines.forge.directory import ForgeConfig, draw_method, forge_directory
from pipelines.forge.methods import PICTURE, SOUND, WORLD_METHODS, possible_methods
from pipelines.forge.picture.generator_look import autoencode
from pipelines.forge.scene import Donor, make_scene
from pipelines.forge.segments import SegmentConfig, draw_spans, keep_visible, merge, runs
from pipelines.forge.sound.text_to_speech import engines

RATE = 16_000
PARTIAL = SegmentConfig(whole_share=0.0)
WHOLE = SegmentConfig(whole_share=1.0)
WORLD = [pytest.param(method, marks=pytest.mark.world) for method in WORLD_METHODS]
ALONE = [*PICTURE, *(method for method in SOUND if method not in WORLD_METHODS), *WORLD]
PAIRS = [
    "self_blend+voice_replaced",
    "mouth_retimed+voice_resynthesised",
    "frames_repeated+voice_spliced",
]
KEYS = (
    "file n_fakes fake_periods duration original modify_video modify_audio split video_frames "
    "audio_channels audio_frames visual_fake_segments audio_fake_segments sync_fake_segments "
    "method person source"
)


@pytest.fixture(autouse=True)
def briefly_trained(monkeypatch):
    def brief(crops, rng, updates):
        return autoencode(crops, rng, updates // 20)

    monkeypatch.setattr("pipelines.forge.picture.face.autoencode", brief)


@pytest.fixture(scope="module")
def clip(face_frames, face_waveform) -> Clip:
    hiss = np.random.default_rng(0).normal(0, 1e-3, len(face_waveform)).astype(np.float32)
    return Clip(0, face_frames, face_waveform + hiss)


@pytest.fixture(scope="module")
def track(clip) -> FaceTrack:
    tracks = track_faces(clip.frames)
    assert len(tracks) == 1
    return tracks[0]


@pytest.fixture(scope="module")
def donor(clip, track) -> Donor:
    seen = slice(track.start, track.start + len(track.landmarks))
    darker = (clip.frames[seen][:, :, ::-1] * 0.7).astype(np.uint8)
    mirrored = track.landmarks.copy()
    mirrored[..., 0] = darker.shape[2] - 1 - mirrored[..., 0]
    return Donor(darker, mirrored, clip.waveform[::-1].copy())


def in_segments(segments: list[tuple[float, float]], count: int, rate: int) -> np.ndarray[Any, Any]:
    flags = np.zeros(count, bool)
    for start, stop in segments:
        flags[round(start * rate) : round(stop * rate)] = True
    return flags


def needs(method: str) -> None:
    if "synthetic" in method and not engines():
        pytest.skip("no speech synthesiser on PATH")


@pytest.mark.parametrize("method", [*ALONE, *PAIRS, "dubbed_own", "dubbed_donor"])
@pytest.mark.parametrize("config", [PARTIAL, WHOLE], ids=["partial", "whole"])
def test_the_truth_is_where_frames_and_samples_differ(
    method: str, config: Any, clip: Clip, track: FaceTrack, donor: Donor
) -> None:
    needs(method)
    for seed in range(5, 10):  # of a short stretch some of the vocoders leave nothing to be heard
        forged = forge_clip(clip, track, [donor], method, np.random.default_rng(seed), config)
        check_truth(clip, forged)
        if forged.periods:
            return
    pytest.fail("five tries, and nothing came of them")


def check_truth(clip: Clip, forged: Any) -> None:
    """Assert that frames and samples differ where they are said to, and nowhere else."""
    changed = (forged.frames != clip.frames).any(axis=(1, 2, 3))
    assert np.array_equal(changed, in_segments(forged.visual, clip.steps, 25))
    difference = np.abs(forged.waveform - clip.waveform)
    declared = in_segments(forged.audio, len(difference), RATE)
    assert not difference[~declared].any()
    for start, stop in runs(declared):
        for step in range(start, stop - 640, 640):
            assert difference[step : step + 640].any()


@pytest.mark.parametrize(
    ("method", "visual", "audio", "sync"),
    [
        ("none", False, False, False),
        ("self_blend", True, False, False),
        ("face_swap", True, False, False),
        ("face_rebuilt", True, False, False),
        ("face_resampled", True, False, False),
        ("mouth_retimed", True, False, True),
        ("mouth_frozen", True, False, True),
        ("frames_repeated", True, False, False),
        ("frames_interpolated", True, False, False),
        ("picture_spliced", True, False, True),
        ("voice_spliced", False, True, True),
        ("voice_replaced", False, True, True),
        ("voice_synthetic", False, True, True),
        ("voice_resynthesised", False, True, False),
        pytest.param("voice_changed", False, True, False, marks=pytest.mark.world),
        pytest.param("voice_converted", False, True, False, marks=pytest.mark.world),
        ("sound_shifted", False, False, True),
        ("dubbed_own", True, True, False),
        ("dubbed_donor", True, True, False),
        ("self_blend+voice_resynthesised", True, True, False),
        ("self_blend+voice_replaced", True, True, True),
    ],
)
def test_each_forgery_is_labelled_by_what_it_breaks(
    method: str, visual: bool, audio: bool, sync: bool, clip: Clip, track: FaceTrack, donor: Donor
) -> None:
    needs(method)
    forged = forge_clip(clip, track, [donor], method, np.random.default_rng(5), WHOLE)
    found = bool(forged.visual), bool(forged.audio), bool(forged.sync)
    assert found == (visual, audio, sync)
    assert forged.method == method


def test_a_genuine_clip_passes_untouched(clip: Clip, track: FaceTrack) -> None:
    forged = forge_clip(clip, track, [], "none", np.random.default_rng(0))
    assert forged.frames is clip.frames
    assert forged.waveform is clip.waveform
    assert forged.periods == []


def test_the_same_seed_gives_the_same_clip(clip: Clip, track: FaceTrack, donor: Donor) -> None:
    method = "face_swap+voice_replaced"
    a: Any = forge_clip(clip, track, [donor], method, np.random.default_rng(3))
    b: Any = forge_clip(clip, track, [donor], method, np.random.default_rng(3))
    assert np.array_equal(a.frames, b.frames)
    assert np.array_equal(a.waveform, b.waveform)
    assert a.periods == b.periods


def test_shifted_sound_and_its_picture_are_both_genuine(clip: Clip, track: FaceTrack) -> None:
    for seed in range(12):
        forged: Any = forge_clip(clip, track, [], "sound_shifted", np.random.default_rng(seed))
        steps = len(forged.frames)
        assert len(forged.waveform) == steps * 640
        assert clip.steps - 13 <= steps < clip.steps
        picture = next(
            t for t in range(clip.steps) if np.array_equal(clip.frames[t], forged.frames[0])
        )
        words = forged.waveform[len(forged.waveform) - 9_000 :][:8_000]
        heard = np.flatnonzero(clip.waveform == words[0])
        place = next(s for s in heard if np.array_equal(clip.waveform[s : s + 8_000], words))
        lag = len(forged.waveform) - 9_000 + picture * 640 - place
        assert 3_200 <= abs(lag) <= 16_000
        (start, stop), *rest = forged.sync
        assert not rest
        assert stop == pytest.approx(steps / 25)
        early = round(start * RATE)  # in step before it
        assert np.allclose(forged.waveform[:early], clip.waveform[:early])


def test_dubbed_lips_come_from_where_the_words_come_from(clip: Clip, track: FaceTrack) -> None:
    forged = forge_clip(clip, track, [], "dubbed_own", np.random.default_rng(2))
    assert forged.sync == []
    assert forged.visual
    assert [round(s * 25) for s, _ in forged.visual] == pytest.approx(
        [round(s * 25) for s, _ in forged.audio], abs=2
    )


def test_sync_is_broken_only_while_the_face_is_there(
    clip: Clip, track: FaceTrack, donor: Donor
) -> None:
    late = FaceTrack(0, 20, track.landmarks[20:40])
    forged = forge_clip(clip, late, [donor], "voice_replaced", np.random.default_rng(0), WHOLE)
    assert forged.audio[0][0] < 0.2
    assert min(start for start, _ in forged.sync) >= 20 / 25
    assert max(stop for _, stop in forged.sync) <= 40 / 25
    forged = forge_clip(clip, late, [donor], "self_blend", np.random.default_rng(0), WHOLE)
    assert forged.visual == [(20 / 25, 40 / 25)]


def test_lips_that_are_forged_in_silence_break_no_sync(clip: Clip, track: FaceTrack) -> None:
    silent = Clip(0, clip.frames, np.zeros_like(clip.waveform))
    forged = forge_clip(silent, track, [], "mouth_frozen", np.random.default_rng(0), WHOLE)
    assert forged.visual
    assert forged.sync == []


def test_an_unknown_forgery_names_the_known_ones(clip: Clip) -> None:
    for method in ("blur", "self_blend+blur", "voice_replaced+self_blend"):
        with pytest.raises(ValueError, match="self_blend"):
            forge_clip(clip, None, [], method, np.random.default_rng(0))


def test_without_pyworld_and_synthesisers_their_voices_alone_are_left_out(
    clip: Clip, track: FaceTrack, donor: Donor, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(clip, track, [donor])

    def sounds(world: bool, synthesisers: tuple[str, ...]) -> set[str]:
        monkeypatch.setattr("pipelines.forge.methods.world_available", lambda: world)
        monkeypatch.setattr("pipelines.forge.methods.engines", lambda: synthesisers)
        return set(possible_methods(scene)) & set(SOUND)

    assert sounds(True, ("flite",)) == set(SOUND)
    assert sounds(False, ("flite",)) == set(SOUND) - {"voice_changed", "voice_converted"}
    assert sounds(True, ()) == set(SOUND) - {"voice_synthetic"}


def test_what_cannot_be_forged_here_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipelines.forge.methods.world_available", lambda: False)
    monkeypatch.setattr("pipelines.forge.methods.engines", lambda: ("flite",))
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "empty.mp4").touch()
    with caplog.at_level(logging.WARNING):
        forge_directory(tmp_path / "clips", tmp_path / "out")
    told = [record.getMessage() for record in caplog.records if "pyworld" in record.getMessage()]
    assert told == [
        "no voice_changed: pyworld is not installed",
        "no voice_converted: pyworld is not installed",
    ]


def test_what_a_clip_lacks_rules_forgeries_out(clip: Clip, track: FaceTrack, donor: Donor) -> None:
    def names(frames, waveform, face, donors):
        return set(possible_methods(make_scene(Clip(0, frames, waveform), face, donors)))

    frames, waveform = clip.frames, clip.waveform
    everything = names(frames, waveform, track, [donor])
    assert {"face_swap+voice_replaced", "sound_shifted", "dubbed_donor"} <= everything
    assert names(frames, None, None, []) == {
        "frames_repeated", "frames_interpolated", "picture_spliced"
    }  # fmt: skip
    heard = names(None, waveform, None, [])
    assert "voice_resynthesised" in heard
    assert not any(n in PICTURE or "+" in n or n == "voice_replaced" for n in heard)
    no_donor = names(frames, waveform, track, [])
    assert "face_swap" not in no_donor
    assert "mouth_retimed" in no_donor
    silent_donor = Donor(donor.frames, donor.landmarks, None)
    assert "voice_replaced" not in names(frames, waveform, track, [silent_donor])


def test_methods_are_drawn_by_their_shares() -> None:
    config = ForgeConfig(picture_share=0.5, sound_share=0.5, both_share=0, shifted_share=0)
    methods = ["self_blend", "frames_repeated", "voice_spliced", "self_blend+voice_spliced"]
    rng = np.random.default_rng(0)
    drawn = [draw_method(methods, rng, config) for _ in range(600)]
    assert drawn.count("voice_spliced") == pytest.approx(300, abs=40)
    assert drawn.count("self_blend") == pytest.approx(300 * 3 / 3.3, abs=45)
    assert "self_blend+voice_spliced" not in drawn
    assert draw_method([], rng, config) is None


@pytest.mark.parametrize("within", [(0, 250), (10, 60), (3, 8), (0, 2)])
def test_spans_lie_within_and_apart(within: Any) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 250 * 640).astype(np.float32)
    for seed in range(60):
        spans = draw_spans(np.random.default_rng(seed), within, sound, SegmentConfig())
        assert 1 <= len(spans) <= 3
        for start, stop in spans:
            assert within[0] <= start < stop <= within[1]
            assert stop - start >= min(5, within[1] - within[0])
        for (_, stop), (start, _) in pairwise(spans):
            assert start - stop >= 5


def test_all_of_a_clip_is_forged_as_often_as_wanted() -> None:
    config = SegmentConfig(whole_share=0.4)
    whole = [draw_spans(np.random.default_rng(s), (0, 200), None, config) for s in range(400)]
    assert whole.count([(0, 200)]) == pytest.approx(160, abs=35)


def test_what_does_not_show_is_undone_and_not_declared() -> None:
    before = np.full((12, 8, 8, 3), 100, np.uint8)
    after = before.copy()
    after[2:9] += 30
    after[2, :, :], after[8, 0, 0, 0] = 101, 101  # too faint at both ends
    after[8, 1:] = 100
    after[8, 0, 1:] = 100
    after[8, 0, 0, 1:] = 100
    forged, kept = keep_visible(before, after, [(2, 9)])
    assert kept == [(3, 8)]
    assert np.array_equal(forged[3:8], after[3:8])
    assert np.array_equal(forged[8], before[8])
    assert keep_visible(before, before, [(2, 9)])[1] == []


def test_periods_are_the_union_of_all_segments() -> None:
    assert merge([(3.0, 4.0), (0.0, 1.0)], [(0.5, 1.5)], [(1.5, 2.0)]) == [(0.0, 2.0), (3.0, 4.0)]
    assert merge([], []) == []


@pytest.fixture(scope="module")
def sources(tmp_path_factory, clip) -> Path:
    """A talking face twice, a silent picture, and speech alone."""
    folder = tmp_path_factory.mktemp("real")
    frames, waveform = clip.frames[:40], clip.waveform[: 40 * 640]
    write_clip(folder / "ann.mp4", frames, waveform)
    write_clip(folder / "bob.mp4", frames[:, :, ::-1], waveform[::-1].copy())
    (folder / "more").mkdir()
    pattern = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    write_clip(folder / "more" / "mute.mp4", pattern, None)
    write_clip(folder / "cleo.m4a", None, waveform)
    return folder


@pytest.fixture(scope="module")
def forged_folder(sources, tmp_path_factory) -> tuple[Path, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("forged")
    return out, forge_directory(sources, out, per_video=2, seed=4)


def test_a_folder_gives_genuine_and_forged_clips_with_their_truth(
    forged_folder: tuple[Path, list[dict[str, Any]]],
) -> None:
    out, rows = forged_folder
    assert json.loads((out / "metadata.json").read_text()) == rows
    assert [row["file"] for row in rows if row["method"] == "none"] == [
        "ann.mp4", "bob.mp4", "cleo.m4a", "more_mute.mp4"
    ]  # fmt: skip
    assert len(rows) == 12
    for row in rows:
        assert list(row) == KEYS.split()
        assert row["n_fakes"] == len(row["fake_periods"])
        assert (row["n_fakes"] > 0) == (row["method"] != "none") == (row["original"] is not None)
        assert row["modify_video"] == bool(row["visual_fake_segments"])
        assert row["modify_audio"] == bool(row["audio_fake_segments"])
        for start, stop in row["fake_periods"]:
            assert 0 <= start < stop <= row["duration"]
    kinds = {
        row["source"]: {r["method"] for r in rows if r["source"] == row["source"]} for row in rows
    }
    assert kinds["cleo.m4a"] <= {"none", *SOUND}
    assert not kinds["more_mute.mp4"] & set(SOUND)


def test_written_clips_are_as_long_as_their_metadata_says(
    forged_folder: tuple[Path, list[dict[str, Any]]],
) -> None:
    out, rows = forged_folder
    for row in rows:
        clip = read_clip(out / row["file"])
        assert clip.steps == max(row["video_frames"], row["audio_frames"] // 640)
        assert (clip.frames is not None) == (row["video_frames"] > 0)
        assert (clip.waveform is not None) == (row["audio_channels"] > 0)


def test_the_encoded_forgery_is_seen_and_heard_at_its_place(
    forged_folder: tuple[Path, list[dict[str, Any]]],
) -> None:
    out, rows = forged_folder
    genuine = {row["source"]: read_clip(out / row["file"]) for row in rows if not row["n_fakes"]}
    compared = 0
    for row in rows:
        if not row["audio_fake_segments"]:
            continue
        real: Any = genuine[row["source"]].waveform
        fake: Any = read_clip(out / row["file"]).waveform
        count = min(len(real), len(fake))
        inside = in_segments(row["audio_fake_segments"], count, RATE)
        difference = np.abs(real[:count] - fake[:count])
        if inside.any() and not inside.all():
            assert difference[inside].mean() > 1.5 * difference[~inside].mean()
            compared += 1
    assert compared


def assert_same_clip(first: Path, second: Path) -> None:
    """Sound to the bit; x264 itself rounds a few pixels differently from run to run."""
    a, b = read_clip(first), read_clip(second)
    assert (a.waveform is None) == (b.waveform is None)
    if a.waveform is not None and b.waveform is not None:
        assert np.array_equal(a.waveform, b.waveform)
    if a.frames is not None and b.frames is not None:
        assert np.abs(a.frames.astype(int) - b.frames).mean() < 0.5


def test_forging_depends_on_seed_and_name_alone(
    sources: Path, forged_folder: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    out, _ = forged_folder
    files = [sources / "cleo.m4a", sources / "more" / "mute.mp4"]
    alone = forge_directory(files[:1], tmp_path / "alone", per_video=1, seed=4)
    assert [row["file"] for row in alone] == ["cleo.m4a", "cleo_forged1.m4a"]
    # The genuine clip needs no donors: byte for byte the same.
    assert (tmp_path / "alone" / "cleo.m4a").read_bytes() == (out / "cleo.m4a").read_bytes()
    again = forge_directory(files[::-1], tmp_path / "a", per_video=1, seed=4)
    other = forge_directory(files, tmp_path / "b", per_video=1, seed=4)
    assert sorted(again, key=lambda r: r["file"]) == sorted(other, key=lambda r: r["file"])
    for row in other:
        assert_same_clip(tmp_path / "a" / row["file"], tmp_path / "b" / row["file"])


def test_an_interrupted_run_makes_only_what_is_missing(
    sources: Path, forged_folder: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    out, rows = forged_folder
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    missing = copy / "cleo_forged2.m4a"
    kept = copy / "ann_forged1.mp4"
    expected, stamp = missing.read_bytes(), kept.stat().st_mtime_ns
    missing.unlink()
    seen: list[tuple[int, int]] = []
    again = forge_directory(
        sources, copy, per_video=2, seed=4, on_step=lambda done, total: seen.append((done, total))
    )
    assert again == rows
    assert missing.read_bytes() == expected
    assert kept.stat().st_mtime_ns == stamp
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_of_other_settings_is_refused(
    sources: Path, forged_folder: tuple[Path, list[dict[str, Any]]]
) -> None:
    out, _ = forged_folder
    with pytest.raises(ValueError, match="other settings"):
        forge_directory(sources, out, per_video=2, seed=5)


def test_real_clips_are_never_overwritten(sources: Path) -> None:
    for out in (sources, sources / "forged", sources / "more"):
        with pytest.raises(ValueError, match="where the real clips are"):
            forge_directory(sources, out)
    with pytest.raises(ValueError, match="where the real clips are"):
        forge_directory([sources / "ann.mp4"], sources)


def test_a_broken_source_is_left_out_and_told(
    sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "real" / "broken.mp4"
    broken.parent.mkdir()
    broken.write_bytes(b"not a video")
    with caplog.at_level(logging.WARNING):
        rows = forge_directory([broken, sources / "cleo.m4a"], tmp_path / "out", per_video=0)
    assert [row["file"] for row in rows] == ["cleo.m4a"]
    assert "broken.mp4" in caplog.text


def test_a_broken_donor_does_not_stop_the_others(
    sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "real" / "broken.m4a"
    broken.parent.mkdir()
    broken.write_bytes(b"not a sound")
    rows = forge_directory([broken, sources / "cleo.m4a"], tmp_path / "out", per_video=1)
    assert {row["source"] for row in rows} == {"cleo.m4a"}
    assert len(rows) == 2


def test_a_folder_without_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    with pytest.raises(ValueError, match="no media files"):
        forge_directory(tmp_path / "real", tmp_path / "out")


def test_two_files_of_one_name_are_refused(sources: Path, tmp_path: Path) -> None:
    twin = tmp_path / "ann.mp4"
    shutil.copy(sources / "ann.mp4", twin)
    with pytest.raises(ValueError, match="different names"):
        forge_directory([sources / "ann.mp4", twin], tmp_path / "out")


def test_a_person_never_lends_to_itself(sources: Path, tmp_path: Path) -> None:
    rows = forge_directory(
        [sources / "cleo.m4a", sources / "ann.mp4"],
        tmp_path / "out",
        per_video=2,
        persons={"cleo.m4a": "x", "ann.mp4": "x"},
    )
    assert {row["person"] for row in rows} == {"x"}
    borrowed = ("face_swap", "voice_replaced", "voice_converted", "dubbed_donor")
    assert not any(name in row["method"] for row in rows for name in borrowed)


@pytest.mark.slow
def test_two_processes_make_the_same_clips_as_one(
    sources: Path, forged_folder: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    out, rows = forged_folder
    assert forge_directory(sources, tmp_path / "two", per_video=2, seed=4, workers=2) == rows
    for row in rows:
        assert_same_clip(tmp_path / "two" / row["file"], out / row["file"])
