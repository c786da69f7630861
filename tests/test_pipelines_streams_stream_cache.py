"""The cache of streams: it extracts once, and what is judged from it is judged the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from avdetect import cli
from avdetect.example import example_frames, example_waveform
from extractors.media import write_clip
from extractors.streams import StreamConfig
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectorSession, load
from pipelines.detection.starter import ENCODER
from pipelines.scan.detector_job import DetectorJob
from pipelines.storage.local_copy import ScratchError
from pipelines.streams.stream_cache import StreamCache
from temporal.experts import ExpertConfig
from tests.drawn_media import DrawnPicture, DrawnSound, beep, write_tracks

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two detectors that read the same streams."""
    folder = tmp_path_factory.mktemp("weights")
    for seed in (0, 1):
        torch.manual_seed(seed)
        detector = Detector(DetectorConfig(name=f"tiny{seed}", experts=TINY))
        save_detector(folder / f"{seed}.safetensors", detector, {})
    return [folder / "0.safetensors", folder / "1.safetensors"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "face.mp4"
    write_clip(path, example_frames(6.0, size=(240, 320)), example_waveform(6.0))
    return path


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("read again")


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no file can be decoded."""
    monkeypatch.setattr("pipelines.streams.walk.open_media", refuse)


def said(session: DetectorSession, path: Path) -> dict[str, Any]:
    result: dict[str, Any] = dict(session.detect(path).to_dict())
    return {name: value for name, value in result.items() if name != "elapsed"}


def test_a_file_is_extracted_once_and_named_by_its_content(
    tmp_path: Path, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip("a.wav", 1.0, picture=False)
    first = StreamCache(tmp_path / "cache").get(path)
    assert first.waveform is not None
    assert len(first.waveform) == 16000
    path.rename(tmp_path / "another name.wav")
    unread(monkeypatch)
    again = StreamCache(tmp_path / "cache").get(tmp_path / "another name.wav")
    assert torch.equal(first.blocks[0].mel, again.blocks[0].mel)
    assert torch.equal(first.waveform, again.waveform)


def test_verdicts_from_the_cache_are_those_without(
    tmp_path: Path, weights: list[Path], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = weights
    plain = [said(load(path), clip) for path in weights]
    assert plain[0]["score"] != plain[1]["score"]
    assert said(load(one, cache=tmp_path), clip) == plain[0]  # written as they pass by
    unread(monkeypatch)
    assert said(load(one, cache=tmp_path), clip) == plain[0]
    assert said(load(other, cache=tmp_path), clip) == plain[1]  # a second model only judges
    steps: list[tuple[int, int]] = []
    load(one, cache=tmp_path).detect(clip, lambda done, total: steps.append((done, total)))
    assert max(steps) == (150, 150)


def test_a_scan_with_a_second_model_only_judges(
    tmp_path: Path, weights: list[Path], make_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    make_clip("a.wav", 2.0, picture=False)
    scan = ["scan", str(tmp_path / "*.wav"), "--out", str(tmp_path / "out"), "--workers", "1"]
    scan += ["--cache", str(tmp_path / "kept")]
    assert cli.main([*scan, "--weights", str(weights[0])]) == 0
    unread(monkeypatch)
    assert cli.main([*scan, "--weights", str(weights[1])]) == 0
    assert cli.main(["detect", str(tmp_path / "a.wav"), "--weights", str(weights[0]),
                     "--cache", str(tmp_path / "kept")]) == 0  # fmt: skip
    assert "a.wav: " in capsys.readouterr().out


def test_training_reads_what_judging_has_kept(
    tmp_path: Path, weights: list[Path], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = StreamCache(tmp_path / "other").get(clip)
    load(weights[0], cache=tmp_path / "cache").detect(clip)
    unread(monkeypatch)
    kept = StreamCache(tmp_path / "cache").get(clip)
    assert len(kept.blocks) == len(fresh.blocks)
    assert torch.equal(kept.waveform, fresh.waveform)


def test_shards_and_further_sounds_have_entries_of_their_own(
    tmp_path: Path, weights: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [DrawnSound(beep(4.0, at)) for at in ((0.5, 2.0), (1.0, 3.0))]
    path = write_tracks(tmp_path / "two.mkv", DrawnPicture(range(100)), *tracks)
    spans = [range(50), range(50, 100)]
    overrides = ["streams.block=32", "streams.context=16"]

    def judged(session: DetectorSession) -> list[Any]:
        job = DetectorJob(session)
        pieces = [job.run_shard(path, span, lambda done, total: None) for span in spans]
        joined = job.join(str(path), pieces)
        return [said(session, path), {n: v for n, v in joined.items() if n != "elapsed"}]

    plain = judged(load(weights[0], overrides=overrides))
    assert len(plain[0]["media"]["audio_tracks"]) == 2
    cached = load(weights[0], overrides=overrides, cache=tmp_path / "cache")
    assert judged(cached) == plain
    assert len(list((tmp_path / "cache").glob("*.facts"))) == 6
    unread(monkeypatch)
    assert judged(load(weights[0], overrides=overrides, cache=tmp_path / "cache")) == plain


def test_other_settings_are_other_entries(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.wav", 0.5, picture=False)
    names = {
        StreamCache(tmp_path, config).entry(path).streams.name
        for config in (
            StreamConfig(), StreamConfig(block=32), StreamConfig(scenes=False),
            StreamConfig(encoder=str(ENCODER), portrait=("face/6/class",)),
            StreamConfig(
                encoder=str(ENCODER), portrait=("face/6/class",), precision="bfloat16"
            ),
        )
    }  # fmt: skip
    assert len(names) == 5


def test_a_file_that_breaks_off_in_judging_leaves_no_entry(
    tmp_path: Path, weights: list[Path], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = load(weights[0], cache=tmp_path / "cache")

    def broken(blocks: Any) -> Any:
        next(iter(blocks))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.read_piece(clip, None, None, stage=broken)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_without_room_is_one_sentence(
    tmp_path: Path, weights: list[Path], make_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    session = load(weights[0], cache=tmp_path / "cache")
    monkeypatch.setattr("pipelines.streams.cache_entry.write_by", full)
    with pytest.raises(ScratchError, match="cache: streams cannot be kept"):
        session.detect(make_clip("a.wav", 1.0, picture=False))


def test_blocks_come_from_the_cache_one_at_a_time(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    path = make_clip("long.wav", 40.0, picture=False)
    cache = StreamCache(tmp_path / "cache", StreamConfig(block=64, context=8))
    cache.get(path)
    earlier: list[weakref.ref[Any]] = []
    for block in cache.entry(path).blocks():
        gc.collect()
        assert all(ref() is None for ref in earlier)
        earlier.append(weakref.ref(block.mel))
    assert len(earlier) > 10
