"""All metrics of an evaluation in, Markdown tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
DETECTION = {
    "auc": "AUC",
    "ap": "AP",
    "eer_hull": "EER (hull)",
    "tpr_at_fpr_1": "TPR@FPR 1 %",
    "tpr_at_fpr_5": "TPR@FPR 5 %",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier",
    "nll": "NLL",
    "ece": "ECE",
    "generators_auc": "AUC, mean of generators",
    "auc_failures_as_half": "AUC, failures as 0.5",
}


def summary(metrics: Row) -> dict[str, Any]:
    """Return what others compare with: one flat table of metrics in [0, 1] and what they rest on.

    The metrics are those of the clip score and of the segments; what could not be measured is
    left out. `n_given` and `n_scored` count clips, or videos where only segments were measured.
    """
    place, score = metrics["localization"], metrics["detection"].get("score", {})
    values = {k: v for k, v in place.items() if k.startswith(("AP@", "AR@", "challenge"))}
    values |= {title: score[key] for key, title in DETECTION.items() if key in score}
    values.pop(DETECTION["nll"], None)  # has no upper bound; metrics.json holds it
    return {
        "protocol": place["protocol"],
        "version": place["version"],
        "metrics": {name: value for name, value in values.items() if value is not None},
        "n_given": score.get("given", place["given"]),
        "n_scored": score.get("scored", place["judged"]),
        "models": metrics.get("models", []),
        "command": metrics.get("command"),
    }


def report(metrics: Row) -> str:
    """Return the metrics as Markdown tables."""
    lines: list[str] = []
    if metrics["detection"]:
        lines += _detection(metrics["detection"])
    if "abstention" in metrics:
        lines += ["", *_pairs("verdicts", metrics["abstention"])]
    if "audit" in metrics:
        lines += ["", metrics["audit"]["words"]]
    if "comparison" in metrics:
        lines += ["", *_comparison(metrics["comparison"])]
    lines += ["", *_pairs("segments", metrics["localization"])]
    if "aupimo" in metrics:
        lines += ["", *_aupimo(metrics["aupimo"])]
    if "fairness" in metrics:
        lines += ["", *fairness_tables(metrics["fairness"])]
    if "great" in metrics:
        lines += ["", *_great(metrics["great"])]
    if "attack" in metrics:
        lines += ["", *_attack(metrics["attack"])]
    if "robustness" in metrics:
        lines += ["", *_robustness(metrics["robustness"])]
    return "\n".join(lines).lstrip("\n") + "\n"


def _detection(scores: Mapping[str, Row]) -> list[str]:
    """Return a column a score, a row a metric, and a table of generators for each score."""
    columns = {name: row for name, row in scores.items() if "auc" in row}
    lines = _head(["", *scores])
    lines.append(
        _line(["scored of given", *(f"{r['scored']} of {r['given']}" for r in scores.values())])
    )
    lines.append(_line(["fake / real", *(f"{r['fake']} / {r['real']}" for r in scores.values())]))
    for key, title in DETECTION.items():
        lines.append(_line([f"{title} (95 % interval)", *(_cell(r, key) for r in scores.values())]))
    for name, row in columns.items():
        lines += ["", f"{name} by generator, against all genuine files:", ""]
        lines += _head(["generator", "fakes", "AUC (95 % interval)"])
        for method, entry in row["by_generator"].items():
            cell = _cell(entry, "auc") if "auc" in entry else "too few"
            lines.append(_line([method.replace("|", "/"), entry["fakes"], cell]))
    return lines


def _comparison(row: Row) -> list[str]:
    """Return the comparison as a sentence and a table."""
    low, high = row["difference_interval"]
    return [
        f"Compared with {row['against']}: **{row['verdict']}**.",
        "",
        *_head(["AUC", "AUC of the other", "difference (95 % interval)", "p", "clips"]),
        _line([
            f"{row['auc']:.3f}", f"{row['auc_against']:.3f}",
            f"{row['difference']:+.3f} ({low:+.3f} to {high:+.3f})",
            f"{row['p']:.2g}", row["given"],
        ]),
    ]  # fmt: skip


def _aupimo(rows: Mapping[str, Any]) -> list[str]:
    """Return a row a timeline; where it was refused, why."""
    low, high = rows["bounds"]
    lines = _head([f"temporal AUPIMO, FPR {low:g} to {high:g}", "mean (95 % interval)", "missed",
                   "forged videos", "real steps"])  # fmt: skip
    for name, row in rows.items():
        if name != "bounds":
            cell = row["refused"] if "refused" in row else _cell(row, "aupimo")
            more = [_text(row.get(key)) for key in ("missed", "forged_videos", "real_steps")]
            lines.append(_line([name, cell, *more]))
    return lines


def fairness_tables(found: Row) -> list[str]:
    """Return a table and a sentence an attribute; pairs of attributes are in metrics.json."""
    lines = [
        f"By group, at the score {found['threshold']:g} for all; intervals (95 %) over persons; "
        f"groups of {found['fewest_persons']} persons or more are compared."
    ]
    for name, attribute in found["attributes"].items():
        lines += ["", *_head([name.replace("_", " "), "persons", "genuine", "forged",
                              "FPR", "TPR", "AUC", "ECE"])]  # fmt: skip
        for group, row in attribute["groups"].items():
            cells = [_cell(row, key) for key in ("fpr", "tpr", "auc", "ece")]
            lines.append(
                _line([group.replace("|", "/"), row["persons"], row["real"], row["fake"], *cells])
            )
        lines += ["", _gaps(attribute)]
    return lines


def _gaps(attribute: Row) -> str:
    if "note" in attribute:
        return f"Not compared: {attribute['note']}."
    gaps = [
        f"{rate} gap {_cell(attribute, f'{key}_gap')}, worst in {attribute[f'{key}_worst']}"
        for key, rate in (("fpr", "FPR"), ("tpr", "TPR"))
        if f"{key}_gap" in attribute
    ]
    chance = attribute.get("fpr_gap_p_holm")
    return "; ".join(gaps) + ("." if chance is None else f"; p of the FPR gap {chance:.2g} (Holm).")


def _great(row: Row) -> list[str]:
    low, high = row["interval"]
    return [
        f"GREAT score {row['score']:.3f} ({low:.3f}–{high:.3f}) of {row['clips']} clips: a "
        "heuristic here, since the classifier is not smoothed."
    ]


def _attack(found: Row) -> list[str]:
    """Return a row a modality and bound: how many clips are judged right under the attack."""
    title = f"attack of {found['steps']} gradient steps"
    lines = _head([title, "bound", "clips", "judged right", "of those right before, flipped"])
    for name, unit in (("visual", "of 255"), ("audio", "of full scale")):
        row = found[name]
        for place, bound in enumerate(row["bounds"] if row["clips"] else ()):
            cells = [f"{row[key][place]:.3f}" for key in ("accuracy", "success")]
            lines.append(_line([name, f"{bound:g} {unit}", row["clips"], *cells]))
    return lines


def _robustness(found: Row) -> list[str]:
    """Return for each score the AUC by operator and severity; bold: surely lower than clean."""
    lines: list[str] = []
    for column, rows in found.items():
        if column == "clips" or "note" in rows:
            continue
        clean, drop = f"AUC {rows['auc_clean']:.3f} clean", f"mean drop {rows['mean_drop']:.3f}"
        lines += ["", f"{column}, {found['clips']} clips perturbed: {clean}, {drop}.", ""]
        severities = list(next(iter(rows["operators"].values())))
        lines += _head([f"{column}, severity", *severities, "mean drop"])
        for operator, cases in rows["operators"].items():
            marks = ("**" if case["lower"] else "" for case in cases.values())
            cells = [f"{m}{c['auc']:.3f}{m}" for m, c in zip(marks, cases.values(), strict=True)]
            fall = f"{rows['drop_by_operator'][operator]:+.3f}"
            lines.append(_line([operator.replace("_", " "), *cells, fall]))
    return lines


def _pairs(title: str, row: Row) -> list[str]:
    return [*_head([title, "value"]), *(_line([k, _text(v)]) for k, v in row.items())]


def _cell(row: Row, key: str) -> str:
    if row.get(key) is None:
        return "–"
    if f"{key}_interval" not in row:
        return _text(row[key])
    low, high = row[f"{key}_interval"]
    return f"{row[key]:.3f} ({low:.3f}–{high:.3f})"


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), "|" + "---|" * len(cells)]


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
