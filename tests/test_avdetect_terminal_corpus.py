"""A scan as people see it, where nobody watches and where somebody does."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from avdetect import cli
from avdetect.terminal import corpus
from avdetect.terminal.corpus import corpus_progress, summary_table
from pipelines.scan.corpus import Beginning
from pipelines.scan.loop import Progress
from pipelines.scan.plan import Plan

SUMMARY: dict[str, Any] = {
    "results": "out/tiny-12/results",
    "videos": 4,
    "judged": 2,
    "failed": 2,
    "verdicts": {"fake": 1, "real": 1},
    "causes": {"MediaError: is [bold]\x1b[2J empty": 2},
    "run": {"videos": 4, "failed": 2, "seconds": 8.0, "videos_per_hour": 1800.0},
}
PLAN = Plan(workers=2, cpus=1, gpus=0.0, reason="as asked for")


def shown(renderable: Any) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_summary_names_verdicts_causes_and_pace():
    text = shown(summary_table(SUMMARY))
    for words in ("fake  ", "real  ", "1800 an hour", "out/tiny-12/results"):
        assert words in text
    assert r"failed: MediaError: is [bold]\x1b[2J empty" in text


def test_a_finished_corpus_says_so():
    run = {"videos": 0, "failed": 0, "seconds": 0.0, "videos_per_hour": 0.0}
    assert "nothing was left to do" in shown(summary_table({**SUMMARY, "run": run}))


def test_plain_lines_where_nobody_watches(capsys, monkeypatch):
    monkeypatch.setattr(corpus, "LINE_SECONDS", 0.0)
    with corpus_progress() as (on_begin, on_progress):
        on_begin(Beginning(Path("out"), already=3, todo=2, plan=PLAN))
        on_progress(Progress(total=2, done=1, failed=0, seconds=6.0))
        on_progress(Progress(total=2, done=2, failed=1, seconds=12.0))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "3 judged already, 2 to do; 2 workers, each on 1 core: as asked for",
        "1/2 videos, 10.0 a minute, 0 failed, 0:06.00 left",
        "2/2 videos, 10.0 a minute, 1 failed",
    ]


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with corpus_progress() as (on_begin, on_progress):
        on_begin(Beginning(Path("out"), already=0, todo=2, plan=PLAN))
        on_progress(Progress(total=2, done=1, failed=1, seconds=6.0))
    assert "2 to do; 2 workers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clips"], "scan needs --out DIR"),
        (["no-such-source", "--out", "out"], "no-such-source: no such file, folder or pattern"),
        (["clips", "--out", "out", "--weights", "nowhere"], "no weights at"),
        (["clips", "--out", "out", "--set", "windows.lenght=3"], "unknown key"),
        (["clips", "--out", "clips/a.txt"], "the results cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exits_with_2(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.txt").touch()
    assert cli.main(["scan", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_an_empty_corpus_is_finished_at_once(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    assert cli.main(["scan", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]) == 0
    assert "nothing was left to do" in capsys.readouterr().out
