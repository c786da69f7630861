"""Reader of DeepfakeBench's lists: one JSON for each data set, of folders of cropped faces.

Source: Yan and others, DeepfakeBench, NeurIPS 2023 (Datasets and Benchmarks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.data.layouts.faces import FF_METHODS, silent
from pipelines.data.layouts.reading import json_of, needed
from pipelines.data.manifest import Record, split_word

FF_LABELS = {
    "DF": "Deepfakes", "F2F": "Face2Face", "FS": "FaceSwap", "NT": "NeuralTextures",
    "SH": "FaceShifter", "FH": "FaceShifter",
}  # fmt: skip


@dataclass(frozen=True)
class ListedVideo:
    """A video of a list: a folder of frames."""

    dataset: str
    kind: str  # what its label means to the reader
    split: str
    quality: str  # compression; empty: the list has none
    folder: str  # relative to the data set's root; the video's name if no frames are listed
    doubt: str = ""


def listed_videos(path: Path, kind_of: Callable[[str], str | None]) -> Iterator[ListedVideo]:
    """Yield a JSON's videos: {data set: {label: {split: {video: {frames}}}}}.

    FaceForensics++ has a level for the compression between split and video.

    kind_of: label -> what it means; None: neither genuine nor forged.

    Raises:
        InputError: the file is no JSON, or has an unknown label or split.
    """
    for dataset, labels in json_of(path).items():
        for label, splits in labels.items():
            kind = kind_of(str(label))
            if kind is None:
                raise InputError(f"{path}: label {label!r} ends neither in Real nor in Fake")
            for split, videos in splits.items():
                for quality, name, video in _videos(videos):
                    frames = [str(frame).replace("\\", "/") for frame in video["frames"]]
                    yield ListedVideo(
                        str(dataset), kind, split_word(split), quality,
                        str(Path(frames[0]).parent) if frames else name,
                        "" if frames else "no frames are listed",
                    )  # fmt: skip


def _videos(videos: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield quality, name and entry of the videos of a split."""
    for name, video in videos.items():
        if "frames" in video:
            yield "", name, video
        else:
            for inner, entry in video.items():
                yield name, inner, entry


def deepfakebench(root: Path) -> Iterator[Record]:
    """Yield the videos of all lists in a folder, or in its `dataset_json`; a domain is a data set.

    Raises:
        InputError: there is no list, or a label tells neither genuine nor forged.
    """
    lists = sorted([*root.glob("*.json"), *root.glob("dataset_json/*.json")])
    if not lists:
        needed(root / "dataset_json", "DeepfakeBench")
    for path in lists:
        for video in listed_videos(path, _method):
            yield silent(
                video.folder, video.kind != "real", method=video.kind, split=video.split,
                forgery_type=FF_METHODS.get(video.kind, ""), domain=video.dataset,
                persons=persons_in(video.folder), doubt=video.doubt,
                groups={"quality": video.quality} if video.quality else {},
            )  # fmt: skip


def _method(label: str) -> str | None:
    """Return the method that a label names, or `real`: FF-DF, FF-real, DFDCP_FakeA, UADFV_Real."""
    match = re.fullmatch(r"(.+)[-_]([^-_]+)", label)
    name, kind = match.groups() if match else ("", label)
    if kind.lower() == "real":
        return "real"
    if kind.lower().startswith("fake"):
        return f"{name} {kind[4:]}".strip()
    return FF_LABELS.get(kind) if name == "FF" else None


def persons_in(path: str) -> tuple[str, ...]:
    """Return the persons in a video's name, such as 000_003 or id0_id16_0000."""
    stem = Path(path).stem
    return tuple(re.findall(r"id\d+", stem)) or tuple(re.findall(r"(?<!\d)\d{3}(?!\d)", stem))
