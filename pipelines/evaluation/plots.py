"""Plots of an evaluation's metrics, fit for print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from extractors.media import STEP_RATE
from pipelines.data.samples import Sample
from pipelines.metrics.security import noise_ceiling
from temporal.segment import MODALITIES

Row = Mapping[str, Any]
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the DET plot
DPI = 300
LINES = {  # of scores: distinct in grey, and for readers who do not tell red from green
    "color": ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), "linestyle": ("-", "--", "-.", ":"),
}  # fmt: skip


def write_plots(metrics: Row, out: Path) -> list[Path]:
    """Write the plots that the metrics allow as PNG into a folder; return their paths."""
    scored = {name: row for name, row in metrics["detection"].items() if "curves" in row}
    plots: dict[str, Callable[[Any], None]] = {}
    if scored:
        plots |= {
            "roc": lambda axes: _roc(axes, scored),
            "det": lambda axes: _det(axes, scored),
        }
    place = metrics["localization"]
    precision = {
        float(key[3:]): value
        for key, value in place.items()
        if key.startswith("AP@") and ":" not in key and isinstance(value, float)
    }
    if precision:
        plots["ap_by_tiou"] = lambda axes: _precision(axes, precision, place["protocol"])
    drawn = [_drawn(out / f"{name}.png", draw) for name, draw in plots.items()]
    if scored:
        drawn.append(_reliability(scored, out / "reliability.png"))
    if "noise" in metrics:
        drawn.append(_drawn(out / "noise.png", lambda axes: _noise(axes, metrics["noise"])))
    if "robustness" in metrics:
        drawn.append(_perturbed(metrics["robustness"], out / "perturbed.png"))
    return drawn


def _perturbed(robustness: Row, path: Path) -> Path:
    """Draw AUC over severity: one small plot per operator, one line per score; 0 is clean."""
    from matplotlib.figure import Figure

    scored = {
        name: row for name, row in robustness.items() if name != "clips" and "note" not in row
    }
    operators = list(dict.fromkeys(name for row in scored.values() for name in row["operators"]))
    columns = min(max(len(operators), 1), 6)
    lines = -(-max(len(operators), 1) // columns)
    figure = Figure(figsize=(1.8 * columns + 1, 1.5 * lines + 0.6), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, operator in zip(grid.flat, operators, strict=False):
        axes.set_prop_cycle(**LINES)
        for name, row in scored.items():
            cases = row["operators"][operator]
            values = [row["auc_clean"], *(case["auc"] for case in cases.values())]
            axes.plot([0, *map(int, cases)], values, marker="o", markersize=2,
                      label=_words(name))  # fmt: skip
        axes.axhline(0.5, color="grey", linestyle=":")
        axes.set_title(_words(operator), fontsize=7)
        axes.set(ylim=(0, 1.02), xticks=range(6))
    for axes in grid.flat[len(operators) :]:
        axes.set_axis_off()
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), fontsize=7, loc="outside upper center", ncols=4
    )
    figure.supxlabel("severity", fontsize=8)
    figure.supylabel("AUC", fontsize=8)
    figure.savefig(path, dpi=DPI)
    return path


def write_timelines(samples: Sequence[Sample], results: Mapping[str, Row], out: Path) -> list[Path]:
    """Write the plot of scores along time over the forged seconds; return its path, if drawn.

    It shows those partially forged clips whose forged steps stand out most and least, and the
    genuine clips with the highest scores. Without any timeline there is no plot.
    """
    lines = [(s, line) for s in samples if (line := _timeline(results, s)) is not None]
    forged = sorted((f for f in lines if 0 < _mask(*f).mean() < 1), key=lambda f: _contrast(*f))
    real = sorted((f for f in lines if not f[0].fake), key=lambda f: float(np.nanmax(f[1])))
    chosen = [*forged[:-4:-1], *forged[: min(3, len(forged) - 3)], *real[:-3:-1]]
    if not chosen:
        return []
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.4 * len(chosen) + 0.4), layout="constrained")
    rows = figure.subplots(len(chosen), squeeze=False, sharey=True)[:, 0]
    for axes, (sample, line) in zip(rows, chosen, strict=True):
        seconds, forged = np.arange(len(line)) / STEP_RATE, _forged(sample, line)
        for column, name in enumerate(MODALITIES):
            colour, style = (LINES[key][column] for key in ("color", "linestyle"))
            axes.plot(seconds, line[:, column], style, color=colour, label=name, linewidth=1)
            axes.fill_between(seconds, 0, 1, where=forged[:, column], step="post", color=colour,
                              alpha=0.2, linewidth=0)  # fmt: skip
        axes.set(ylim=(-0.03, 1.03), xlim=(0, len(line) / STEP_RATE))
        kind = sample.method if sample.fake else "genuine"
        axes.set_title(f"{sample.path.name}, {kind}", fontsize=7, loc="left")
        axes.tick_params(labelsize=7)
    names = rows[0].get_legend_handles_labels()
    figure.legend(*names, fontsize=8, loc="outside upper right", ncols=len(MODALITIES))
    figure.supylabel("score", fontsize=9)
    rows[-1].set_xlabel("seconds; forged ones are shaded in the colour of their track", fontsize=9)
    path = out / "timelines.png"
    figure.savefig(path, dpi=DPI)
    return [path]


def _timeline(results: Mapping[str, Row], sample: Sample) -> Any:
    line = results.get(str(sample.path), {}).get("timeline")
    return None if line is None or np.isnan(line).all() else line


def _forged(sample: Sample, line: Any) -> Any:
    """Return which steps are forged in which modality (T, 3)."""
    return sample.targets(0, len(line)).numpy() == 1


def _mask(sample: Sample, line: Any) -> Any:
    """Return which steps (T,) are forged in any modality."""
    return _forged(sample, line).any(axis=1)


def _contrast(sample: Sample, line: Any) -> float:
    """Return the mean score of the forged steps minus that of the others."""
    highest, mask = np.fmax.reduce(line, axis=1), _mask(sample, line)
    return float(np.nanmean(highest[mask]) - np.nanmean(highest[~mask]))


def _drawn(path: Path, draw: Callable[[Any], None]) -> Path:
    from matplotlib.figure import Figure  # no window and no global state, unlike pyplot

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(**LINES)
    draw(axes)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=DPI)
    return path


def _words(name: str) -> str:
    return name.replace("_", " ")


def _roc(axes: Any, scored: Mapping[str, Row]) -> None:
    for name, row in scored.items():
        axes.plot(*row["curves"]["roc"], label=f"{_words(name)}, AUC {row['auc']:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")


def _det(axes: Any, scored: Mapping[str, Row]) -> None:
    """Draw the DET curve, misses over false alarms on normal axes: normal scores give a line."""
    warp = NormalDist().inv_cdf
    for name, row in scored.items():
        rates = np.clip(row["curves"]["roc"], TICKS[0] / 10, 1 - TICKS[0] / 10)
        label = f"{_words(name)}, EER {row['eer_hull']:.3f}"
        axes.plot([warp(r) for r in rates[0]], [warp(1 - r) for r in rates[1]], label=label)
    places, texts = [warp(tick) for tick in TICKS], [f"{100 * tick:g}" for tick in TICKS]
    axes.set_xticks(places, texts)
    axes.set_yticks(places, texts)
    edges = (warp(TICKS[0] / 2), warp(TICKS[-1]))
    axes.set(xlabel="false alarms, %", ylabel="misses, %", xlim=edges, ylim=edges, aspect="equal")


def _reliability(scored: Mapping[str, Row], path: Path) -> Path:
    """Draw one reliability plot per score; a dot's area grows with the clips in its bin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 * len(scored) + 0.6, 2.8), layout="constrained")
    grid = figure.subplots(1, len(scored), squeeze=False, sharey=True)[0]
    for axes, (name, row) in zip(grid, scored.items(), strict=True):
        mean, share, clips = map(np.array, row["curves"]["reliability"])
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
        axes.plot(mean, share, linewidth=0.5)
        axes.scatter(mean, share, s=150 * clips / clips.max(), alpha=0.6, linewidths=0)
        axes.set_title(f"{_words(name)}, ECE {row['ece']:.3f}", fontsize=8)
        axes.set(aspect="equal", xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
        axes.grid(alpha=0.3)
    figure.supxlabel("mean P(fake) of a bin", fontsize=9)
    grid[0].set_ylabel("share of fakes")
    figure.savefig(path, dpi=DPI)
    return path


def _noise(axes: Any, noise: Row) -> None:
    """Draw the detector's AUC over the ratio of shift to noise, and the ceiling of any detector."""
    ratios = noise["ratios"]
    for name in ("visual", "audio"):
        row = noise[name]
        if row["clips"]:
            low, high = np.array(row["auc_interval"]).T
            reach = np.clip([row["auc"] - low, high - row["auc"]], 0, None)
            axes.errorbar(ratios, row["auc"], reach, marker="o", markersize=3, capsize=2,
                          label=f"{name}, {row['clips']} clips")  # fmt: skip
    shifts = np.linspace(0, ratios[-1], 100)
    ceiling = [noise_ceiling(shift, 1.0).auc for shift in shifts]
    axes.plot(shifts, ceiling, color="black", linestyle="--", label="ceiling")
    axes.set(xlabel="shift / sigma of the noise", ylabel="AUC", ylim=(0.4, 1.02))


def _precision(axes: Any, precision: Mapping[float, float], protocol: str) -> None:
    ious = sorted(precision)
    axes.plot(ious, [precision[iou] for iou in ious], marker="o", label=f"protocol {protocol}")
    axes.set(xlabel="temporal IoU", ylabel="AP", ylim=(0, 1.02))
