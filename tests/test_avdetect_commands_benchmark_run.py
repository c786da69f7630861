"""A run of the benchmark: each clip is judged, and its peers' steps stand beside it."""

from __future__ import annotations

import json
import types
from argparse import ArgumentParser
from dataclasses import asdict
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from avdetect.commands import benchmark, benchmark_run
from avdetect.commands.benchmark_run import BenchmarkCosts, costs_tables, measure_all
from avdetect.commands.benchmark_stages import PLAIN, Cost

COSTS = {PLAIN: Cost(2.0, 3.0), "total": Cost(6.0, 9.0), "a peer": Cost(8.0, 8.5)}
MEASURED = BenchmarkCosts(20, 3, {"wall": COSTS, "talk": COSTS}, {"wall": 900.0, "talk": 1000.4})


def test_every_clip_is_judged_and_given_to_every_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    def note(what: str, result: Any = None) -> Any:
        def work(*given: Any) -> Any:
            path = next(g for g in given if hasattr(g, "stem"))
            assert path.is_file() or what == "draw"
            seen.append((what, path.stem))
            return result

        return work

    draw = note("draw")
    monkeypatch.setattr(
        benchmark_run, "CLIPS", {n: lambda p, s: (draw(p), p.touch()) for n in ("wall", "talk")}
    )
    monkeypatch.setattr(benchmark_run, "PEERS", {"peer": note("peer")})
    monkeypatch.setattr(benchmark_run, "peak_of_judging", note("peak", 7.0))
    command = note("command", {"avdetect detect": Cost(9.0, 9.0)})
    monkeypatch.setattr(benchmark_run, "commands_costs", command)
    monkeypatch.setattr(benchmark_run, "measure", lambda session, file, runs: dict(COSTS))
    model: Any = types.SimpleNamespace(load=lambda: None)
    measured = measure_all(model, seconds=1, runs=1)
    for what in ("draw", "peak", "command", "peer"):
        assert [name for step, name in seen if step == what] == ["wall", "talk"]
    assert list(measured.stages["talk"]) == [*COSTS, "avdetect detect", "peer"]
    assert measured.peaks == {"wall": 7.0, "talk": 7.0}


def test_the_tables_say_which_clip_and_what_it_peaks_at() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(costs_tables(MEASURED))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.index("wall") < text.index("900 MB") < text.index("talk") < text.index("1000 MB")
    assert text.count("a peer") == 2


def test_json_holds_all_that_the_tables_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark_run, "measure_all", lambda model, seconds, runs: MEASURED)
    parser = ArgumentParser()
    benchmark.add_arguments(parser)
    assert benchmark.run(parser.parse_args(["--json", "-"])) == 0
    row = json.loads(capsys.readouterr().out)
    assert row == json.loads(json.dumps(asdict(MEASURED)))
    assert row["stages"]["talk"]["total"] == {"wall": 6.0, "processor": 9.0}
