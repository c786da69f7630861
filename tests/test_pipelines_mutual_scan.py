"""A corpus compared with itself by the command, and by one worker in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from avdetect import cli
from extractors.media import SAMPLE_RATE, write_clip
from pipelines.mutual import scan as mutual_scan
from pipelines.mutual.scan import MutualConfig, compare
from pipelines.scan.loop import Progress
from pipelines.scan.plan import Resources
from pipelines.scan.worker import LoopPool
from pipelines.storage.sources import videos_of

ODD = 3  # the file that sounds unlike the others


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five hums, one of which beeps in its middle, and a file that is no video."""
    folder = tmp_path_factory.mktemp("corpus")
    rng, times = np.random.default_rng(0), np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for index in range(5):
        sound = 0.3 * np.sin(2 * np.pi * (300 + 5 * index) * times) + 0.01 * rng.normal(size=16000)
        if index == ODD:
            sound[6000:12000] = 0.5 * np.sign(np.sin(2 * np.pi * 2000 * times[6000:12000]))
        write_clip(folder / f"{index}.m4a", None, sound.astype(np.float32))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def loop_pool(load: Callable[[], Any], model: dict[str, str]) -> LoopPool:
    made = load()
    assert made.model == model
    return LoopPool(made)


@contextmanager
def no_cluster(address: str | None) -> Iterator[Resources]:
    assert address is None
    yield Resources(cores=(2.0,), gpus=0.0, memory=2**40)


def in_process(corpus: Path, out: Path) -> mutual_scan.MutualSummary:
    told: list[Progress] = []
    videos = list(videos_of(str(corpus)))
    found = compare(str(corpus), videos, out, MutualConfig("audio"), loop_pool, told.append)
    assert (told[-1].done, told[-1].total) == (len(videos), len(videos))
    return found


def test_the_command_lists_the_file_that_sounds_unlike_the_others_first(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # no name is broken
    monkeypatch.setattr(mutual_scan, "cluster", no_cluster)
    monkeypatch.setattr(mutual_scan, "RayPool", lambda load, model, *_: loop_pool(load, model))
    words = ["scan", str(corpus), "--mutual", "audio", "--out", str(tmp_path), "--workers", "1"]
    assert cli.main(words) == 1
    out, errors = capsys.readouterr()
    listed = [line.split("│")[1].strip() for line in out.splitlines() if ".m4a" in line]
    assert len(listed) == 5
    assert listed[0].endswith(f"{ODD}.m4a")
    assert "One that more than three in ten share goes unseen" in out
    assert "broken.mp4" in errors
    (file,) = tmp_path.glob("mutual-audio-*/scores.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 5 + ["error"]
    assert rows[0]["path"] == str(corpus / f"{ODD}.m4a")
    assert rows[0]["score"] > rows[1]["score"]


@pytest.mark.slow
def test_workers_on_ray_find_what_one_in_this_process_finds(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = in_process(corpus, tmp_path / "alone")
    shared = mutual_scan.scan_mutual(
        str(corpus), tmp_path, MutualConfig("audio", workers=1), lambda b: None, lambda p: None
    )
    assert shared.rows == alone.rows


def test_what_was_taken_before_is_not_taken_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_process(corpus, tmp_path)
    monkeypatch.setattr("pipelines.mutual.worker.expert_outputs", None)  # would be called
    monkeypatch.setattr("pipelines.mutual.worker.mutual_scores", None)
    again = in_process(corpus, tmp_path)
    assert again.rows == first.rows
    assert again.common == first.common


def test_more_files_than_a_group_holds_are_compared_in_groups_of_one_size(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutual_scan, "GROUP", 3)
    more = tmp_path / "more"
    more.mkdir()
    for index in range(5):
        (more / f"{index}.m4a").symlink_to(corpus / f"{index}.m4a")
    (more / "copy.m4a").symlink_to(corpus / "0.m4a")
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = 0.3 * np.sin(2 * np.pi * 330 * times)
    write_clip(more / "6.m4a", None, sound.astype(np.float32))
    found = in_process(more, tmp_path / "out")
    assert len(found.rows) == 7
    rows = {Path(row["path"]).name: row for row in found.rows}
    sizes = [sum(r["group"] == g for n, r in rows.items() if n != "copy.m4a") for g in (0, 1)]
    assert sizes == [3, 3]  # six contents
    assert rows["copy.m4a"] | {"path": ""} == rows["0.m4a"] | {"path": ""}


def test_what_cannot_be_compared_is_one_sentence(
    tmp_path: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    silent = make_clip("picture.mp4", 0.4, sound=False)
    silent.rename(corpus / "picture.mp4")
    with pytest.raises(ValueError, match="3 or more to compare, got 0"):
        in_process(corpus, tmp_path / "out")
    words = ["scan", str(corpus), "--mutual", "audio"]
    assert cli.main([*words, "--out", str(tmp_path), "--timelines", "--set", "a=1"]) == 2
    assert "takes no --timelines, --set" in capsys.readouterr().err
    assert cli.main(words) == 2
    assert "needs --out" in capsys.readouterr().err
    assert cli.main([*words, "--out", str(tmp_path), "--weights", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
