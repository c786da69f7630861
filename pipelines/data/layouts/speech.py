"""Readers of data sets of speech, in the layouts of their makers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.data.layouts.reading import lines_of, needed, table_rows, word_of
from pipelines.data.manifest import WHOLE, Record, Spans, split_word

KEYS = {"bonafide": False, "bona-fide": False, "spoof": True}  # In-the-Wild writes the hyphen


def asvspoof2019(root: Path) -> Iterator[Record]:
    """Yield ASVspoof 2019 LA. The training protocol ends in .trn, the others in .trl."""
    root, start = (root / "LA", "LA/") if (root / "LA").is_dir() else (root, "")
    protocols = needed(root / "ASVspoof2019_LA_cm_protocols", "ASVspoof 2019 LA")
    for split, suffix in (("train", "trn"), ("dev", "trl"), ("eval", "trl")):
        protocol = protocols / f"ASVspoof2019.LA.cm.{split}.{suffix}.txt"
        for number, words in lines_of(protocol) if protocol.exists() else ():
            speaker, name, _, system, key = _words(words, 5, protocol, number)
            fake = word_of(key, KEYS, f"{protocol}: line {number}")
            yield _speech(
                f"{start}ASVspoof2019_LA_{split}/flac/{name}.flac", fake, speaker,
                method=system if fake else "real", split=split_word(split), domain="vctk",
                doubt="" if (system != "-") == fake else "system and key disagree",
            )  # fmt: skip


def asvspoof2021(root: Path) -> Iterator[Record]:
    """Yield ASVspoof 2021 LA and DF from their keys; the codec is the quality."""
    tracks = [track for track in ("LA", "DF") if _keys(root, track).exists()]
    if not tracks:
        needed(_keys(root, "LA"), "ASVspoof 2021")
    for track in tracks:
        for number, words in lines_of(_keys(root, track)):
            speaker, name, codec, _, system, key, _, subset = _words(
                words[:8], 8, _keys(root, track), number
            )
            fake = word_of(key, KEYS, f"{_keys(root, track)}: line {number}")
            yield _speech(
                f"ASVspoof2021_{track}_eval/flac/{name}.flac", fake, speaker,
                method=system if fake else "real", split=split_word(subset), domain="vctk",
                groups={"quality": codec},
            )  # fmt: skip


def _keys(root: Path, track: str) -> Path:
    return root / "keys" / track / "CM" / "trial_metadata.txt"


def in_the_wild(root: Path) -> Iterator[Record]:
    """Yield In-the-Wild, whose genuine label is bona-fide, with a hyphen."""
    folder = root / "release_in_the_wild"
    start = f"{folder.name}/" if folder.is_dir() else ""
    table = needed(root / f"{start}meta.csv", "In-the-Wild")
    for row in table_rows(table, "file", "speaker", "label"):
        fake = word_of(row["label"], KEYS, f"{table}: {row['file']}")
        yield _speech(
            f"{start}{row['file']}", fake, row["speaker"].replace(";", ","),
            method="in the wild" if fake else "real", domain="in the wild",
        )  # fmt: skip


def partialspoof(root: Path) -> Iterator[Record]:
    """Yield PartialSpoof, with the spoofed seconds of its RTTM files.

    Its own segment labels are pickles, which are never read.
    """
    root, start = (root / "database", "database/") if (root / "database").is_dir() else (root, "")
    protocols = needed(root / "protocols", "PartialSpoof")
    for split in ("train", "dev", "eval"):
        lists = sorted(protocols.rglob(f"PartialSpoof.LA.cm.{split}.*txt"))
        turns = root / split / "con_data" / "rttm_2cls_0sil"
        spans = _spoofed(turns) if turns.exists() else None
        for number, words in lines_of(lists[0]) if lists else ():
            speaker, name, _, system, key = _words(words, 5, lists[0], number)
            fake = word_of(key, KEYS, f"{lists[0]}: line {number}")
            spoofed = None if spans is None and fake else (spans or {}).get(name, ())
            doubt = spoofed is not None and bool(spoofed) != fake
            yield _speech(
                f"{start}{split}/con_wav/{name}.wav", fake, speaker, spans=spoofed,
                method=system if fake and system != "-" else "splice" if fake else "real",
                split=split_word(split), domain="vctk",
                doubt="RTTM and key disagree" if doubt else "",
            )  # fmt: skip


def _spoofed(path: Path) -> dict[str, Spans]:
    """Return the spoofed seconds by utterance: SPEAKER <utt> 1 <start> <length> … <label> …."""
    spans: dict[str, Spans] = {}
    for number, words in lines_of(path):
        if len(words) < 8:
            raise InputError(f"{path}: line {number}: expected eight or more words of RTTM")
        if word_of(words[7], KEYS, f"{path}: line {number}"):
            start, length = float(words[3]), float(words[4])
            spans[words[1]] = (*spans.get(words[1], ()), (start, start + length))
    return spans


def _words(words: list[str], count: int, path: Path, number: int) -> list[str]:
    if len(words) != count:
        raise InputError(f"{path}: line {number}: expected {count} words, got {len(words)}")
    return words


def _speech(path: str, fake: bool, speaker: str, spans: Any = WHOLE, **known: Any) -> Record:
    return Record(path, fake, None, spans if fake else (), None, persons=(speaker,), **known)
