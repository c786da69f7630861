"""Streams: known answers of each, and blocks that do not depend on how a file was cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.crops import crop_squares
from extractors.depth import mesh_depth
from extractors.faces import FaceConfig, mesh_triangles, track_faces
from extractors.flow import FlowExtractor, dis_flow
from extractors.lips import lip_landmarks, lip_opening
from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP, Clip
from extractors.spectrogram import BANDS, HOP, MelExtractor, log_mel, loudness, speech_steps
from extractors.stream_extractor import StreamExtractor
from extractors.streams import StreamConfig, Streams, load_streams, save_streams


def chunks(frames: np.ndarray | None, waveform: np.ndarray | None, size: int) -> Iterator[Clip]:
    steps = len(frames) if frames is not None else len(waveform) // SAMPLES_PER_STEP
    for start in range(0, steps, size):
        stop = min(start + size, steps)
        yield Clip(
            start,
            None if frames is None else frames[start:stop],
            None
            if waveform is None
            else waveform[start * SAMPLES_PER_STEP : stop * SAMPLES_PER_STEP],
        )


@pytest.fixture(scope="module")
def example() -> tuple[np.ndarray, np.ndarray]:
    return example_frames(2.0), example_waveform(2.0)


def test_flow_of_a_known_shift_is_that_shift_in_crop_widths_a_second() -> None:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (160, 160, 3), dtype=np.uint8)
    texture = np.asarray(np.kron(texture[::4, ::4], np.ones((4, 4, 1))), np.uint8)
    crops = np.stack([texture[20:132, 20 - 2 * t : 132 - 2 * t] for t in range(3)])
    flow = FlowExtractor(dis_flow())(crops)  # each crop moves right by two pixels
    assert flow.shape == (3, 2, 56, 56)
    assert np.all(flow[0] == 0)
    inner = flow[1:, :, 10:-10, 10:-10]
    assert np.median(inner[:, 0]) == pytest.approx(2 / 112 * 25, rel=0.1)
    assert np.median(inner[:, 1]) == pytest.approx(0, abs=0.03)


def test_flow_turns_its_sign_when_time_runs_backwards() -> None:
    rng = np.random.default_rng(0)
    texture = np.asarray(np.kron(rng.integers(0, 255, (40, 40, 3)), np.ones((4, 4, 1))), np.uint8)
    crops = np.stack([texture[20:132, 20 - 2 * t : 132 - 2 * t] for t in range(2)])
    forward = FlowExtractor(dis_flow())(crops)[1, 0, 10:-10, 10:-10]
    backward = FlowExtractor(dis_flow())(crops[::-1].copy())[1, 0, 10:-10, 10:-10]
    assert np.median(forward) == pytest.approx(-np.median(backward), rel=0.1)


def test_depth_shows_the_nearer_of_two_surfaces() -> None:
    triangle = mesh_triangles()[0]
    landmarks = np.zeros((1, 478, 3), np.float32)
    landmarks[..., 2] = 50.0  # everything else is a point far away
    landmarks[0, triangle] = [(-6, -6, -20), (6, -6, -20), (0, 6, -20)]
    square = np.array([[0, 0, 112, 0]], np.float32)
    depth = mesh_depth(landmarks, square)[0]
    assert depth[27, 28] > 0  # inside the near triangle
    assert depth[2, 2] == 0  # off the face


def test_the_nose_of_a_drawn_face_is_nearer_than_its_cheeks(
    example: tuple[np.ndarray, np.ndarray],
) -> None:
    config = FaceConfig()
    landmarks = track_faces(example[0][:8])[0].landmarks
    still = np.repeat(landmarks[:1], 2 * config.radius + 1, axis=0)
    square = crop_squares(still, config)
    depth = mesh_depth(landmarks[:1], square)[0]
    marks = ((landmarks[0, [1, 234, 454], :2] - square[0, :2]) / square[0, 2] + 0.5) * 56
    nose, right, left = (depth[int(y), min(max(int(x), 1), 54)] for x, y in marks)
    assert nose > max(right, left)


def test_a_tone_peaks_in_its_own_mel_band() -> None:
    time = np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    centres = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), BANDS + 2) / 2595) - 1)
    for band in (10, 40, 70):
        tone = (0.3 * np.sin(2 * np.pi * centres[band + 1] * time)).astype(np.float32)
        mel = log_mel(tone)[5:-1].mean(dim=(0, 2))
        assert abs(int(mel.argmax()) - band) <= 1


def test_no_column_hears_a_sound_before_it_begins() -> None:
    begin = 13  # step
    waveform = np.zeros(25 * SAMPLES_PER_STEP, np.float32)
    waveform[begin * SAMPLES_PER_STEP :] = np.random.default_rng(0).normal(
        0, 0.3, (25 - begin) * SAMPLES_PER_STEP
    )
    level = loudness(log_mel(waveform))
    silence = float(level[0])
    assert torch.all(level[:begin] == silence)
    assert float(level[begin]) > silence + 3


def test_mel_in_pieces_is_mel_at_once() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 20 * SAMPLES_PER_STEP).astype(np.float32)
    extractor = MelExtractor()
    pieces = [extractor(waveform[a:b]) for a, b in ((0, 640), (640, 640 * 7), (640 * 7, 640 * 20))]
    torch.testing.assert_close(torch.cat(pieces), log_mel(waveform))
    assert HOP == 160


def test_silence_holds_no_speech_and_a_voice_does() -> None:
    silent = loudness(log_mel(np.zeros(50 * SAMPLES_PER_STEP, np.float32)))
    assert not speech_steps(silent).any()
    voice = example_waveform(3.0)
    speech = speech_steps(loudness(log_mel(voice)))
    assert 0.3 < speech.float().mean() < 0.95


def test_the_mouth_of_the_example_opens_with_its_loudness() -> None:
    frames, waveform = example_frames(3.0), example_waveform(3.0)
    (face, _) = StreamExtractor()(chunks(frames, waveform, 50))
    opening = lip_opening(face.landmarks.numpy())
    level = loudness(face.mel).numpy().clip(-9, None)
    assert np.corrcoef(opening, level)[0, 1] > 0.5


def test_streams_do_not_depend_on_the_chunks(example: tuple[np.ndarray, np.ndarray]) -> None:
    whole, cut = (list(StreamExtractor()(chunks(*example, size))) for size in (200, 17))
    assert len(whole) == len(cut) == 2  # the face and the sound
    for one, other in zip(whole, cut, strict=True):
        assert (one.start, one.track, one.steps) == (other.start, other.track, other.steps)
        for name, stream in one.present().items():
            torch.testing.assert_close(stream, other.present()[name], rtol=0, atol=1e-5)


def test_blocks_of_a_long_file_join_to_the_whole() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 400 * SAMPLES_PER_STEP).astype(np.float32)
    (whole,) = StreamExtractor()(chunks(None, waveform, 50))
    blocks = list(StreamExtractor(StreamConfig(block=100, context=20))(chunks(None, waveform, 50)))
    assert len(blocks) > 2
    kept = [b.mel[b.lead : b.steps - b.trail] for b in blocks]
    torch.testing.assert_close(torch.cat(kept), whole.mel)
    starts = [b.start + b.lead for b in blocks]
    assert starts == [sum(len(k) for k in kept[:i]) for i in range(len(kept))]


def test_frames_without_a_face_are_a_scene() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (30, 90, 120, 3), dtype=np.uint8)
    (scene,) = StreamExtractor()(chunks(frames, None, 16))
    assert (scene.scene, scene.track, scene.start, scene.steps) == (True, None, 0, 30)
    assert set(scene.present()) == {"appearance", "flow"}


def test_a_face_that_comes_late_leaves_a_scene_before_it(
    example: tuple[np.ndarray, np.ndarray],
) -> None:
    frames = example[0].copy()
    frames[:20] = 0
    blocks = list(StreamExtractor()(chunks(frames, None, 16)))
    scene = next(b for b in blocks if b.scene)
    face = next(b for b in blocks if b.track is not None)
    assert scene.start == 0
    assert scene.steps == face.start
    assert abs(face.start - 20) <= 1
    assert face.start + face.steps == len(frames)


def test_saved_streams_come_back_the_same(
    tmp_path: Path, example: tuple[np.ndarray, np.ndarray]
) -> None:
    blocks = list(StreamExtractor()(chunks(*example, 50)))
    save_streams(tmp_path / "a.streams", blocks)
    again = load_streams(tmp_path / "a.streams")
    assert [(b.start, b.track, b.face_size) for b in again] == [
        (b.start, b.track, b.face_size) for b in blocks
    ]
    for one, other in zip(blocks, again, strict=True):
        assert one.present().keys() == other.present().keys()
        for name, stream in one.present().items():
            assert torch.equal(stream, other.present()[name])


def test_streams_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Streams(0, mel=torch.zeros(5, 80, 4), depth=torch.zeros(4, 1, 56, 56))


def test_lip_landmarks_are_in_crop_widths_around_the_middle(
    example: tuple[np.ndarray, np.ndarray],
) -> None:
    config = FaceConfig()
    landmarks = track_faces(example[0][:8])[0].landmarks
    still = np.repeat(landmarks[:1], 2 * config.radius + 1, axis=0)
    lips = lip_landmarks(landmarks[:1], crop_squares(still, config))
    assert lips.shape == (1, 40, 3)
    assert np.abs(lips[0, :, 0].mean()) < 0.05  # in the middle of the face
    assert 0.05 < lips[0, :, 1].mean() < 0.35  # in its lower half
