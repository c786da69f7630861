"""Readers of data sets of swapped and reenacted faces, in the layouts of their makers.

Each reader yields the files that the data set's own lists name, whether they exist or not, or the
files in its folders if there are no lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.data.layouts.reading import (
    json_of,
    lines_of,
    media_below,
    needed,
    table_rows,
    word_of,
)
from pipelines.data.manifest import WHOLE, Record, split_word

COMPRESSIONS = ("raw", "c0", "c23", "c40")
FF_METHODS = {
    "Deepfakes": "face-swap", "FaceSwap": "face-swap", "FaceShifter": "face-swap",
    "Face2Face": "reenactment", "NeuralTextures": "reenactment",
}  # fmt: skip
CELEB_FOLDERS = {"Celeb-real": False, "YouTube-real": False, "Celeb-synthesis": True}


def silent(path: str, fake: bool, **known: Any) -> Record:
    """Return the record of a file with a visual label alone: no sound, or none with a label."""
    return Record(path, fake, WHOLE if fake else (), None, None, **known)


def faceforensics(root: Path) -> Iterator[Record]:
    """Yield FaceForensics++: a pair (a, b) of a split gives the originals a, b, fakes a_b, b_a.

    Only methods and compressions whose folders exist are expected.
    """
    pairs = {
        split: json_of(needed(root / "splits" / f"{split}.json", "FaceForensics++"))
        for split in ("train", "val", "test")
    }
    for compression in COMPRESSIONS:
        common: dict[str, Any] = {"groups": {"quality": compression}, "domain": "youtube"}
        folder = f"original_sequences/youtube/{compression}/videos"
        for split, names in pairs.items() if (root / folder).is_dir() else ():
            for name in chain.from_iterable(names):
                yield silent(f"{folder}/{name}.mp4", False, split=split, persons=(name,), **common)
        for method, family in FF_METHODS.items():
            folder = f"manipulated_sequences/{method}/{compression}/videos"
            for split, names in pairs.items() if (root / folder).is_dir() else ():
                for target, origin in chain.from_iterable(((a, b), (b, a)) for a, b in names):
                    yield silent(
                        f"{folder}/{target}_{origin}.mp4", True, method=method, split=split,
                        forgery_type=family, persons=(target, origin), **common,
                    )  # fmt: skip


def deepfakedetection(root: Path) -> Iterator[Record]:
    """Yield DFD, which is in FaceForensics++'s folders and has no split of its own."""
    real, fake = root / "original_sequences/actors", root / "manipulated_sequences"
    needed(real if real.exists() else fake / "DeepFakeDetection", "DeepFakeDetection")
    for path in media_below(real):
        actor = path.stem.partition("__")[0]
        groups = {"quality": path.relative_to(real).parts[0]}
        name = path.relative_to(root).as_posix()
        yield silent(name, False, persons=(actor,), domain="actors", groups=groups)
    for path in media_below(fake / "DeepFakeDetection"):
        relative = path.relative_to(fake / "DeepFakeDetection")
        if relative.parts[0] == "masks":
            continue
        actors = tuple(path.stem.partition("__")[0].split("_"))
        yield silent(
            path.relative_to(root).as_posix(), True, method="DeepFakeDetection", persons=actors,
            forgery_type="face-swap", domain="actors", groups={"quality": relative.parts[0]},
        )  # fmt: skip


def celeb_df(root: Path) -> Iterator[Record]:
    """Yield Celeb-DF v2. Its list has 1 for real and 0 for fake; the folder takes precedence."""
    listed = {}
    for number, words in lines_of(needed(root / "List_of_testing_videos.txt", "Celeb-DF v2")):
        where = f"List_of_testing_videos.txt: line {number}"
        if len(words) != 2:
            raise InputError(f"{where}: expected a label and a file, got {' '.join(words)}")
        listed[words[1]] = word_of(words[0], {"1": False, "0": True}, where)
    there = chain.from_iterable(media_below(root / name) for name in CELEB_FOLDERS)
    for name in sorted({*(path.relative_to(root).as_posix() for path in there), *listed}):
        fake = word_of(Path(name).parts[0], CELEB_FOLDERS, name)
        doubt = "" if listed.get(name, fake) == fake else "the list of testing videos disagrees"
        yield silent(
            name, fake, method="Celeb-synthesis" if fake else "real", domain="celeb-df",
            forgery_type="face-swap" if fake else "", doubt=doubt,
            split="test" if name in listed else "train",
            persons=tuple(re.findall(r"id\d+", Path(name).stem)),
        )  # fmt: skip


def dfdc(root: Path) -> Iterator[Record]:
    """Yield DFDC (parts, and the labelled test) or its preview.

    Its persons are unknown: the name of a clip's original serves as its person. Which track of a
    fake is forged is unknown.
    """
    if (root / "dataset.json").exists():
        for name, row in json_of(root / "dataset.json").items():
            yield _dfdc(name, row["label"], row.get("original"), split_word(row["set"]), name)
        return
    parts = sorted(root.glob("dfdc_train_part_*/metadata.json"))
    labels = root / "test" / "labels.csv"
    if not parts and not labels.exists():
        needed(root / "dfdc_train_part_0" / "metadata.json", "DFDC")
    for part in parts:
        folder = part.parent.name
        for name, row in json_of(part).items():
            original = row.get("original")
            yield _dfdc(f"{folder}/{name}", row["label"], original, "train", str(part))
    for row in table_rows(labels, "filename", "label") if labels.exists() else ():
        label = word_of(row["label"], {"0": "REAL", "1": "FAKE"}, str(labels))
        yield _dfdc(f"test/{row['filename']}", label, None, "test", str(labels))


def _dfdc(path: str, label: str, original: str | None, split: str, where: str) -> Record:
    fake = bool(word_of(label, {"REAL": False, "FAKE": True}, where))
    spans: Any = None if fake else ()
    return Record(
        path, fake, spans, spans, spans, "DFDC" if fake else "real",
        domain="dfdc", split=split, persons=(Path(original or path).stem,),
        doubt="a genuine clip with an original" if original and not fake else "",
    )  # fmt: skip


def deepfake_timit(root: Path) -> Iterator[Record]:
    """Yield DeepfakeTIMIT: swapped faces in two qualities, with genuine sound.

    File names hold the persons; the names of TIMIT's speakers begin with f or m, the gender.
    """
    needed(root / "higher_quality", "DeepfakeTIMIT")
    for quality in ("higher_quality", "lower_quality"):
        for path in media_below(root / quality):
            if path.suffix.lower() != ".avi":
                continue
            speaker = path.parent.name
            match = re.fullmatch(r"\w+-video-(\w+)", path.stem)
            yield Record(
                path.relative_to(root).as_posix(), True, WHOLE, (), None, "faceswap-GAN",
                forgery_type="face-swap", domain="vidtimit",
                persons=(speaker, match[1]) if match else (speaker,),
                groups={"quality": quality, "gender": {"f": "female", "m": "male"}[speaker[0]]},
                doubt="" if match else "the name does not say whose face it is",
            )  # fmt: skip
