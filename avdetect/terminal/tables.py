"""Results as people read them: schema-1 dicts in, rich renderables out."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.detection.result import PlainSegment, Result, modality_score
from pipelines.report.wording import MODALITIES, STREAMS, clock, crowd_words, why_not

STYLES = {"real": "bold green", "fake": "bold red", "inconclusive": "bold yellow"}
MAX_SEGMENTS = 20  # a longer list belongs in the JSON


def verdict_table(result: Result) -> RenderableType:
    """Return one file's verdict, scores and segments, and what could not be judged and why."""
    verdict = result["verdict"]
    head = Text.assemble((printable(result["path"]), "bold"), ": ", (verdict, STYLES[verdict]))
    if result["score"] is not None:
        head.append(f", score {result['score']:.2f}")
    parts: list[RenderableType] = [_score_table(result)]
    if result["segments"]:
        parts.append(_segment_table(result["segments"]))
    parts += [Text(line, style="dim") for line in _judged(result)]
    parts += [Text(f"! {printable(line)}", style="yellow") for line in result["warnings"]]
    return Group(head, *(Padding(part, (0, 0, 0, 2), expand=False) for part in parts))


def _score_table(result: Result) -> Table:
    """Return a row a modality: its score, or why it has none."""
    table = Table.grid(padding=(0, 2))
    for modality, words in MODALITIES.items():
        score = modality_score(result, modality)
        why = Text(f"not judged: {why_not(modality, result)}", style="dim")
        table.add_row(words, why if score is None else _bar(score))
    return table


def _segment_table(segments: list[PlainSegment]) -> Table:
    """Return a row a segment, the likeliest first."""
    table = Table("from", "to", "score", "fake", box=None, padding=(0, 2, 0, 0))
    ranked = sorted(segments, key=lambda segment: -segment["score"])
    for segment in ranked[:MAX_SEGMENTS]:
        table.add_row(
            clock(segment["start"]),
            clock(segment["end"]),
            f"{segment['score']:.2f}",
            MODALITIES[segment["modality"]],
        )
    if len(ranked) > MAX_SEGMENTS:
        table.add_row("", "", "", f"and {len(ranked) - MAX_SEGMENTS} more (see --json)")
    return table


def _judged(result: Result) -> Iterator[str]:
    """Yield lines that say what the verdict rests on."""
    media = result["media"]
    faces = len(result["faces"])
    size = f", {media['width']}×{media['height']}" if media["width"] else ""
    crowd = crowd_words(result)
    yield (
        f"judged: {clock(media['duration'])}{size}, "
        f"{faces or 'no'} face{'' if faces == 1 else 's'}{f' ({crowd})' if crowd else ''}; "
        f"took {result['elapsed']['total']:.1f} s"
    )
    used = [STREAMS[name] for name, present in result["streams"].items() if present]
    unused = [STREAMS[name] for name, present in result["streams"].items() if not present]
    yield f"evidence: {'; '.join(used) or 'none'}"
    if unused:
        yield f"missing: {'; '.join(unused)}"


def _bar(score: float) -> Text:
    """Return a score as a number and a bar of ten."""
    filled = round(10 * score)
    style = "red" if score >= 0.5 else "green"
    return Text.assemble(f"{score:.2f}  ", ("━" * filled, style), ("┄" * (10 - filled), "dim"))


def printable(text: str) -> str:
    r"""Return the text with all that could steer a terminal written out.

    >>> printable("a\x1b[2J\n.mp4")
    'a\\x1b[2J\\n.mp4'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
