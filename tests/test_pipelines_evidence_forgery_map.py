"""Maps of forgeries from YAML to the page: learned, measured against exact truth, shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.example import example_frames
from extractors.media import write_clip
from extractors.streams import Streams
from pipelines.config import from_dict, load_config
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectorSession, load
from pipelines.evidence.forgery_map import MAP, Locator, load_map, locator_of, stem_of
from pipelines.evidence.moments import Moment
from pipelines.evidence.recorder import forged
from pipelines.report.pictures import moment_pictures
from pipelines.storage.weights import WeightsError
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.stage import StageConfig
from pipelines.zoo.head_clips import kind_of, opening_detector
from pipelines.zoo.heads import HEADS
from pipelines.zoo.map_board import clip_numbers, measured_genuine, measured_maps
from pipelines.zoo.map_truth import twin_chunk
from pipelines.zoo.maps import (
    FORGED,
    MapChunk,
    MapConfig,
    fit_map,
    held_chunks,
    map_chunk,
    save_map,
    settle_map,
)
from temporal.experts import AppearanceExpert, ExpertConfig
from temporal.forgery_map import CELLS, ForgeryMap

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def clips() -> list[TrainClip]:
    """Genuine clips of faces of noise that lie in the middle of the crop."""
    rows, columns = torch.meshgrid(torch.arange(56), torch.arange(56), indexing="ij")
    face = ((rows - 28) ** 2 + (columns - 28) ** 2 < 18**2).half() * 0.1
    sample = Sample(Path("x"), "train", "real", "made", "p", (), None, None)
    made = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        crops = torch.randint(60, 200, (6, 3, 112, 112), generator=generator, dtype=torch.uint8)
        depth = face.expand(6, 1, 56, 56)
        streams = Streams(0, 0, face_size=112.0, appearance=crops, depth=depth)
        made.append(TrainClip(sample, streams, None))
    return made


def test_the_truth_of_a_chunk_lies_where_its_crops_differ(clips: list[TrainClip]) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        made = map_chunk(clips[0], 6, clips, 1.0, rng)
        genuine = clips[0].pictures(0, 6, ("appearance",))["appearance"]
        differs = (made.crops != genuine).any(dim=1).float()
        cells = torch.nn.functional.max_pool2d(differs[:, None], 4)[:, 0] > 0
        assert torch.equal(made.truth > 0, cells)
        assert float(made.truth.max()) <= 1


def test_a_chunk_that_is_not_forged_is_black_and_retaking_moves_no_truth(
    clips: list[TrainClip],
) -> None:
    assert not map_chunk(clips[0], 4, clips, 0.0, np.random.default_rng(0)).truth.any()
    plain = map_chunk(clips[0], 4, clips, 1.0, np.random.default_rng(3))
    again = map_chunk(clips[0], 4, clips, 1.0, np.random.default_rng(3), retake=True)
    assert plain.truth.any()
    assert torch.equal(again.truth, plain.truth) or torch.equal(again.truth, plain.truth.flip(-1))
    assert not torch.equal(again.crops, plain.crops)


def test_a_decoder_learns_where_crops_were_forged_and_leaves_the_stem_alone(
    clips: list[TrainClip], tmp_path: Path
) -> None:
    stem, decoder = stem_of(opening_detector()), ForgeryMap(width=8)
    before = {name: t.clone() for name, t in stem.state_dict().items()}
    stage = StageConfig(updates=30, batch=4, length=2, rate=0.01, average=0.5, evaluate_every=30)
    config = MapConfig("t", "map", forged=1.0, stage=stage)
    run = Run(tmp_path, 0, "cpu", "float32")
    held = held_chunks(clips, 7)
    untaught = measured_maps("x", Locator(stem, ForgeryMap(width=8)), held)
    fit_map("map", decoder, stem, clips, clips, config, run)
    settle_map(Locator(stem, decoder), held)
    taught = measured_maps("x", Locator(stem, decoder), held)
    assert taught["x: AUC of cells"][0] > max(0.8, untaught["x: AUC of cells"][0])
    assert 0 < float(decoder.threshold) < 1
    assert all(torch.equal(t, before[name]) for name, t in stem.state_dict().items())
    row = measured_genuine(Locator(stem, decoder), held, held_chunks(clips, 7, forged=0.0))
    assert 0 <= row["genuine: mean of the map"][0] <= 1


def test_numbers_of_a_perfect_map_are_perfect_and_those_of_an_empty_one_are_not() -> None:
    truth = torch.zeros(2, CELLS, CELLS)
    truth[:, 10:14, 10:18] = torch.rand(2, 4, 8) * 0.5 + 0.5
    face = torch.zeros_like(truth)
    face[:, 4:24, 4:24] = 1
    chunk = MapChunk(torch.zeros(2, 3, 112, 112, dtype=torch.uint8), face, truth)
    perfect = clip_numbers(truth, chunk, FORGED)
    assert perfect["AUC of cells"] == perfect["AUC of the face's cells"] == 1
    assert perfect["IoU of cells"] == 1
    assert perfect["cosine"] == pytest.approx(1.0, abs=1e-5)
    assert perfect["SSIM"] == pytest.approx(1.0, abs=1e-5)
    empty = clip_numbers(face * 0.01, chunk, FORGED)
    assert empty["AUC of the face's cells"] == 0.5  # to know the face tells nothing of the cells
    assert empty["AUC of cells"] > 0.5
    assert empty["IoU of cells"] == 0
    assert empty["SSIM"] < 0.9


def test_twins_are_cut_alike_and_their_truth_is_where_the_file_was_painted(tmp_path: Path) -> None:
    frames = example_frames(1.0, size=(240, 320))
    painted = frames.copy()
    painted[10:20, 90:110, 150:170] = 255 - painted[10:20, 90:110, 150:170]
    for name, given in (("a", frames), ("b", painted)):
        write_clip(tmp_path / f"{name}.mp4", given, None, crf=10)
    sample = Sample(tmp_path / "b.mp4", "dev", "forged x", "s", "p", ((0.4, 0.8),), None, None)
    chunk = twin_chunk(sample, tmp_path / "a.mp4", 20.0, tmp_path / "kept")
    assert chunk is not None
    assert len(chunk.crops) == 8
    rows, _ = (chunk.truth.mean(dim=0) > 0.3).nonzero().T
    assert len(rows) > 4
    assert int(rows.max() - rows.min()) <= 8  # a patch, not the face
    again = twin_chunk(sample, tmp_path / "a.mp4", 20.0, tmp_path / "kept")
    assert again is not None
    assert torch.equal(again.truth, chunk.truth)
    untouched = Sample(tmp_path / "a.mp4", "dev", "real", "s", "p", (), None, None)
    assert twin_chunk(untouched, tmp_path / "a.mp4", 20.0, tmp_path / "kept") is None


def test_a_map_is_kept_whole_and_refuses_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = MapConfig("t", "map", settings={"width": 4})
    decoder = ForgeryMap(width=4).eval()
    save_map(tmp_path / "m.safetensors", decoder, config, 3)
    again, described = load_map(tmp_path / "m.safetensors")
    assert from_dict(MapConfig, described, "m") == config
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, decoder.state_dict()[name])
    for other in (MAP.with_name("cifake.safetensors"), tmp_path / "none.safetensors"):
        with pytest.raises(WeightsError, match=str(other)):
            load_map(other)
    monkeypatch.setattr("pipelines.detection.starter.experts_sha256", lambda path: "other")
    with pytest.raises(WeightsError, match="train it again: avdetect zoo train configs/heads/m"):
        load_map(tmp_path / "m.safetensors")


def test_the_shipped_map_is_that_of_its_file_and_small() -> None:
    assert kind_of(ROOT / HEADS / "map.yaml") == "map"
    described = from_dict(MapConfig, load_map(MAP)[1], "map")
    assert described == load_config(MapConfig, ROOT / HEADS / "map.yaml")
    assert MAP.stat().st_size <= 2_000_000


def test_the_page_shows_the_map_of_the_shipped_detector_alone(tmp_path: Path) -> None:
    locator = locator_of(load())
    streams = {
        "appearance": torch.randint(0, 255, (13, 3, 112, 112), dtype=torch.uint8),
        "depth": torch.full((13, 1, 56, 56), 0.1),
    }
    moment = Moment("visual", 0, 6, 0.9, 0, streams)
    maps = forged(locator, moment)
    assert maps["forged"].shape == (5, CELLS, CELLS)
    assert 0 <= float(maps["forged"].min()) <= float(maps["forged"].max()) <= 1
    marked = maps | {"forged": torch.full_like(maps["forged"], 0.9)}  # dark ones are not shown
    (picture,) = moment_pictures(moment, marked)
    assert "painted over" in picture["seen"]
    assert (picture["width"], picture["height"]) == (str(5 * 112), str(2 * 112))
    assert forged(locator, Moment("audio", None, 6, 0.9, 0, {})) == {}
    assert locator_of(other_session(tmp_path)) is None


def other_session(folder: Path) -> DetectorSession:
    """A session of a detector that is not the package's."""
    tiny = ExpertConfig(
        dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    save_detector(folder / "tiny.safetensors", Detector(DetectorConfig(experts=tiny)), {})
    return load(folder / "tiny.safetensors")


def test_the_stem_is_the_appearance_experts() -> None:
    detector = Detector(DetectorConfig())
    expert = detector.experts["appearance"]
    assert isinstance(expert, AppearanceExpert)
    assert stem_of(detector) is expert.stem
