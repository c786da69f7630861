"""Every number of a model card: what it is now, or why it cannot be made again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.evaluation.markdown import head, line

NUMBER = re.compile(r"(?<![\w.#-])\d[\d,]*(?:\.\d+)?")
CALLED = re.compile(r"[^a-z0-9@.]+")
# Why a sentence's numbers are not made again, by what it speaks of; the first that fits counts.
REASONS: tuple[tuple[str, str], ...] = (
    (r"[Vv]ersions? (9|10|11)\b", "of older weights: run the same with those"),
    (r"fold|left[- ]out|fitted on|with sources left", "of a fit: needs the clips it learned from"),
    (
        r"chosen|lowered by|ridge|factor|learned from|learned also",
        "a choice or a count of training",
    ),
    (r"telephone|messenger", "of copies through channels, which are not kept"),
    (r"[Ss]inging", "of resynthesised singing, which is not kept"),
    (r"attack|grey level", "of an attack: `avdetect evaluate --attack` on clips of one's own"),
    (r"[Ll]ength, size", "of the audit: `avdetect evaluate --audit` on the manifest"),
    (r"avdetect forge", "of clips that `avdetect forge` drew at random"),
    (r"MB|blocks of|CLIP ViT|M parameters", "a size: of the files and networks themselves"),
    (r"CRF|kHz|at most|kbit", "how the clips were encoded"),
    (r"bootstrap", "how intervals are drawn"),
)
# Why those of a section are not made again where nothing above fits.
SECTIONS: Mapping[str, str] = {
    "Starter weights": "the version",
    "How it was chosen": "a choice, or of a fit",
    "Data and recipe": "of the training data",
    "Attacks": "of an attack",
}
MADE = "in the tables above: {titles}"
ABOVE: Mapping[str, str] = {  # the tables that hold what a section's sentences tell
    "What to expect": "Clips with picture, Speech, Partial forgeries",
    "Development clips": "Clips with picture, Generators of the picture, Sources",
    "Development speech": "Speech, Systems of speech",
    "Partial forgeries": "Partial forgeries",
}
UNTOLD = "not accounted for: nobody said where it comes from"


@dataclass(frozen=True)
class CardNumber:
    """The numbers of a line of a table, or of a sentence."""

    section: str
    words: str  # the row's first cell, or the sentence
    numbers: tuple[str, ...]
    now: str  # the same, a row of other numbers, or why there are none


def accounted(card: str, tables: Mapping[str, Sequence[str]]) -> list[CardNumber]:
    """Return an entry for each row and sentence of a card that has numbers.

    Args:
        card: its Markdown.
        tables: what was made again, by title: lines of Markdown. Rows of the same first cell and
            number of cells are the same.
    """
    made = {
        _key(cells): cells for lines in tables.values() for cells in map(_cells, lines) if cells
    }
    entries = []
    for section, words, cells in _statements(card):
        text = " ".join(cells[1:]) if cells else words
        if not (numbers := tuple(NUMBER.findall(text))):
            continue
        if cells:
            entries.append(CardNumber(section, cells[0], numbers, _row(section, cells, made)))
        else:
            entries.append(CardNumber(section, words, numbers, _why(section, words)))
    return entries


def numbers_table(entries: Sequence[CardNumber]) -> list[str]:
    """Return the entries as lines of Markdown."""
    rows = [[e.section, e.words, ", ".join(e.numbers), e.now] for e in entries]
    return [*head(["section", "row or sentence", "numbers", "made again"]), *map(line, rows)]


def _statements(card: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the section of each row and sentence, its words, and a row's cells."""
    section, paragraph = "", ""
    for one in [*card.splitlines(), ""]:
        cells = _cells(one)
        if one.startswith("#") or cells or not one.strip():
            for sentence in re.split(r"(?<=[.;:])\s+", paragraph.strip()):
                yield section, sentence, []
            paragraph = ""
        if one.startswith("#"):
            section = one.lstrip("# ")
            yield section, section, []
        elif cells:
            yield section, "", cells
        else:
            paragraph += f" {one.strip()}"


def _cells(text: str) -> list[str]:
    """Return the cells of a table's row; none of other lines."""
    if not text.startswith("|") or set(text) <= set("|-: "):
        return []
    return [cell.strip().strip("*") for cell in text.strip().strip("|").split("|")]


def _key(cells: Sequence[str]) -> tuple[str, int]:
    """Return what a row is called, and how many cells it has."""
    return CALLED.sub(" ", cells[0].lower().replace("version 11", "")).strip(), len(cells)


def _row(section: str, cells: list[str], made: Mapping[tuple[str, int], list[str]]) -> str:
    if re.search(r"version \d", cells[0]) and _key(cells) not in made:
        return REASONS[0][1]
    again = made.get(_key(cells))
    if again is None:
        return "not made: no manifest of these clips was given"
    if again[1:] == cells[1:]:
        return "the same"
    return "; ".join(again[1:])


def _why(section: str, words: str) -> str:
    """Return why a sentence's numbers are not made again, or where they are."""
    for pattern, why in REASONS:
        if re.search(pattern, words):
            return f"cannot be made again: {why}"
    for begins, why in SECTIONS.items():
        if section.startswith(begins):
            return f"cannot be made again: {why}"
    titles = next((t for begins, t in ABOVE.items() if section.startswith(begins)), None)
    return UNTOLD if titles is None else MADE.format(titles=titles)
