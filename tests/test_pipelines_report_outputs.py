"""Everything that can be asked for about a file is written, by the functions and by the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from avdetect import cli
from extractors.media import probe
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectorSession, load
from pipelines.report.outputs import Outputs, ReportError, judge_and_write, write_about
from pipelines.report.page import Origin
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)
ORIGIN = Origin("avdetect", "0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=TINY)), {})
    return path


@pytest.fixture(scope="module")
def session(weights: Path) -> DetectorSession:
    return load(weights)


def test_each_kind_is_written_into_its_folder(
    session: DetectorSession, face_clip: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("pages", "videos", "vtt", "csv", "labels")]
    outputs = Outputs(*folders)
    outputs.make_folders()
    result, written = judge_and_write(face_clip, session, outputs, ORIGIN, name="clips/face.mp4")
    assert result["path"] == "clips/face.mp4"
    stem = f"face-{result['sha256'][:8]}"
    names = [[path.name for path in folder.iterdir()] for folder in folders]
    labels = [f"{stem}.txt"] if result["segments"] else []
    assert names == [*([stem + suffix] for suffix in (".html", ".mp4", ".vtt", ".csv")), labels]
    assert sorted(written) == sorted(path for folder in folders for path in folder.iterdir())
    assert written[0].suffix == ".html"
    assert probe(folders[1] / f"{stem}.mp4").duration == pytest.approx(2.0, abs=0.1)


def test_segments_alone_need_no_evidence(
    session: DetectorSession, face_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("pipelines.report.outputs.explain")
    result, _ = judge_and_write(face_clip, session, Outputs(csv=tmp_path), ORIGIN)
    assert result["status"] == "ok"
    assert [path.suffix for path in tmp_path.iterdir()] == [".csv"]


def test_evidence_of_other_weights_is_refused(
    session: DetectorSession, face_clip: Path, tmp_path: Path
) -> None:
    result = {"model": {"sha256": "0" * 64}, "path": "face.mp4", "sha256": "1" * 64}
    page = tmp_path / "p.html"
    with pytest.raises(ReportError, match="other weights"):
        write_about(result, face_clip, page, session, Outputs(), ORIGIN)
    assert not page.exists()


def test_the_command_writes_the_page_of_a_result(
    weights: Path, face_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, page = tmp_path / "r.jsonl", tmp_path / "new" / "p.html"
    chosen = ["--weights", str(weights)]
    assert cli.main(["detect", str(face_clip), "--json", str(rows), *chosen]) == 0
    words = ["report", str(rows), "--video", str(face_clip), "--out", str(page)]
    assert cli.main([*words, *chosen, "--vtt", str(tmp_path)]) == 0
    assert "avdetect report" in page.read_text()
    assert f"written: {page}\n" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.vtt"))) == 1
    result = json.loads(rows.read_text())
    assert f"SHA-256 {result['sha256']}" in page.read_text()
    capsys.readouterr()
    rows.write_text(json.dumps({**result, "sha256": "0"}))
    assert cli.main([*words, *chosen]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "r.jsonl: holds no result of" in errors


def test_a_page_names_its_own_file_alone_and_the_terminal_where_it_is(
    weights: Path, face_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pages"
    files = [str(shutil.copy(face_clip, tmp_path / name)) for name in ("mine.mp4", "other.mp4")]
    words = ["detect", *files, "--report", str(folder), "--weights", str(weights)]
    assert cli.main(words) == 0
    (mine,), (other,) = folder.glob("mine-*"), folder.glob("other-*")
    assert f"avdetect detect {files[0]} --report {folder}" in mine.read_text()
    assert "other.mp4" not in mine.read_text()
    assert "mine.mp4" not in other.read_text()
    out = capsys.readouterr().out
    assert f"  written: {mine}\n" in out
    assert f"  written: {other}\n" in out
    assert cli.main([*words[:2], *words[3:], "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["path"] == files[0]  # a program's output has nothing else
    assert f"written: {mine}\n" in err


def test_set_reaches_the_meters_of_the_page(weights: Path, face_clip: Path, tmp_path: Path) -> None:
    chosen = ["--weights", str(weights), "--set", "judge.uncertain=[0.123, 0.987]"]
    assert cli.main(["detect", str(face_clip), "--report", str(tmp_path), *chosen]) == 0
    (page,) = tmp_path.glob("*.html")
    assert 'low="0.123" high="0.987"' in page.read_text()


def test_a_stored_result_keeps_its_own_thresholds_and_an_older_one_takes_the_sessions(
    session: DetectorSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("pipelines.report.outputs.explain", lambda *_: (None, None))
    monkeypatch.setattr("pipelines.report.outputs.write_report", lambda row, *_: shown.append(row))
    old: Any = {"model": session.model, "path": "a.mp4", "sha256": "1" * 64}
    for result in ({**old, "uncertain": [0.1, 0.2]}, old):
        write_about(result, Path("a.mp4"), tmp_path / "p.html", session, Outputs(), ORIGIN)
    assert [row["uncertain"] for row in shown] == [
        [0.1, 0.2], list(session.config.judge.uncertain),
    ]  # fmt: skip


def test_a_folder_that_cannot_be_made_is_known_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["detect", "a.mp4", "--report", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_video_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "r.json"
    rows.write_text('{"schema": 1, "status": "ok", "sha256": "0"}')
    words = ["report", str(rows), "--video", str(tmp_path / "no.mp4"), "--out", "p.html"]
    assert cli.main(words) == 1
    assert "no.mp4 cannot be opened" in capsys.readouterr().err
