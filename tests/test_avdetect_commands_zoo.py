"""The zoo's verbs: what is listed, who trains what, and where tables go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from avdetect import cli
from avdetect.commands import zoo
from pipelines.config import ConfigError
from pipelines.cues.drawn_forgeries import ARTEFACTS
from pipelines.zoo import head_board
from pipelines.zoo.heads import train_head
from pipelines.zoo.maps import train_map
from pipelines.zoo.parts import SHIPPED, train_part

ROOT = Path(__file__).resolve().parents[1]
LEARNS = "title: reads faces\npart: m:C\nstage: {updates: 1}\n"


def listed(folder: Path) -> dict[str, str]:
    """Each part that the command lists, and the rest of its row."""
    console = Console(width=200)
    with console.capture() as printed:
        console.print(zoo.parts_table(folder))
    rows = [line.split("│") for line in printed.get().splitlines() if "│" in line]
    return {row[1].strip(): " ".join(row[2:]) for row in rows}


def test_the_list_says_of_which_parts_there_are_weights(tmp_path: Path) -> None:
    for name in ("cifake", "newcomer"):
        (tmp_path / f"{name}.yaml").write_text(LEARNS)
    (tmp_path / "rule.yaml").write_text("title: a rule\npart: m:C\nmodality: any\nstreams: [lag]\n")
    rows = listed(tmp_path)
    assert (SHIPPED / "cifake.safetensors").exists()
    assert "shipped" in rows["cifake"]
    assert "to be trained" in rows["newcomer"]
    assert "needs none" in rows["rule"]
    assert "any" in rows["rule"]
    assert "lag" in rows["rule"]


def test_parts_heads_and_maps_are_each_trained_by_their_own() -> None:
    for path, trainer in (("zoo/cifake", train_part), ("heads/types", train_head),
                          ("heads/map", train_map)):  # fmt: skip
        assert zoo.trainer_of(ROOT / "configs" / f"{path}.yaml") is trainer


def test_a_file_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        zoo.trainer_of(Path("nowhere.yaml"))
    assert cli.main(["zoo", "train", "nowhere.yaml"]) == 2
    said = capsys.readouterr().err
    assert "nowhere.yaml" in said
    assert len(said.strip().splitlines()) == 1


def test_the_table_of_heads_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluate(*_: object) -> dict[str, dict[str, object]]:
        return {"types": {"title": "kinds", "clips": 7, "map": (0.5, 0.4, 0.6)}}

    monkeypatch.setattr(head_board, "evaluate_heads", evaluate)
    board = tmp_path / "heads.md"
    assert cli.main(["zoo", "heads", "types", "--board", str(board)]) == 0
    assert board.read_text().startswith("### types: kinds\n")
    assert "| map | 0.50 (0.40–0.60) |" in board.read_text()
    assert "| clips | 7 |" in capsys.readouterr().out


def test_the_experts_that_are_named_are_tried_on_drawn_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(names: list[str], mesh: Any, clips: int, out: Path, strength: float) -> Any:
        assert mesh.shape == (478, 3)
        assert (clips, strength) == (4, 0.5)
        return ((name, dict.fromkeys(ARTEFACTS, 0.5)) for name in names)

    monkeypatch.setattr("pipelines.cues.isolation.isolation_rows", rows)
    board = tmp_path / "cues.md"
    words = ["zoo", "cues", "mel", "--clips", "4", "--strength", "0.5", "--board", str(board)]
    assert cli.main(words) == 0
    assert "| mel | (0.50) |" in board.read_text()
    assert board.read_text().strip() in capsys.readouterr().out
    assert cli.main(["zoo", "cues", "ears"]) == 2
    assert "no expert ears; there are appearance" in capsys.readouterr().err
