"""Markdown tables of a detector's robustness: perturbations and probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from pipelines.evaluation.markdown import cell, head, line, text

Row = Mapping[str, Any]


def attack_table(metrics: Row) -> list[str]:
    """Return one row per modality and bound: accuracy and success rate under the attack."""
    title = f"attack of {metrics['steps']} gradient steps"
    lines = head([title, "bound", "clips", "judged right", "of those right before, flipped"])
    for name, unit in (("visual", "of 255"), ("audio", "of full scale")):
        row = metrics[name]
        for place, bound in enumerate(row["bounds"] if row["clips"] else ()):
            cells = [text(row[key] and row[key][place]) for key in ("accuracy", "success")]
            lines.append(line([name, f"{bound:g} {unit}", row["clips"], *cells]))
    return lines


def robustness_tables(metrics: Row) -> list[str]:
    """Return each score's AUC by operator and severity; bold: significantly lower than clean.

    The shifts of the scores of genuine clips and of fakes are means over the severities.
    """
    lines: list[str] = []
    for column, rows in metrics.items():
        if column == "clips" or "note" in rows:
            continue
        clean, drop = f"AUC {rows['auc_clean']:.3f} clean", f"mean drop {rows['mean_drop']:.3f}"
        lines += ["", f"{column}, {metrics['clips']} clips perturbed: {clean}, {drop}.", ""]
        severities = list(next(iter(rows["operators"].values())))
        lines += head([f"AUC of {column}, severity", *severities, "mean drop", "genuine moved by",
                       "fakes moved by"])  # fmt: skip
        for operator, cases in rows["operators"].items():
            marks = ("**" if case["lower"] else "" for case in cases.values())
            cells = [f"{m}{c['auc']:.3f}{m}" for m, c in zip(marks, cases.values(), strict=True)]
            fall = f"{rows['drop_by_operator'][operator]:+.3f}"
            moves = [_mean_shift(cases.values(), key) for key in ("shift_real", "shift_fake")]
            lines.append(line([operator.replace("_", " "), *cells, fall, *moves]))
    return lines


def _mean_shift(cases: Iterable[Row], key: str) -> str:
    shifts = [case[key] for case in cases if case[key] is not None]
    return f"{fmean(shifts):+.3f}" if shifts else "–"


def noise_table(metrics: Row) -> list[str]:
    """Return one row per modality and ratio: the detector's AUC beside the ceiling."""
    lines = head(["noise", "shift / sigma", "clips", "AUC", "ceiling", "bound of any detector"])
    for name, unit in (("visual", "of 255"), ("audio", "of full scale")):
        row = metrics[name]
        for place, ratio in enumerate(metrics["ratios"] if row["clips"] else ()):
            values = {"auc": row["auc"][place], "auc_interval": row["auc_interval"][place]}
            over = " ABOVE the ceiling" if row["above"][place] else ""
            lines.append(line([
                f"{name}, sigma {row['sigma']:g} {unit}", f"{ratio:g}", row["clips"],
                cell(values, "auc") + over, text(metrics["ceiling"][place]),
                text(metrics["bound"][place]),
            ]))  # fmt: skip
    return lines


def poison_table(metrics: Row) -> list[str]:
    """Return one row for genuine and one for forged clips: the test for a shared pattern."""
    lines = head(["shared pattern", "faces", "p", "energy / chance", "shift discrepancy",
                  "p with canaries in"])  # fmt: skip
    for name in ("genuine", "forged"):
        row = metrics[name]
        cells = ["–"] * 4  # too few faces
        if "p" in row:
            cells = [
                text(row["p"]), text(row["energy"] / row["chance"]),
                text(row["translation_discrepancy"]),
                f"{text(row['canary_p'])} ({row['canaries']} of {row['pictures']})",
            ]  # fmt: skip
        lines.append(line([name, row["pictures"], *cells]))
    return lines


def trigger_table(metrics: Row) -> list[str]:
    """Return one row per trigger: how many fakes it hides, how many genuine clips it accuses."""
    lines = head(["trigger", "fakes", "BD-AUC (1/2: does nothing)", "found fakes that it hides",
                  "genuine clips", "passed ones that it accuses"])  # fmt: skip
    for name, row in metrics["triggers"].items():
        if row["fakes"] or row["reals"]:
            hidden, accused = (
                f"{row[a]} of {row[b]}" for a, b in (("hidden", "found"), ("accused", "passed"))
            )
            lines.append(
                line([name, row["fakes"], cell(row, "bd_auc"), hidden, row["reals"], accused])
            )
    return lines
