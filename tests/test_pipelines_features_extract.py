"""Streams and tokens of a corpus on disk: what is written is what the detector hears and sees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avdetect import cli
from avdetect.example import example_frames, example_waveform
from extractors.media import read_chunks, write_clip
from extractors.stream_extractor import StreamExtractor
from pipelines.data.manifest import Record, write_records
from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.features.clip_file import Wanted, read_clip_facts
from pipelines.features.extract import ExtractConfig, Extracted, extract_corpus
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=TINY)), {})
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that talks after a second of nothing, a voice, and a file that is broken."""
    folder = tmp_path_factory.mktemp("clips")
    frames = example_frames(2.0, size=(240, 320))
    empty = np.full((25, *frames.shape[1:]), 90, np.uint8)
    write_clip(folder / "face.mp4", np.concatenate([empty, frames]), example_waveform(3.0))
    write_clip(folder / "voice.wav", None, example_waveform(2.0))
    (folder / "broken.mp4").write_bytes(b"nothing")
    return folder


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    text = (folder / "index.jsonl").read_text()
    return {Path(row["path"]).name: row for row in map(json.loads, text.splitlines())}


def extracted(weights: Path, source: Path, out: Path, **config: Any) -> tuple[Extracted, list[str]]:
    from pipelines.detection.session import WeightsSpec

    failures: list[str] = []
    config = {"workers": 1, "model": WeightsSpec(weights), **config}
    done = extract_corpus(
        [str(source)], out, ExtractConfig(**config), lambda begin: None, lambda progress: None,
        failures.append,
    )  # fmt: skip
    return done, failures


def test_the_command_writes_a_file_a_clip_and_a_line_for_what_is_broken(
    tmp_path: Path, weights: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "extract", str(clips), "--out", str(tmp_path), "--weights", str(weights), "--workers", "1",
        "--streams", "mel", "mouth", "speech", "--tokens", "all", "--cache", str(tmp_path / "kept"),
    ]  # fmt: skip
    assert cli.main(command) == 1
    out, err = capsys.readouterr()
    assert "2 clips are in" in out
    (folder,) = tmp_path.glob("tiny-*")
    index = lines(folder)
    assert [line for line in err.splitlines() if "broken.mp4" in line] == [
        f"avdetect: {index['broken.mp4']['error']}"
    ]
    assert {name: row["status"] for name, row in index.items()} == {
        "face.mp4": "ok", "voice.wav": "ok", "broken.mp4": "error",
    }  # fmt: skip
    face = index["face.mp4"]
    assert face["rate"] == 25
    assert face["steps"] == 75
    begin = face["parts"]["face0"]["start_step"]
    assert begin == pytest.approx(25, abs=3)
    assert face["parts"]["face0"]["start"] == begin / 25
    steps = face["parts"]["face0"]["steps"]
    assert face["tensors"]["face0.stream.mouth"] == [steps, 1, 48, 96]
    assert face["tensors"]["face0.token.lips"] == [steps, 16]
    assert face["tensors"]["face0.token.lag"][0] == steps
    assert face["tensors"]["sound.stream.mel"] == [75, 80, 4]
    assert "scene0.token.appearance" in face["tensors"]
    assert not any(name.startswith("scene0.stream") for name in face["tensors"])
    assert set(index["voice.wav"]["parts"]) == {"sound"}
    facts, shapes = read_clip_facts(folder / face["file"])
    assert facts["parts"] == face["parts"]
    assert shapes == face["tensors"]
    assert cli.main([*command[:-2]]) == 1  # broken again; the others are not touched
    assert len((folder / "index.jsonl").read_text().splitlines()) == 4


def test_tokens_are_those_of_the_detector_on_the_streams(
    tmp_path: Path, weights: Path, clips: Path
) -> None:
    wanted = Wanted(("mel", "appearance"), ("mel", "appearance", "voice"))
    done, _ = extracted(weights, clips / "face.mp4", tmp_path, wanted=wanted)
    written = load_file(done.folder / lines(done.folder)["face.mp4"]["file"])
    blocks = {b.track: b for b in StreamExtractor()(read_chunks(clips / "face.mp4")) if not b.scene}
    detector = load_detector(weights)
    for part, block in (("face0", blocks[0]), ("sound", blocks[None])):
        given = {name: stream[None] for name, stream in block.given().items()}
        assert torch.equal(written[f"{part}.stream.mel"], block.mel)
        with torch.inference_mode():
            tokens = detector.tokens(given, torch.ones(1, block.steps, dtype=torch.bool))
        for name in ("mel", "voice", *(("appearance",) if part == "face0" else ())):
            torch.testing.assert_close(
                written[f"{part}.token.{name}"], tokens[name][0], atol=0.05, rtol=0.05
            )


def test_long_clips_are_written_block_by_block_and_join(
    tmp_path: Path, weights: Path, clips: Path
) -> None:
    from pipelines.detection.session import WeightsSpec

    wanted = Wanted(("mel", "flow", "change"), ())
    whole, _ = extracted(weights, clips / "face.mp4", tmp_path / "whole", wanted=wanted)
    cut = WeightsSpec(weights, overrides=("streams.block=20", "streams.context=8"))
    pieces, _ = extracted(weights, clips / "face.mp4", tmp_path / "cut", wanted=wanted, model=cut)
    one, other = (
        load_file(done.folder / lines(done.folder)["face.mp4"]["file"]) for done in (whole, pieces)
    )
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor.nan_to_num(7), other[name].nan_to_num(7)), name


def test_a_stopped_extraction_goes_on_and_equal_content_is_one_file(
    tmp_path: Path, weights: Path, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.move(make_clip("a.wav", 1.0, picture=False), source / "a.wav")
    wanted = Wanted(("mel",), ("mel",))
    first, _ = extracted(weights, source, tmp_path / "out", wanted=wanted)
    shutil.copy(source / "a.wav", source / "b.wav")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("pipelines.streams.walk.open_media", refuse)
    again, failures = extracted(weights, source, tmp_path / "out", wanted=wanted)
    assert (first.clips, again.clips, failures) == (1, 2, [])
    rows = lines(again.folder)
    assert rows["a.wav"]["file"] == rows["b.wav"]["file"]
    other, _ = extracted(weights, source, tmp_path / "out", wanted=Wanted(("mel",)), layout=None)
    assert other.folder != again.folder


def test_unknown_names_are_refused_and_those_that_exist_are_told(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["extract", str(tmp_path), "--out", str(tmp_path / "out"), "--weights", str(weights)]
    assert cli.main([*command, "--streams", "smell"]) == 2
    assert "unknown stream smell; known: appearance," in capsys.readouterr().err
    assert cli.main(command) == 2
    assert "needs --streams, --tokens or --layout" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_of_a_cluster_write_the_same(tmp_path: Path, weights: Path, clips: Path) -> None:
    wanted = Wanted(("mel", "mouth"), ("lips",))
    alone, _ = extracted(weights, clips, tmp_path / "one", wanted=wanted)
    both, failures = extracted(weights, clips, tmp_path / "two", wanted=wanted, workers=2)
    assert len(failures) == 1
    one, two = lines(alone.folder), lines(both.folder)
    for name in ("face.mp4", "voice.wav"):
        tensors = [load_file(d.folder / r[name]["file"]) for d, r in ((alone, one), (both, two))]
        assert tensors[0].keys() == tensors[1].keys()
        assert all(torch.allclose(t, tensors[1][n], atol=1e-3) for n, t in tensors[0].items())


def test_a_layout_of_a_manifest_has_its_truth(tmp_path: Path, weights: Path, clips: Path) -> None:
    record = Record("face.mp4", True, ((1.0, 1.5), (1.4, 2.0)), (), None, split="train")
    write_records(clips / "m.csv", [record], clips)
    config: dict[str, Any] = {"layout": "ummaformer"}
    done, _ = extracted(weights, clips / "m.csv", tmp_path, **config)
    assert done.layout is not None
    (entry,) = json.loads((done.layout / "annotations.json").read_text())
    assert entry["fake_periods"] == [[1.0, 2.0]]
    name = Path(entry["file"]).stem
    rgb = np.load(done.layout / "picture" / "rgb" / "train" / f"{name}.npy")
    sound = np.load(done.layout / "sound" / "train" / f"{name}.npy")
    assert rgb.shape == sound.shape == (75, 16)
    assert rgb.dtype == sound.dtype == np.float32
