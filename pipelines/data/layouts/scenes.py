"""Readers of data sets of generated scenes and of genuine people."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from extractors.errors import InputError
from extractors.media import MediaError, probe
from pipelines.data.layouts.faces import silent
from pipelines.data.layouts.reading import (
    json_of,
    lines_of,
    media_below,
    needed,
    table_rows,
    word_of,
)
from pipelines.data.manifest import Record, as_spans
from pipelines.data.segment_truth import read_segments

INDEX = ("content_path", "type_id", "label", "frame_len", "frame_seq")
REAL_SOURCES = ("Vript", "HD-VG-130M")  # of GenVidBench
AGES = ((30, "18-30"), (45, "31-45"), (200, "46-85"))


def genvideo(root: Path) -> Iterator[Record]:
    """Yield GenVideo from the index files (.csv) in its root, or else from its folders.

    Label 1 is fake. An index names folders of frames; its lists of frames are read as literals.
    """
    indices = sorted(root.glob("*.csv"))
    if indices:
        for index in indices:
            for row in table_rows(index, *INDEX):
                fake = word_of(row["label"], {"0": False, "1": True}, str(index))
                frames = _literal(row["frame_seq"], index)
                agree = len(frames) == int(row["frame_len"])
                yield silent(
                    row["content_path"], fake, method=row["type_id"] if fake else "real",
                    domain="genvideo", forgery_type="synthesis" if fake else "",
                    doubt="" if agree else "frame_len and frame_seq disagree",
                )  # fmt: skip
        return
    top = root / "GenVideo-Val" if (root / "GenVideo-Val").is_dir() else root
    for folder in (needed(top / "Real", "GenVideo"), needed(top / "Fake", "GenVideo")):
        fake = folder.name == "Fake"
        for path in media_below(folder):
            yield silent(
                path.relative_to(root).as_posix(), fake, split="test", domain="genvideo",
                method=path.relative_to(folder).parts[0] if fake else "real",
                forgery_type="synthesis" if fake else "",
            )  # fmt: skip


def _literal(text: str, path: Path) -> list[int]:
    try:
        frames = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{path}: frame_seq is no list: {text[:40]!r}") from error
    return list(frames)


def genvidbench(root: Path) -> Iterator[Record]:
    """Yield GenVidBench from its lists, one path and label per line; label 1 is fake.

    The method is the source in the path; a label that contradicts it is noted as a doubt.
    """
    inner = Path("data/GenVidBench")
    start = inner if (root / inner).is_dir() else Path()
    labels = needed(root / start / "label/fake_real_label", "GenVidBench")
    for split in ("train", "test"):
        listing = labels / f"{split}.txt"
        for number, words in lines_of(listing) if listing.exists() else ():
            if len(words) != 2:
                raise InputError(f"{listing}: line {number}: expected a path and a label")
            fake = word_of(words[1], {"0": False, "1": True}, f"{listing}: line {number}")
            folders = Path(words[0]).parts[:-1]
            doubt = fake and not set(folders).isdisjoint(REAL_SOURCES)
            yield silent(
                (start / words[0]).as_posix(), fake, split=split, domain="genvidbench",
                method=(folders or ("generated",))[-1] if fake else "real",
                forgery_type="synthesis" if fake else "",
                doubt="source and label disagree" if doubt else "",
            )  # fmt: skip


def forgerynet(root: Path) -> Iterator[Record]:
    """Yield ForgeryNet's videos. Labels are in frames; the file's frame rate gives seconds.

    If the file is missing or unreadable, the seconds are unknown.
    """
    listings = sorted(root.glob("*/video_list.txt"))
    if not listings:
        needed(root / "Training" / "video_list.txt", "ForgeryNet")
    families = {"0": "real", "1": "identity-replaced", "2": "identity-remained"}
    for listing in listings:
        split = "train" if listing.parent.name == "Training" else "val"
        frames, _ = read_segments(listing, fps=1.0)
        for number, words in lines_of(listing):
            name, (binary, triple, kind) = words[1], words[-3:]
            fake = word_of(binary, {"0": False, "1": True}, f"{listing}: line {number}")
            path = listing.parent / "video" / name
            fps = _fps(path)
            spans = None if fps is None else as_spans((frames[name] / fps).tolist())
            disagree = bool(len(frames[name])) != fake or (triple == "0") == fake
            yield Record(
                path.relative_to(root).as_posix(), fake, spans if fake else (), None, None,
                f"class {kind}" if fake else "real", split=split, domain="forgerynet", fps=fps,
                forgery_type=word_of(triple, families, f"{listing}: line {number}") if fake else "",
                doubt="labels and segments disagree" if disagree else "",
            )  # fmt: skip


def _fps(path: Path) -> float | None:
    try:
        return probe(path).fps
    except MediaError:
        return None


def casual_conversations(root: Path) -> Iterator[Record]:
    """Yield Casual Conversations v1: all genuine, for false alarms by age, gender, skin and light.

    Ages are grouped into three ranges; attributes that a person did not disclose are left out.
    """
    table = needed(root / "CC_annotations" / "CasualConversations.json", "Casual Conversations")
    for subject, entry in json_of(table).items():
        disclosed = {name: str(value) for name, value in entry["label"].items() if value != "N/A"}
        groups = {
            "gender": disclosed.get("gender", "").lower(),
            "skin_type": disclosed.get("skin-type", ""),
        }
        if "age" in disclosed:
            groups["age"] = next(name for limit, name in AGES if float(disclosed["age"]) <= limit)
        dark = set(entry["dark_files"])
        for name in sorted({*entry["files"], *dark}):
            attributes = groups | {"lighting": "dark" if name in dark else "bright"}
            yield Record(
                name, False, (), (), (), persons=(subject,), domain="casual conversations",
                groups={key: value for key, value in attributes.items() if value},
            )  # fmt: skip
