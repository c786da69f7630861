"""The scripts of examples/ on the clips that they draw, without network."""

from __future__ import annotations

import csv
import io
import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: str) -> str:
        """Return what a script prints."""
        monkeypatch.setattr("sys.argv", [name, *words])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_single_files_scores_are_printed(run) -> None:
    printed = run("single_file.py")
    assert re.match(r"drawn\.mp4: (real|fake|inconclusive), score [01]\.\d\d\n", printed)
    for track in ("picture", "sound", "lips against sound"):
        assert re.search(rf"^  {track} +[01]\.\d\d$", printed, re.MULTILINE)


def test_a_folder_becomes_a_table_in_which_the_broken_file_has_a_row(run) -> None:
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(run("folder_to_table.py")))}
    assert set(rows) == {"broken.mp4", "drawn.mp4"}
    assert 0 <= float(rows["drawn.mp4"]["score"]) <= 1
    assert not rows["drawn.mp4"]["error"]
    assert "broken.mp4 is not a video" in rows["broken.mp4"]["error"]


def test_a_detector_that_finds_repeated_frames_is_found_perfect(run, tmp_path: Path) -> None:
    printed = run("evaluate_own_predictions.py", str(tmp_path / "report"))
    assert "AUC: 1.000\n" in printed
    assert (tmp_path / "report" / "report.md").is_file()


def test_a_report_is_one_page(run, face_clip: Path, tmp_path: Path) -> None:
    page = tmp_path / "face.html"
    printed = run("write_report.py", str(face_clip), str(page))
    assert re.fullmatch(r"face\.html: \d+\.\d MB, face\.mp4 is (real|fake|inconclusive)\n", printed)
    assert "face.mp4" in page.read_text(encoding="utf-8")


def test_every_script_is_run_here() -> None:
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert tested == {path.name for path in EXAMPLES.glob("*.py")}
