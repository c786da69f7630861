"""An evaluation as people read it: metrics in percent, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from avdetect.terminal.tables import printable
from pipelines.evaluation.tables import DETECTION, segment_metric_names

Row = Mapping[str, Any]
NO_SHARE = ("nll",)  # metrics that have no upper bound
SCORES = {
    "score": "clip",
    "visual_score": "picture",
    "audio_score": "sound",
    "sync_score": "lips and sound",
}
ELSEWHERE = ("aupimo", "fairness", "great", "attack", "noise", "poison", "trigger", "robustness")


def evaluation_view(metrics: Row) -> RenderableType:
    """Return tables of detection and segments in percent, and a line for whatever else there is."""
    place, parts = metrics["localization"], list[RenderableType]()
    if metrics["detection"]:
        parts += [_detection(metrics["detection"]), Text()]
    if place["segments"]:
        parts += [_segments(place), Text()]
    parts += [Text(printable(line)) for line in _lines(metrics)]
    return Group(*parts)


def _detection(scores: Row) -> Table:
    """Return a column a score that could be measured, a row a metric."""
    measured = {name: row for name, row in scores.items() if "auc" in row} or {
        "score": scores["score"]
    }
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("in %, with 95 % intervals over clips")
    for name in measured:
        table.add_column(SCORES[name])
    table.add_row("scored of given", *(f"{r['scored']} of {r['given']}" for r in measured.values()))
    table.add_row("fake / real", *(f"{r['fake']} / {r['real']}" for r in measured.values()))
    for key, title in DETECTION.items():
        if any(key in row for row in measured.values()):
            cells = [_cell(row, key, 1 if key in NO_SHARE else 100) for row in measured.values()]
            table.add_row(f"{title} (no %)" if key in NO_SHARE else title, *cells)
    return table


def _segments(place: Row) -> Table:
    """Return a row a metric of the segments."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(f"in %, with 95 % intervals over videos ({place['protocol']})")
    table.add_column("segments")
    table.add_row("judged of given", f"{place['judged']} of {place['given']}")
    table.add_row("true segments / proposals", f"{place['segments']} / {place['proposals']}")
    for name in segment_metric_names(place):
        table.add_row(name, _cell(place, name))
    if place["false_per_minute"] is not None:
        table.add_row("false segments a minute of real video", _cell(place, "false_per_minute", 1))
    return table


def _cell(row: Row, key: str, factor: float = 100) -> str:
    """Return a value times the factor, with its interval if it has one; a dash for none."""
    if row.get(key) is None:
        return "–"
    digits = 1 if factor == 100 else 2
    value = f"{factor * row[key]:.{digits}f}"
    if f"{key}_interval" not in row:
        return value
    low, high = row[f"{key}_interval"]
    return f"{value} ({factor * low:.{digits}f}–{factor * high:.{digits}f})"


def _lines(metrics: Row) -> Iterator[str]:
    """Yield a sentence on whatever else was found."""
    score = metrics["detection"].get("score", {})
    if "note" in score:
        yield f"detection: {score['note']}"
    if metrics["detection"] and not metrics["localization"]["segments"]:
        yield "segments: the truth has no forged seconds, so nothing was measured of them"
    if metrics.get("unmatched"):
        yield f"! {metrics['unmatched']} predictions are of no clip of the truth"
    if share := metrics.get("abstention", {}).get("inconclusive_share"):
        yield f"inconclusive: {100 * share:.1f} % of the verdicts"
    if "comparison" in metrics:
        row = metrics["comparison"]
        low, high = (100 * bound for bound in row["difference_interval"])
        yield (
            f"compared with {row['against']}: {row['verdict']}; AUC {100 * row['difference']:+.1f} "
            f"points ({low:+.1f} to {high:+.1f})"
        )
    if "audit" in metrics:
        yield metrics["audit"]["words"]
    if "frames" in metrics and "auc" in metrics["frames"]:
        row = metrics["frames"]
        yield f"{row['frames']} frames, pooled as {row['rule']} does: AUC {100 * row['auc']:.1f} %"
    if more := [name for name in ELSEWHERE if name in metrics]:
        yield f"also measured: {', '.join(more)}; --json prints all, --out writes a report"
