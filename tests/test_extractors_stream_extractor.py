"""Streams of whole files: alike in pieces, and aligned where a face comes late."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
import torch
from drawn_media import chunks

from avdetect.example import example_frames, example_waveform
from extractors.added_streams import AddedStreams
from extractors.crops import crop_squares
from extractors.depth import mesh_depth
from extractors.faces import FaceConfig, track_faces
from extractors.lips import lip_landmarks, lip_opening
from extractors.media import SAMPLES_PER_STEP
from extractors.spectrogram import loudness
from extractors.stream_extractor import StreamExtractor
from extractors.stream_source import StreamSource
from extractors.streams import StreamConfig


@pytest.fixture(scope="module")
def example() -> tuple[np.ndarray, np.ndarray]:
    return example_frames(2.0), example_waveform(2.0)


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


def test_a_sound_alone_needs_no_face_mesh() -> None:
    waveform = np.zeros(20 * SAMPLES_PER_STEP, np.float32)
    extractor = StreamExtractor()
    (sound,) = extractor(chunks(None, waveform, 10))
    assert sound.steps == 20
    assert extractor._tracker is None


def test_a_block_leaves_nothing_of_its_pieces_behind() -> None:
    source = StreamSource(None, 0, None, None, None, AddedStreams(StreamConfig()), range(1000))  # type: ignore[arg-type]
    pieces = [{"mel": torch.full((10, 80, 4), float(i))} for i in range(4)]
    for piece in pieces:
        made: Future[dict[str, torch.Tensor]] = Future()
        made.set_result(piece)
        source.add(10, made)
    (block,) = source.blocks(StreamConfig(block=25, context=5))
    assert block.mel is not None
    assert block.mel[:, 0, 0].tolist() == [0.0] * 10 + [1.0] * 10 + [2.0] * 10
    assert pieces == [{}] * 4  # taken over
    (rest,) = source.last_block()
    assert rest.mel is not None
    assert rest.mel[:, 0, 0].tolist() == [2.0] * 10 + [3.0] * 10
    assert (rest.start, rest.lead) == (20, 5)


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
