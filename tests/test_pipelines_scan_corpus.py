"""A whole scan: by one process without Ray, and by workers that are killed with their driver.

Then every video has one row, none is missing, and the scores are the same; that takes minutes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.detection.session import WeightsSpec
from pipelines.results.journal import journal_rows
from pipelines.scan.corpus import Beginning, ScanConfig, make_plan, scan_corpus

ROOT = Path(__file__).resolve().parents[1]
MARK = "AVDETECT_FAULT_TEST"
# What `avdetect scan` does, with two videos that are deadly: no file is known to kill MediaPipe.
SCRIPT = """
import json, os, sys, time
from dataclasses import dataclass
from pathlib import Path

from pipelines.scan.corpus import ScanConfig, scan_corpus
from pipelines.detection.session import WeightsSpec

@dataclass(frozen=True)
class Deadly(WeightsSpec):
    def load(self):
        session = WeightsSpec.load(self)
        read_piece = session.read_piece
        def deadly(path, *rest, **named):
            if "abort" in path.name:
                os.abort()
            if "hang" in path.name:
                time.sleep(3600)
            return read_piece(path, *rest, **named)
        session.read_piece = deadly
        return session

source, out, weights = sys.argv[1:]
config = ScanConfig(Deadly(Path(weights)), workers=2, limit=120.0, timelines=True)
scan_corpus(source, Path(out), config, print, lambda progress: None)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from pipelines.detection.detector import Detector, save_detector
    from pipelines.detection.detector_config import DetectorConfig
    from temporal.experts import ExpertConfig

    torch.manual_seed(0)
    small = ExpertConfig(
        dim=16, appearance=8, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=small)), {})
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty videos, ten of them broken in five ways."""
    from avdetect.example import example_frames, example_waveform
    from extractors.media import write_clip

    folder = tmp_path_factory.mktemp("corpus")
    for kind in range(5):
        seconds = 1.6 + 0.2 * kind
        first = folder / f"{kind:02d}.mp4"
        write_clip(first, example_frames(seconds, size=(240, 320)), example_waveform(seconds))
        for number in range(kind + 5, 50, 5):
            shutil.copy(first, folder / f"{number:02d}.mp4")
    whole = (folder / "00.mp4").read_bytes()
    for number in range(4):
        (folder / f"{5 * number:02d}_cut.mp4").write_bytes(whole[: len(whole) * (number + 1) // 9])
    for number in range(2):
        (folder / f"{7 * number:02d}_garbage.mp4").write_bytes(os.urandom(5000))
        (folder / f"{9 * number:02d}_empty.mp4").touch()
    for name in ("03_abort.mp4", "04_hang.mp4"):
        shutil.copy(folder / "00.mp4", folder / name)
    return folder


def start(corpus: Path, out: Path, weights: Path, mark: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", SCRIPT, str(corpus), str(out), str(weights)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {MARK: mark, "PYTHONPATH": path}
    return subprocess.Popen(arguments, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)


def of_ours(mark: str, name: bytes) -> Iterator[int]:
    """Yield the processes that this test has begun and whose command begins so."""
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
            if command.startswith(name) and f"{MARK}={mark}".encode() in (
                process / "environ"
            ).read_bytes().split(b"\0"):
                yield int(process.name)
        except (OSError, ValueError):
            continue


def rows_of(out: Path, kind: str = "results") -> list[dict[str, Any]]:
    return [r for part in out.glob(f"*/{kind}/*.parquet") for r in pq.read_table(part).to_pylist()]


def finished(out: Path) -> int:
    """Return how many videos a scan that is under way has on disk."""
    waiting = [row for file in out.glob("*/pending.arrows") for row in journal_rows(file)]
    return len({row["path"] for row in [*rows_of(out), *waiting]})


def disturb(driver: subprocess.Popen[bytes], out: Path, mark: str, luck: random.Random) -> int:
    """Kill two workers, then the driver, at random numbers of finished videos; return the last."""
    begin = finished(out)
    moments = sorted(luck.choices(range(begin + 1, begin + 14), k=3))
    for number, moment in enumerate(moments):
        while finished(out) < moment:
            assert driver.poll() is None, "the driver ended before it was killed"
            time.sleep(luck.uniform(0.2, 0.6))
        workers = list(of_ours(mark, b"ray::Worker"))
        if number < 2 and workers:
            os.kill(luck.choice(workers), signal.SIGKILL)
    driver.kill()
    driver.wait()
    return finished(out)


def test_a_scan_of_broken_files_stops_at_its_budget_and_its_metrics_say_so(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from avdetect.cli import main

    (tmp_path / "corpus").mkdir()
    for number in range(5):
        (tmp_path / "corpus" / f"{number}.mp4").touch()
    command = ["scan", str(tmp_path / "corpus"), "--out", str(tmp_path / "out"), "--workers", "1"]
    command += ["--weights", str(weights), "--metrics", str(tmp_path / "scan.prom")]
    assert main([*command, "--max-errors", "2"]) == 2
    assert "3 of 3 videos failed, and 2 may" in capsys.readouterr().err
    metrics = (tmp_path / "scan.prom").read_text().splitlines()
    assert 'avdetect_scan_videos_total{status="error"} 3' in metrics
    assert "avdetect_scan_videos_left 2" in metrics
    assert "avdetect_scan_running 0" in metrics
    assert main(command) == 1  # goes on behind the three
    metrics = (tmp_path / "scan.prom").read_text().splitlines()
    assert 'avdetect_scan_videos_total{status="error"} 2' in metrics


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_disturbed_scan_says_what_an_undisturbed_one_says(corpus, weights, tmp_path):
    luck, mark = random.Random(7), uuid.uuid4().hex
    disturbed, calm = tmp_path / "disturbed", tmp_path / "calm"
    done = 0
    for _ in range(3):
        before, done = done, disturb(start(corpus, disturbed, weights, mark), disturbed, mark, luck)
        assert done > before  # nothing that was finished is lost
    assert start(corpus, disturbed, weights, mark).wait() == 0
    assert start(corpus, calm, weights, mark).wait() == 0

    rows = rows_of(disturbed)
    assert len(rows) == len({row["path"] for row in rows}) == 60
    by_path = {row["path"]: row for row in rows}
    for expected in rows_of(calm):
        row = by_path[expected["path"]]
        for name in ("status", "error_type", "score", "segments", "sha256"):
            assert row[name] == expected[name], (row["path"], name)
    failed = {Path(row["path"]).name: row["error_message"] for row in rows if row["error_type"]}
    assert not {name: why for name, why in failed.items() if "_" not in name}  # good ones
    assert len(failed) == 10
    curves = rows_of(disturbed, "timelines")
    assert len(curves) == len({row["path"] for row in curves}) == 50
    summary = json.loads(next(disturbed.glob("*/summary.json")).read_text())
    assert (summary["judged"], summary["failed"]) == (50, 10)
    assert summary["causes"].keys() >= {"MediaError: is empty (0 bytes)"}
    time.sleep(2)
    assert not list(of_ours(mark, b"")), "processes were left behind"


def test_one_worker_is_this_process_and_needs_no_ray(
    weights: Path, face_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, began = tmp_path / "clips", list[Beginning]()
    source.mkdir()
    shutil.copy(face_clip, source / "a.mp4")
    (source / "b.mp4").touch()
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it is an error
    config = ScanConfig(WeightsSpec(weights), workers=1)
    summary = scan_corpus(str(source), tmp_path / "out", config, began.append, lambda _: None)
    assert (summary["judged"], summary["failed"]) == (1, 1)
    assert summary["causes"] == {"MediaError: is empty (0 bytes)": 1}
    assert "in this process, without Ray" in str(began[0].plan)
    assert str(began[0].plan) == str(make_plan(config))
