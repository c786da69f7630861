"""Reader of DF40: forty methods as cropped frames, one folder per video or one image per clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.data.layouts.deepfakebench import listed_videos, persons_in
from pipelines.data.layouts.faces import silent
from pipelines.data.layouts.reading import needed
from pipelines.data.manifest import Record

FAMILIES = {
    "face-swap": "fsgan faceswap simswap inswap blendface uniface mobileswap e4s facedancer "
    "deepfacelab",
    "reenactment": "fomm fs_vid2vid wav2lip mraa oneshot pirender tpsm lia dagan sadtalker mcnet "
    "hyperreenact heygen",
    "synthesis": "vqgan stylegan2 stylegan3 styleganxl sd-2.1 ddim rddm pixart dit sit midjourney "
    "whichfaceisreal",
    "editing": "collabdiff e4e stargan starganv2 styleclip",
}
FAMILY = {method: family for family, names in FAMILIES.items() for method in names.split()}
# names of folders that differ from the paper's names of their methods
PAPER_NAMES = {
    "danet": "dagan", "one_shot_free": "oneshot", "facevid2vid": "fs_vid2vid", "sd2.1": "sd-2.1",
}  # fmt: skip
DOMAINS = ("ff", "cdf")
PICTURES = (".png", ".jpg", ".jpeg")


def df40(root: Path) -> Iterator[Record]:
    """Yield DF40 from its JSON files in DeepfakeBench's format, or else from its folders.

    A record is a folder of frames, or an image for methods that make single images.
    """
    lists = sorted([*root.glob("*.json"), *root.glob("dataset_json/*.json")])
    if lists:
        for path in lists:
            yield from _listed(path)
        return
    if not (root / "DF40_train").is_dir():
        needed(root / "DF40", "DF40")
    for folder, split in (("DF40_train", "train"), ("DF40", "test")):
        for frames in _frame_folders(root / folder):
            yield from _in_folder(root, frames, split)


def _listed(path: Path) -> Iterator[Record]:
    """Yield a JSON's records, whose data sets are named by method and domain."""
    for video in listed_videos(path, _kind):
        method, _, domain = video.dataset.rpartition("_")
        if domain not in DOMAINS:
            method, domain = video.dataset, ""
        yield _record(
            video.folder, video.kind == "fake", method, domain, video.split, video.quality,
            video.doubt,
        )  # fmt: skip


def _kind(label: str) -> str | None:
    kind = label.rpartition("_")[2].lower()
    return kind if kind in ("real", "fake") else None


def _frame_folders(top: Path) -> Iterator[Path]:
    """Yield the folders that contain pictures."""
    for folder in sorted(path for path in top.rglob("*") if path.is_dir()):
        if any(path.suffix.lower() in PICTURES for path in folder.iterdir()):
            yield folder


def _in_folder(root: Path, frames: Path, split: str) -> Iterator[Record]:
    parts = frames.relative_to(root).parts  # DF40, method, ff or cdf or fake or real, …
    method = parts[1]
    place = parts[2] if len(parts) > 2 else ""
    fake, domain = place != "real", place if place in DOMAINS else ""
    images = [frames] if len(parts) > 3 else sorted(frames.iterdir())
    for path in images:
        if path.is_dir() or path.suffix.lower() in PICTURES:
            yield _record(path.relative_to(root).as_posix(), fake, method, domain, split)


def _record(
    path: str, fake: bool, method: str, domain: str, split: str, quality: str = "", doubt: str = ""
) -> Record:
    """Return the record of a video; its name, 000_003 or id0_id16_0000, holds its persons."""
    name = method.lower()
    name = PAPER_NAMES.get(name, name)
    return silent(
        path, fake, method=name if fake else "real", split=split, domain=domain,
        persons=persons_in(path),
        forgery_type=FAMILY.get(name, "") if fake else "", doubt=doubt,
        groups={"quality": quality} if quality else {},
    )  # fmt: skip
