"""The judging stage: many blocks at a time say what each says alone, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from extractors.streams import Streams
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectConfig, DetectorSession, WeightsSpec
from pipelines.detection.timelines import judge_blocks
from pipelines.scan import ray_judges as block_judge
from pipelines.scan.ray_judges import BlockJudge
from temporal.experts import ExpertConfig
from temporal.windows import WindowConfig

MODEL = {"name": "tiny", "version": "1", "sha256": "00"}


@pytest.fixture(scope="module")
def session() -> DetectorSession:
    torch.manual_seed(3)
    small = ExpertConfig(
        dim=16, appearance=8, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    detector = Detector(DetectorConfig(name="tiny", experts=small)).eval()
    return DetectorSession(
        detector, DetectConfig(windows=WindowConfig(length=40, stride=30)), MODEL
    )


def blocks() -> list[Streams]:
    """Sound and faces of several lengths, with and without context."""
    made = [
        Streams(start=10 * n, lead=n, trail=2 * n, mel=torch.randn(steps, 80, 4))
        for n, steps in enumerate((12, 40, 75, 90, 100))
    ]
    for steps in (40, 90):
        flow = torch.randn(steps, 2, 56, 56).half()
        made.append(Streams(0, track=1, flow=flow, mel=torch.randn(steps, 80, 4)))
    return made


def test_blocks_judged_together_say_what_each_says_alone(session: DetectorSession) -> None:
    given = blocks()
    windows = session.config.windows
    together = judge_blocks(given, session.detector, windows, torch.float32, 8)
    for block, timeline in zip(given, together, strict=True):
        (alone,) = judge_blocks([block], session.detector, windows, torch.float32, 1)
        assert (timeline.start, timeline.stop) == (alone.start, alone.stop)
        assert timeline.stop - timeline.start == block.steps - block.lead - block.trail
        assert timeline.streams == set(block.present())
        for name in ("opinions", "proposals", "reach"):
            torch.testing.assert_close(
                getattr(timeline, name), getattr(alone, name), atol=1e-4, rtol=1e-4, equal_nan=True
            )


@pytest.mark.gpu
def test_blocks_judged_together_on_a_gpu_say_what_the_processor_says(
    session: DetectorSession,
) -> None:
    given, windows = blocks(), session.config.windows
    here = judge_blocks(given, session.detector, windows, torch.float32, 8)
    there = judge_blocks(given, deepcopy(session.detector).cuda(), windows, torch.float32, 8)
    for one, other in zip(here, there, strict=True):
        assert other.opinions.device.type == "cpu"
        for name in ("opinions", "proposals", "reach"):
            torch.testing.assert_close(
                getattr(other, name), getattr(one, name), atol=5e-3, rtol=5e-3, equal_nan=True
            )


def test_whoever_asks_gets_the_timeline_of_the_own_block(
    session: DetectorSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def watched(given: list[Streams], *rest: object) -> object:
        sizes.append(len(given))
        return judge_blocks(given, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(block_judge, "judge_blocks", watched)
    judge, given = BlockJudge(lambda: session, MODEL), blocks() * 3
    with ThreadPoolExecutor(len(given)) as pool:
        timelines = list(pool.map(judge.judge, given))
    assert [t.start for t in timelines] == [b.start + b.lead for b in given]
    assert sum(sizes) == len(given)
    assert max(sizes) > 1  # those that wait while others are judged are judged together


def test_an_error_reaches_who_asked_and_the_next_block_is_judged(session: DetectorSession) -> None:
    judge = BlockJudge(lambda: session, MODEL)
    with pytest.raises(RuntimeError):
        judge.judge(Streams(0, mel=torch.randn(40, 7, 4)))
    assert judge.judge(blocks()[0]).stop == 12


def test_other_weights_are_refused(session: DetectorSession) -> None:
    with pytest.raises(ValueError, match="expected the model"):
        BlockJudge(lambda: session, MODEL | {"sha256": "11"})


@pytest.fixture
def tiny_weights(tmp_path: Path, session: DetectorSession) -> Path:
    from pipelines.detection.detector import save_detector

    save_detector(tmp_path / "tiny.safetensors", session.detector, {})
    return tmp_path / "tiny.safetensors"


def test_a_scan_in_two_stages_says_what_one_says(
    tiny_weights: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    from pipelines.scan.corpus import ScanConfig, scan_corpus

    (tmp_path / "sounds").mkdir()
    for number in range(3):
        make_clip(f"sounds/{number}.wav", 1.0 + number, picture=False)
    expected = WeightsSpec(tiny_weights).load().detect(tmp_path / "sounds" / "2.wav")
    plans: list[str] = []
    config = ScanConfig(WeightsSpec(tiny_weights), workers=1, judges=1)
    summary = scan_corpus(
        str(tmp_path / "sounds"), tmp_path / "out", config,
        lambda beginning: plans.append(str(beginning.plan)), lambda progress: None,
    )  # fmt: skip
    assert "1 that judges for them on a core" in plans[0]
    assert summary["judged"] == 3
    import pyarrow.parquet as pq

    rows = pq.read_table(summary["results"]).to_pylist()
    (row,) = [row for row in rows if row["path"].endswith("2.wav")]
    assert row["audio_score"] == pytest.approx(expected.audio_score, abs=1e-3)
    assert row["verdict"] == expected.verdict


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [1, 2])
def test_a_scan_on_a_gpu_says_what_the_processor_says(
    workers: int, tiny_weights: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    from pipelines.scan.corpus import ScanConfig, scan_corpus

    clip = make_clip("clips/0.mp4", 2.0)
    make_clip("clips/1.wav", 2.0, picture=False)
    config = ScanConfig(WeightsSpec(tiny_weights, "cuda", ("precision=float32",)), workers)
    summary = scan_corpus(
        str(clip.parent), tmp_path / "out", config, lambda beginning: None, lambda progress: None
    )
    rows = {Path(r["path"]).name: r for r in pq.read_table(summary["results"]).to_pylist()}
    here = WeightsSpec(tiny_weights, "cpu", ("precision=float32",)).load()
    for path in sorted(clip.parent.iterdir()):
        expected = here.detect(path)
        assert rows[path.name]["verdict"] == expected.verdict
        assert rows[path.name]["score"] == pytest.approx(expected.score, abs=0.02)
