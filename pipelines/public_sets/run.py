"""From a public data set to weights and its protocol's numbers; every step resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.detection.session import WeightsSpec
from pipelines.evaluation.evaluate import EvaluateConfig, evaluate
from pipelines.evaluation.tables import summary
from pipelines.public_sets.prepare import prepare
from pipelines.public_sets.recipe import SetRecipe, read_recipe
from pipelines.scan.corpus import ScanConfig, scan_corpus
from pipelines.storage.files import write_whole
from pipelines.train.run import train_by

Say = Callable[[str], None]


@dataclass(frozen=True)
class Reproduced:
    """The outcome of training on a public data set."""

    weights: Path
    report: Path  # folder of the evaluation's report, and of `published.md`
    title: str
    metrics: dict[str, Any]  # see `evaluate`
    systems: list[str]  # this one first, then those published
    rows: list[list[str]]  # of the table beside published numbers, in percent


def train_on(
    sets: Sequence[tuple[str, Path]],
    config: Path | None = None,
    overrides: Sequence[str] = (),
    workers: int = 1,
    address: str | None = None,
    say: Say = lambda words: None,
) -> Reproduced:
    """Train on public data sets, judge the test clips of the last, and measure by its protocol.

    Args:
        sets: names of `avdetect datasets`, and the folders they lie in.
        config: the recipe; None: that of the last set in `configs/datasets`.
        overrides: settings of the recipe that differ from it.
        workers: processes that train together.
        address: of a Ray cluster.
        say: called with a sentence before each step.

    Raises:
        ConfigError, InputError: the recipe or a data set cannot be used.
        PlanError, PoolError, ResultError: see `train` and `scan_corpus`.
    """
    recipe = read_recipe(config, sets, overrides)
    out = Path(recipe.train.out)
    made = prepare(sets, recipe, out, recipe.train.seed)
    say(", ".join(f"{split}: {count}" for split, count in made.counts.items()) + " clips")
    clips: dict[str, Any] = {"videos": None, "sounds": None, recipe.reads: str(made.manifest)}
    data = replace(recipe.train.data, columns={}, forged=(), splits=str(made.splits), **clips)
    weights = train_by(replace(recipe.train, data=data), workers, address)
    say(f"the weights are in {weights}; judging the test clips")
    model = WeightsSpec(weights.absolute(), recipe.train.device, cache=Path(data.cache).absolute())
    scan = ScanConfig(model, workers=data.workers, address=address)
    judged = scan_corpus(
        str(made.test), out / "verdicts", scan, lambda begin: None, lambda progress: None
    )
    results, report = Path(judged["results"]).parent, out / "report"
    metrics = evaluate(
        results, made.test, EvaluateConfig(protocol=recipe.protocol, model=model, out=report)
    )
    systems, rows = beside_published(recipe, summary(metrics)["metrics"])
    lines = [f"# {recipe.title}", "", *_markdown(systems, rows), "", *_sources(recipe)]
    write_whole(report / "published.md", ("\n".join(lines) + "\n").encode())
    write_whole(report / "published.json", json.dumps([systems, rows]).encode())
    return Reproduced(weights, report, recipe.title, metrics, systems, rows)


def beside_published(
    recipe: SetRecipe, metrics: dict[str, float]
) -> tuple[list[str], list[list[str]]]:
    """Return the systems, and a row for each metric with their values in percent; a dash: none.

    metrics: ours, in [0, 1], by the names of the report; those that are reported come first, and
    others only where they were published too.
    """
    names = [*recipe.reported, *(name for other in recipe.published for name in other.metrics)]
    rows = []
    for name in dict.fromkeys(names):
        own = f"{100 * metrics[name]:.1f}" if name in metrics else "–"
        others = [other.metrics.get(name) for other in recipe.published]
        rows.append([name, own, *("–" if value is None else f"{value:g}" for value in others)])
    return ["these weights", *(other.system for other in recipe.published)], rows


def _markdown(systems: list[str], rows: list[list[str]]) -> list[str]:
    head = ["in %", *systems]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _sources(recipe: SetRecipe) -> list[str]:
    return [
        f"- {other.system}: {other.source}{f'. {other.note}' if other.note else ''}"
        for other in recipe.published
    ]
