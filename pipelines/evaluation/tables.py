"""The metrics of an evaluation as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.evaluation.markdown import cell, head, line, pairs, text
from pipelines.evaluation.stress_tables import (
    attack_table,
    noise_table,
    poison_table,
    robustness_tables,
    trigger_table,
)

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
    "ece_by_chance": "ECE of right probabilities, by chance",
    "generators_auc": "AUC, mean of generators",
    "within_sources_auc": "AUC, pairs of one source",
    "auc_failures_as_half": "AUC, failures as 0.5",
}


def summary(metrics: Row) -> dict[str, Any]:
    """Return the short report: one flat table of metrics in [0, 1], with counts and models.

    The metrics are those of the clip score and of the segments; undefined ones are left out.
    `n_given` and `n_scored` count clips, or videos where only segments were measured.
    """
    place, score = metrics["localization"], metrics["detection"].get("score", {})
    values = {k: place[k] for k in segment_metric_names(place)}
    values |= {title: score[key] for key, title in DETECTION.items() if key in score}
    for other in ("nll", "ece_by_chance"):  # no upper bound; no quality of the detector
        values.pop(DETECTION[other], None)  # metrics.json holds them
    return {
        "protocol": place["protocol"],
        "version": place["version"],
        "metrics": {name: value for name, value in values.items() if value is not None},
        "n_given": score.get("given", place["given"]),
        "n_scored": score.get("scored", place["judged"]),
        "models": metrics.get("models", []),
        "command": metrics.get("command"),
    }


def report(metrics: Row, plots: Sequence[str] = ()) -> str:
    """Return the metrics as Markdown tables, followed by the plots (file names)."""
    sections: dict[str, Callable[[Any], list[str]]] = {
        "frames": _frames,
        "abstention": lambda row: pairs("verdicts", row),
        "audit": lambda row: [row["words"]],
        "comparison": _comparison,
        "localization": _segments,
        "aupimo": _aupimo,
        "fairness": fairness_tables,
        "great": _great,
        "attack": attack_table,
        "noise": noise_table,
        "poison": poison_table,
        "trigger": trigger_table,
        "robustness": robustness_tables,
    }
    lines = _origin(metrics)
    if metrics["detection"]:
        lines += ["", *_detection(metrics["detection"])]
    for name, table in sections.items():
        if name in metrics:
            lines += ["", *table(metrics[name])]
    for name in plots:
        lines += ["", f"![{name.removesuffix('.png').replace('_', ' ')}]({name})"]
    return "\n".join(lines) + "\n"


def _origin(metrics: Row) -> list[str]:
    """Return the title, and what a reader needs to reproduce the numbers."""
    place = metrics["localization"]
    lines = ["# Evaluation", "", f"Protocol {place['protocol']}, version {place['version']}."]
    for model in metrics.get("models", []):
        lines += ["", f"Model {model['name']} {model['version']}, SHA-256 `{model['sha256']}`."]
    if metrics.get("command"):
        lines += ["", f"Command: `{metrics['command']}`"]
    return lines


def segment_metric_names(place: Row) -> list[str]:
    """Return the names of the metrics in [0, 1] that a row of segment metrics has."""
    measured = (n for n in place if n.startswith(("AP@", "AR@", "challenge")))
    return [n for n in measured if not n.endswith("_interval") and place[n] is not None]


def _segments(row: Row) -> list[str]:
    """Return the localization metrics with 95 % intervals over videos."""
    names = [n for n, value in row.items() if value is not None and not n.endswith("_interval")]
    return [*head(["segments", "value"]), *(line([name, cell(row, name)]) for name in names)]


def _detection(scores: Mapping[str, Row]) -> list[str]:
    """Return a table of metrics by score, and a table of each score's generators."""
    lines = head(["95 % intervals over clips", *scores])
    lines.append(
        line(["scored of given", *(f"{r['scored']} of {r['given']}" for r in scores.values())])
    )
    lines.append(line(["fake / real", *(f"{r['fake']} / {r['real']}" for r in scores.values())]))
    for key, title in DETECTION.items():
        lines.append(line([title, *(cell(r, key) for r in scores.values())]))
    for name, row in scores.items():
        if "auc" in row:
            lines += ["", f"{name} by generator, against all genuine files:", ""]
            lines += _generators(row["by_generator"])
        if "by_source" in row:
            lines += ["", *head([f"{name} within a source", "fakes", "genuine", "AUC"])]
            for source, entry in row["by_source"].items():
                lines.append(
                    line([text(source), entry["fakes"], entry["reals"], f"{entry['auc']:.3f}"])
                )
        if "by_quality" in row:
            lines += ["", *head([f"{name} by quality", "fakes", "genuine", "AUC"])]
            for level, entry in row["by_quality"].items():
                lines.append(line([level, entry["fakes"], entry["reals"], cell(entry, "auc")]))
    return lines


def _generators(rows: Mapping[str, Row]) -> list[str]:
    """Return one line per generator, and one for all those with too few fakes."""
    lines = head(["generator", "fakes", "AUC"])
    lines += [line([m, row["fakes"], cell(row, "auc")]) for m, row in rows.items() if "auc" in row]
    few = [f"{method} ({row['fakes']})" for method, row in rows.items() if "auc" not in row]
    return lines + (["", f"Too few fakes to tell: {', '.join(few)}."] if few else [])


def _frames(row: Row) -> list[str]:
    """Return the metrics over frames, and the AUC over videos by every pooling rule."""
    if "auc" not in row:
        return [f"{row['frames']} frames of {row['videos']} videos: needs videos of both classes."]
    return [
        f"{row['frames']} frames of {row['videos']} videos, pooled as {row['rule']} does. Over "
        f"frames: AUC {row['auc']:.3f}, AP {row['ap']:.3f}, EER (deepfakebench) {row['eer']:.3f}, "
        f"balanced accuracy {row['balanced_accuracy']:.3f}.",
        "",
        *head(["AUC over videos, pooled as", *row["auc_by_rule"]]),
        line(["", *(f"{value:.3f}" for value in row["auc_by_rule"].values())]),
    ]


def _comparison(row: Row) -> list[str]:
    """Return the comparison as a sentence and a table."""
    low, high = row["difference_interval"]
    return [
        f"Compared with {row['against']}: **{row['verdict']}**.",
        "",
        *head(["AUC", "AUC of the other", "difference (95 % interval)", "p", "clips"]),
        line([
            f"{row['auc']:.3f}", f"{row['auc_against']:.3f}",
            f"{row['difference']:+.3f} ({low:+.3f} to {high:+.3f})",
            f"{row['p']:.2g}", row["given"],
        ]),
    ]  # fmt: skip


def _aupimo(rows: Mapping[str, Any]) -> list[str]:
    """Return one row per timeline; where the metric is undefined, the reason."""
    low, high = rows["bounds"]
    lines = head([f"temporal AUPIMO, FPR {low:g} to {high:g}", "mean (95 % interval)", "missed",
                   "forged videos", "real steps"])  # fmt: skip
    for name, row in rows.items():
        if name != "bounds":
            mean = row["refused"] if "refused" in row else cell(row, "aupimo")
            more = [text(row.get(key)) for key in ("missed", "forged_videos", "real_steps")]
            lines.append(line([name, mean, *more]))
    return lines


def fairness_tables(metrics: Row) -> list[str]:
    """Return a table and a sentence per attribute; pairs of attributes are in metrics.json."""
    lines = [
        f"By group, at the score {metrics['threshold']:g} for all; intervals (95 %) over persons; "
        f"groups of {metrics['fewest_persons']} persons or more are compared."
    ]
    for name, attribute in metrics["attributes"].items():
        lines += ["", *head([name.replace("_", " "), "persons", "genuine", "forged",
                              "FPR", "TPR", "precision", "AUC", "ECE"])]  # fmt: skip
        for group, row in attribute["groups"].items():
            cells = [cell(row, key) for key in ("fpr", "tpr", "precision", "auc", "ece")]
            lines.append(line([group, row["persons"], row["real"], row["fake"], *cells]))
        lines += ["", _gaps(attribute)]
    return lines


def _gaps(attribute: Row) -> str:
    if "note" in attribute:
        return f"Not compared: {attribute['note']}."
    gaps = [
        f"{title} gap {cell(attribute, f'{key}_gap')}, worst in {attribute[f'{key}_worst']}"
        for key, title in (("fpr", "FPR"), ("tpr", "TPR"), ("auc", "AUC"), ("accuracy", "accuracy"))
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
