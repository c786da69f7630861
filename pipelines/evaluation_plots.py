"""All metrics of an evaluation in, plots that a paper can print out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

Row = Mapping[str, Any]
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the DET plot
DPI = 200


def write_plots(metrics: Row, out: Path) -> list[Path]:
    """Return the plots written as PNG into a folder: those for which there are numbers."""
    scored = {name: row for name, row in metrics["detection"].items() if "curves" in row}
    plots: dict[str, Callable[[Any], None]] = {}
    if scored:
        plots |= {
            "roc": lambda axes: _roc(axes, scored),
            "det": lambda axes: _det(axes, scored),
            "reliability": lambda axes: _reliability(axes, scored),
        }
    place = metrics["localization"]
    precision = {
        float(key[3:]): value
        for key, value in place.items()
        if key.startswith("AP@") and ":" not in key and value is not None
    }
    if precision:
        plots["ap_by_tiou"] = lambda axes: _precision(axes, precision, place["protocol"])
    return [_drawn(out / f"{name}.png", draw) for name, draw in plots.items()]


def _drawn(path: Path, draw: Callable[[Any], None]) -> Path:
    from matplotlib.figure import Figure  # no window and no global state, unlike pyplot

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=DPI)
    return path


def _roc(axes: Any, scored: Mapping[str, Row]) -> None:
    for name, row in scored.items():
        axes.plot(*row["curves"]["roc"], label=f"{name}, AUC {row['auc']:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")


def _det(axes: Any, scored: Mapping[str, Row]) -> None:
    """Draw misses over false alarms, both on a normal scale: normal scores give a line."""
    warp = NormalDist().inv_cdf
    for name, row in scored.items():
        rates = np.clip(row["curves"]["roc"], TICKS[0] / 10, 1 - TICKS[0] / 10)
        misses = [warp(1 - rate) for rate in rates[1]]
        axes.plot([warp(r) for r in rates[0]], misses, label=f"{name}, EER {row['eer_hull']:.3f}")
    places, texts = [warp(tick) for tick in TICKS], [f"{100 * tick:g}" for tick in TICKS]
    axes.set_xticks(places, texts)
    axes.set_yticks(places, texts)
    edges = (warp(TICKS[0] / 2), warp(TICKS[-1]))
    axes.set(xlabel="false alarms, %", ylabel="misses, %", xlim=edges, ylim=edges, aspect="equal")


def _reliability(axes: Any, scored: Mapping[str, Row]) -> None:
    for name, row in scored.items():
        mean, share, _ = row["curves"]["reliability"]
        axes.plot(mean, share, marker="o", markersize=3, label=f"{name}, ECE {row['ece']:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="mean P(fake) of a bin", ylabel="share of fakes", aspect="equal")


def _precision(axes: Any, precision: Mapping[float, float], protocol: str) -> None:
    ious = sorted(precision)
    axes.plot(ious, [precision[iou] for iou in ious], marker="o", label=f"protocol {protocol}")
    axes.set(xlabel="temporal IoU", ylabel="AP", ylim=(0, 1.02))
