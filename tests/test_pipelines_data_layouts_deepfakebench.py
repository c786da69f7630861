"""DeepfakeBench's lists: its labels of every data set, on miniatures in its layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from extractors.errors import InputError
from pipelines.data.catalogue import records_of
from pipelines.data.manifest import Record


def listed(root: Path, dataset: str, labels: dict[str, Any]) -> dict[str, Record]:
    (root / "dataset_json").mkdir(exist_ok=True)
    (root / "dataset_json" / f"{dataset}.json").write_text(json.dumps({dataset: labels}))
    return {record.path: record for record in records_of("deepfakebench", root)}


def video(*frames: str) -> dict[str, Any]:
    return {"label": "unused", "frames": list(frames)}


def test_faceforensics_has_methods_compressions_and_both_persons(tmp_path: Path) -> None:
    fake = video("FaceForensics++\\manipulated_sequences\\Face2Face\\c23\\frames\\000_003\\001.png")
    records = listed(tmp_path, "FaceForensics++", {
        "FF-F2F": {"test": {"c23": {"000_003": fake}}},
        "FF-real": {"train": {"c40": {"071": video("FaceForensics++/o/c40/frames/071/1.png")}}},
    })  # fmt: skip
    forged = records["FaceForensics++/manipulated_sequences/Face2Face/c23/frames/000_003"]
    assert (forged.fake, forged.method, forged.forgery_type) == (True, "Face2Face", "reenactment")
    assert (forged.persons, forged.groups, forged.split) == (
        ("000", "003"), {"quality": "c23"}, "test",
    )  # fmt: skip
    genuine = records["FaceForensics++/o/c40/frames/071"]
    assert (genuine.fake, genuine.method, genuine.domain) == (False, "real", "FaceForensics++")


@pytest.mark.parametrize(
    ("label", "method"),
    [("CelebDFv2_fake", "CelebDFv2"), ("DFDCP_FakeB", "DFDCP B"), ("UADFV_Fake", "UADFV"),
     ("DFD_fake", "DFD"), ("FF-SH", "FaceShifter"), ("CelebDFv1_real", "real"),
     ("DFDC_Real", "real"), ("FF-real", "real")],
)  # fmt: skip
def test_its_words_for_genuine_and_forged(tmp_path: Path, label: str, method: str) -> None:
    (record,) = listed(tmp_path, "a", {label: {"test": {"v": video("a/v/0.png")}}}).values()
    assert (record.method, record.fake) == (method, method != "real")


def test_a_label_that_tells_neither_is_an_error_and_no_frames_a_doubt(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'FF-XY' ends neither"):
        listed(tmp_path, "a", {"FF-XY": {"test": {"v": video("a/v/0.png")}}})
    (record,) = listed(tmp_path, "a", {"a_real": {"test": {"v": video()}}}).values()
    assert (record.path, record.doubt) == ("v", "no frames are listed")
