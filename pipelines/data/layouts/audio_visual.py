"""Readers of data sets with picture and sound, in the layouts of their makers."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.data.layouts.reading import json_of, media_below, needed, table_rows, word_of
from pipelines.data.manifest import WHOLE, Record, Spans, as_spans, split_word

KODF_ENCODINGS = ("utf-8-sig", "utf-8", "cp949", "euc-kr")
MEN = {"men": "male", "women": "female"}


class Manipulation(StrEnum):
    """AV-Deepfake1M's names of the forged tracks; its files also spell them with a hyphen."""

    REAL = "real"
    VISUAL = "visual_modified"
    AUDIO = "audio_modified"
    BOTH = "both_modified"


def fakeavceleb(root: Path) -> Iterator[Record]:
    """Yield FakeAVCeleb v1.2. The last, unnamed column of its table is the folder of the file."""
    table = needed(root / "meta_data.csv", "FakeAVCeleb")
    for row in table_rows(table, "source", "category", "type", "path", ""):
        where = f"{table}: {row['path']}"
        kinds = {"A": "RealVideo-RealAudio", "B": "RealVideo-FakeAudio",
                 "C": "FakeVideo-RealAudio", "D": "FakeVideo-FakeAudio"}  # fmt: skip
        kind = word_of(row["category"], kinds, where)
        picture, sound = ("Fake" in track for track in row["type"].split("-"))
        folder = row[""].removeprefix("FakeAVCeleb/").strip("/")
        ids = [row[name] or "" for name in ("source", "target1", "target2")]
        yield Record(
            f"{folder}/{row['path']}", picture or sound, WHOLE if picture else (),
            WHOLE if sound else (), None if picture or sound else (), row["method"],
            domain="voxceleb2", persons=tuple(name for name in ids if name.startswith("id")),
            groups={"race": row["race"], "gender": word_of(row["gender"], MEN, where)},
            doubt="" if kind == row["type"] else "category and type disagree",
        )  # fmt: skip


def lavdf(root: Path) -> Iterator[Record]:
    """Yield LAV-DF; the name of a clip's original serves as its person."""
    full = root / "metadata.json"
    table = full if full.exists() else needed(root / "metadata.min.json", "LAV-DF")
    for row in json_of(table):
        spans = as_spans(row["fake_periods"])
        picture, sound = bool(row["modify_video"]), bool(row["modify_audio"])
        doubts = {
            "n_fakes and fake_periods disagree": row["n_fakes"] != len(spans),
            "fake_periods and modified tracks disagree": bool(spans) != (picture or sound),
            "the file is in another split": not row["file"].startswith(f"{row['split']}/"),
            **_misplaced(spans, row.get("duration")),
        }
        yield Record(
            row["file"], bool(spans), spans if picture else (), spans if sound else (),
            None if spans else (), _tracks(picture, sound), domain="voxceleb2", fps=25.0,
            split=split_word(row["split"]), doubt=_joined(doubts),
            persons=(Path(row.get("original") or row["file"]).stem,),
        )  # fmt: skip


def av_deepfake1m(root: Path) -> Iterator[Record]:
    """Yield AV-Deepfake1M or ++: the labelled splits, from one list or one JSON per video.

    The first folder of a path is the person. The test files have no public labels.
    """
    found = False
    for split in ("train", "val", "test"):
        folder = split if (root / split).is_dir() or not (root / "data").is_dir() else "data"
        for row in _av1m_rows(root, split):
            found = True
            name = str(row["file"]).removeprefix(f"{split}/")
            yield _av1m(f"{folder}/{name}", row, split)
    if not found:
        needed(root / "train_metadata.json", "AV-Deepfake1M")


def _av1m_rows(root: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yield a split's metadata, from one file, a folder of files, or files beside the clips."""
    whole = root / f"{split}_metadata.json"
    if whole.exists():
        yield from json_of(whole)
        return
    apart = root / f"{split}_metadata"
    for path in sorted((apart if apart.is_dir() else root / split).rglob("*.json")):
        yield json_of(path)


def _av1m(path: str, row: dict[str, Any], split: str) -> Record:
    try:
        kind = Manipulation(str(row["modify_type"]).replace("-", "_"))
    except ValueError as error:
        raise InputError(f"{path}: unknown modify_type {row['modify_type']!r}") from error
    visual, audio, either = (
        as_spans(row.get(f"{name}fake_segments") or ()) for name in ("visual_", "audio_", "")
    )
    tracks = (bool(visual), bool(audio))
    named = kind in (Manipulation.VISUAL, Manipulation.BOTH), kind in (
        Manipulation.AUDIO, Manipulation.BOTH,
    )  # fmt: skip
    makers = [str(row[name]) for name in ("video_model", "audio_model") if row.get(name)]
    frames = row.get("video_frames")
    doubts = {
        "modify_type and segments disagree": tracks != named,
        "fake_segments and those of the tracks disagree": bool(either) != any(tracks),
        "the metadata name another split": str(row.get("split", split)) != split,
        **_misplaced(either, None if frames is None else frames / 25),
    }
    fake = kind is not Manipulation.REAL
    return Record(
        path, fake, visual, audio, None if fake else (),
        ("+".join(makers) or kind.value) if fake else "real",
        domain="voxceleb2", split=split, fps=25.0, doubt=_joined(doubts),
        persons=(Path(path).parts[1],),
    )  # fmt: skip


def _misplaced(spans: Spans, duration: float | None) -> dict[str, bool]:
    """Return which faults spans have; a tenth of a second beyond the end counts as rounding."""
    last = float("inf") if duration is None else duration + 0.1
    return {
        "a segment has no length": any(not 0 <= start < end for start, end in spans),
        "a segment ends after the clip": any(end > last for _, end in spans),
    }


def _joined(doubts: dict[str, bool]) -> str:
    return "; ".join(doubt for doubt, holds in doubts.items() if holds)


def _tracks(picture: bool, sound: bool) -> str:
    words = {(True, False): Manipulation.VISUAL, (False, True): Manipulation.AUDIO,
             (True, True): Manipulation.BOTH, (False, False): Manipulation.REAL}  # fmt: skip
    return words[picture, sound].value


def kodf(root: Path) -> Iterator[Record]:
    """Yield KoDF from its four tables, in any encoding; files are located by name below the root.

    A fake has two persons: the target, whose video it is, and the source, whose face it shows.
    """
    folder = needed(root / "라벨링데이터" / "train_meta_data", "KoDF")
    places = {path.name: path.relative_to(root).as_posix() for path in media_below(root)}
    for word, split in (("training", "train"), ("validation", "val")):
        for kind in ("원본영상", "변조영상"):
            table = folder / f"{kind}_{word}_메타데이터.csv"
            rows = table_rows(table, "영상ID", encodings=KODF_ENCODINGS) if table.exists() else ()
            for row in rows:
                yield _kodf(row, kind == "변조영상", split, places, str(table))


def _kodf(
    row: dict[str, str], fake: bool, split: str, places: dict[str, str], where: str
) -> Record:
    name = row["영상ID"]
    gender = {"남": "male", "여": "female"}.get((row.get("인물성별") or "")[:1])
    method = row.get("변조모델") or ""
    if fake and method not in ("dfl", "dffs", "fsgan", "fo", "audio-driven"):
        raise InputError(f"{where}: {name}: unknown method {method!r}")
    persons = ("타겟UUID", "소스UUID") if fake else ("UUID",)
    return Record(
        places.get(name, name), fake, WHOLE if fake else (), () if method != "fsgan" else None,
        None if fake else (), method if fake else "real", domain="kodf", split=split,
        persons=tuple(row[column] for column in persons if row.get(column)),
        groups={"language": "Korean", **({"gender": gender} if gender else {})},
    )  # fmt: skip


def deepfake_eval(root: Path) -> Iterator[Record]:
    """Yield the videos and sounds of Deepfake-Eval-2024, without rows of unknown label.

    A video is genuine only if both tracks are. Labels and splits vary in case.
    """
    tables = [
        (kind, sorted(root.glob(f"{kind}-metadata-publish*.csv"))) for kind in ("video", "audio")
    ]
    if not any(files for _, files in tables):
        needed(root / "video-metadata-publish.csv", "Deepfake-Eval-2024")
    for kind, files in tables:
        columns = (
            ("Video Ground Truth", "Audio Ground Truth") if kind == "video" else ("Ground Truth",)
        )
        for row in table_rows(files[-1], "Filename", "Finetuning Set", *columns) if files else ():
            where = f"{files[-1]}: {row['Filename']}"
            labels = [_label(row[column], where) for column in columns]
            if True not in labels and None in labels:
                continue
            visual, audio = labels if kind == "video" else (None, *labels)
            fake = True in labels
            yield Record(
                f"{kind}-data/{row['Filename']}", fake, _spans(visual), _spans(audio),
                None if fake or kind == "audio" else (), "in the wild" if fake else "real",
                domain="in the wild", split=split_word(row["Finetuning Set"]),
            )  # fmt: skip


def _label(word: str, where: str) -> bool | None:
    words = {"real": False, "fake": True, "unknown": None, "": None}
    return word_of(word.strip().lower(), words, where)


def _spans(fake: bool | None) -> Spans | None:
    return None if fake is None else WHOLE if fake else ()
