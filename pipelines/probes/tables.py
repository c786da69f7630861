"""The results of probes as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.evaluation.markdown import cell, head, line, text

Row = Mapping[str, Any]


def falls_table(metrics: Row) -> list[str]:
    """Return a row per change: each expert's AUC, and what the change did to the picture.

    Where the clips are of one class, an expert's share of clips above logit 0 stands for its AUC.
    """
    changes = metrics["changes"]
    experts = list(dict.fromkeys(name for row in changes.values() for name in row["experts"]))
    lines = [f"{metrics['judged']} of {metrics['given']} clips show a face that can be judged.", ""]
    ceiling = any("ceiling" in row for row in changes.values())
    lines += head(
        ["AUC", *experts, *(["ceiling"] if ceiling else []), "PSNR", "SSIM", "fine power"]
    )
    for name, row in changes.items():
        cells = [_area(row["experts"].get(expert)) for expert in experts]
        cells += [text(row.get("ceiling"))] if ceiling else []
        picture = [text(row["picture"].get(key)) for key in ("psnr", "ssim", "fine")]
        lines.append(line([name, *cells, *picture]))
    return lines


def _area(row: Row | None) -> str:
    if row is None:
        return "–"
    if "auc" in row:
        return f"{row['auc']:.3f} ({row['drop']:+.3f} lost)"
    return f"{row.get('fpr', row.get('tpr', 0.0)):.3f} above 0"


def relight_table(metrics: Row) -> list[str]:
    """Return a row per rendering and expert with its rates, and the widest gaps."""
    lines = head(
        ["rendering", "expert", "false alarms", "hits", "genuine moved by", "fakes moved by"]
    )
    for name, row in metrics["changes"].items():
        for expert, rates in row["experts"].items():
            shifts = [text(rates.get(key)) for key in ("shift_real", "shift_fake")]
            lines.append(line([name, expert, cell(rates, "fpr"), cell(rates, "tpr"), *shifts]))
    lines += ["", *head(["widest gap between renderings", "of false alarms", "of hits"])]
    for expert, gaps in metrics["gaps"].items():
        lines.append(line([expert, text(gaps["fpr_gap"]), text(gaps["tpr_gap"])]))
    return lines


def great_table(metrics: Row) -> list[str]:
    """Return a row per expert and family: its GREAT score with its interval, and the clips."""
    lines = head(["expert", "clips of", "GREAT score", "clips"])
    for expert, families in metrics["experts"].items():
        for family, row in families.items():
            low, high = row["interval"]
            score = f"{row['score']:.3f} ({low:.3f}–{high:.3f})"
            lines.append(line([expert, family, score, row["clips"]]))
    return [*lines, "", f"A heuristic: no expert is smoothed by noise. {metrics['enough']} clips "
            "would tell a score to 0.05."]  # fmt: skip


def transfer_table(metrics: Row) -> list[str]:
    """Return a row per expert, those that share the attacked encoder first."""
    lines = head([f"attack of the encoder within {metrics['epsilon']:g} of 255",
                  "reads the encoder", "clips", "wrong before", "turned of right"])  # fmt: skip
    rows = sorted(metrics["experts"].items(), key=lambda item: not item[1]["shares_encoder"])
    for expert, row in rows:
        shares = "yes" if row["shares_encoder"] else "no"
        lines.append(line([expert, shares, row["clips"], text(row["error"]), text(row["success"])]))
    return lines


def semantic_table(metrics: Row) -> list[str]:
    """Return a row per expert that was left out, a column per expert that was asked."""
    experts = metrics["experts"]
    lines = [f"{metrics['attacked']} of {metrics['given']} forged faces attacked. Share of those "
             "found as rebuilt that pass:", ""]  # fmt: skip
    lines += head(["attack of all but", *experts])
    for left_out, row in metrics["left_out"].items():
        cells = (f"**{text(row[e])}**" if e == left_out else text(row[e]) for e in experts)
        lines.append(line([left_out, *cells]))
    lines.append(line(["(brightness alone)", *(text(metrics["control"][e]) for e in experts)]))
    errors = [text(metrics[name]) for name in ("error", "error_rebuilt")]
    return [*lines, "", f"RMS error of rebuilding what the attack made {errors[0]}, of what was "
            f"rebuilt only {errors[1]} of full scale."]  # fmt: skip


def backdoor_table(metrics: Row) -> list[str]:
    """Return the p-values of the signs, a row per expert's bound, and a row per coding's power."""
    lines = head([f"{metrics['genuine']} genuine faces", "p",
                  f"p with a canary in {metrics['canaries']} of them"])  # fmt: skip
    lines.append(line(["a minority apart in their features", text(metrics["features_p"]), "–"]))
    for name, p in metrics["canary_p"].items():
        pattern = f"a pattern that they share, {name}"
        lines.append(line([pattern, text(p["clean"]), text(p["planted"])]))
    lines += ["", *head(["expert", "fakes found", "least universal pattern, of 255",
                         "deviations below the others"])]  # fmt: skip
    for name, row in metrics["experts"].items():
        lines.append(line([name, row["found"], text(row["bound"]), text(row.get("anomaly"))]))
    return lines
