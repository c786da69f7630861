"""Manifests of data sets: they come back as they were written, are checked, split and judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from avdetect import cli
from pipelines.data.catalogue import DATASETS, records_of
from pipelines.data.checks import check_records
from pipelines.data.manifest import GROUPS, WHOLE, Record, read_records, write_records
from pipelines.data.samples import Splits, read_manifest
from pipelines.data.splits import protocol_records, split_by_person
from pipelines.storage.sources import videos_of

FULL = Record(
    "a/b, c.mp4", True, ((1.0, 2.5), (3.0, 4.0)), (), None, "swap", "face-swap", "ff", "test",
    ("p 1", "p2"), dict.fromkeys(GROUPS, "x"), 29.97, "set", "CC BY 4.0", "odd",
)  # fmt: skip
WHOLLY = Record("real.mp4", False, (), WHOLE, ())


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert write_records(tmp_path / "m.csv", [FULL, WHOLLY], tmp_path) == 2
    assert list(read_records(tmp_path / "m.csv")) == [FULL, WHOLLY]


def test_a_manifest_beside_its_data_set_names_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_records(tmp_path / "out" / "m.csv", [WHOLLY], tmp_path / "set")
    (record,) = read_records(tmp_path / "out" / "m.csv")
    assert record.path == str(tmp_path / "set" / "real.mp4")
    assert [v.path for v in videos_of(str(tmp_path / "out" / "m.csv"))] == [record.path]


def test_a_wrong_cell_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,label,visual_segments\na.mp4,real,[]\nb.mp4,genuine,\n")
    with pytest.raises(ValueError, match=r"m\.csv: line 3: expected fake or real, got 'genuine'"):
        list(read_records(path))
    path.write_text("path,visual_segments\n")
    with pytest.raises(ValueError, match=r"m\.csv: has no column 'label'"):
        list(read_records(path))


def test_a_manifest_is_a_truth_that_knows_fakes_whose_track_is_unknown(tmp_path: Path) -> None:
    unsaid = Record("u.mp4", True, None, None, None, "DFDC", split="val")
    write_records(tmp_path / "m.csv", [FULL, WHOLLY, unsaid], tmp_path)
    first, second, third = read_manifest(tmp_path / "m.csv", Splits(calibration=("set",)))
    assert (first.path, first.split, first.person) == (
        tmp_path / FULL.path,
        "calibration",
        "p 1;p2",
    )
    assert (first.visual, first.audio, first.sync) == (FULL.visual, (), None)
    assert dict(first.groups)["gender"] == "x"
    assert (second.split, second.fake, third.fake, third.split) == ("train", False, True, "val")


def test_what_is_missing_unreadable_contradictory_or_unlisted_is_counted(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    clip = make_clip("source.mkv", seconds=1.0)
    for name in ("good", "late", "odd", "twice", "extra"):
        shutil.copy(clip, tmp_path / f"{name}.mp4")
    clip.unlink()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.png").touch()
    (tmp_path / "empty").mkdir()
    records = [
        Record("good.mp4", True, ((0.0, 1.05),), (), None, "m"),
        Record("late.mp4", True, ((0.5, 1.5),), (), None, "m"),
        Record("odd.mp4", False, (), (), (), doubt="they disagree"),
        Record("broken.mp4", False, (), (), ()), Record("gone.mp4", False, (), (), ()),
        Record("twice.mp4", False, (), (), ()), Record("twice.mp4", True, WHOLE, (), (), "m"),
        Record("frames", True, WHOLE, None, None, "m"),
        Record("empty", True, WHOLE, None, None, "m"),
    ]  # fmt: skip
    found = check_records(records, tmp_path)
    counts = {k: found[k] for k in ("records", "present", "missing", "unreadable", "inconsistent")}
    assert counts == {
        "records": 9, "present": 8, "missing": 1, "unreadable": 2, "inconsistent": 4,
    }  # fmt: skip
    assert found["unlisted"] == 1
    assert found["methods"] == {"m": 5, "real": 4}
    assert any("ends at 1.5 s" in text for text in found["examples"]["inconsistent"])
    assert check_records(records, tmp_path, opened=False)["unreadable"] == 0


def record(path: str, fake: bool, *persons: str, **known: str) -> Record:
    return Record(path, fake, WHOLE if fake else (), None, None, persons=persons, **known)  # type: ignore[arg-type]


def test_people_who_meet_in_a_swap_stay_together() -> None:
    pairs = [(f"{i}", f"{i + 1}") for i in range(0, 200, 2)]
    records = [record(f"{a}_{b}", True, a, b) for a, b in pairs]
    records += [record(p, False, p) for pair in pairs for p in pair]
    kept, left_out = split_by_person(records, seed=1)
    assert (len(kept), left_out) == (300, 0)
    split_of: dict[str, set[str]] = {}
    for item in kept:
        for person in item.persons:
            split_of.setdefault(person, set()).add(item.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    sizes = [sum(item.split == split for item in kept) for split in ("train", "val", "test")]
    assert sizes == pytest.approx([210, 30, 60], abs=3)
    assert split_by_person(records, seed=1)[0] == kept
    assert split_by_person(records, seed=2)[0] != kept


def test_where_everyone_meets_everyone_shared_clips_are_left_out() -> None:
    people = [f"id{i}" for i in range(12)]
    records = [record(f"{a}_{b}", True, a, b) for a in people for b in people if a != b]
    kept, left_out = split_by_person(records, (0.5, 0.0, 0.5))
    assert left_out == 2 * 6 * 6
    assert len(kept) == 2 * 6 * 5
    with pytest.raises(ValueError, match="add up to 1"):
        split_by_person(records, (0.5, 0.5, 0.5))


def test_the_four_protocols_of_df40_change_one_thing_at_a_time() -> None:
    records = [
        record(f"{name}-{domain}-{split}", name != "real", split=split, method=name, domain=domain)
        for name in ("real", "uniface", "dagan") for domain in ("ff", "cdf")
        for split in ("train", "test")
    ]  # fmt: skip
    tests = {
        "within": {"uniface-ff-test", "real-ff-test"},
        "cross-forgery": {"dagan-ff-test", "real-ff-test"},
        "cross-domain": {"uniface-cdf-test", "real-cdf-test"},
        "both": {"dagan-cdf-test", "real-cdf-test"},
    }
    for protocol, expected in tests.items():
        chosen = protocol_records(records, protocol, ["uniface"], "ff")  # type: ignore[arg-type]
        assert {r.path for r in chosen if r.split == "test"} == expected
        assert {r.path for r in chosen if r.split == "train"} == {
            "uniface-ff-train",
            "real-ff-train",
        }
    with pytest.raises(ValueError, match="cross-forgery: no genuine or no forged records"):
        protocol_records(records, "cross-forgery", ["uniface", "dagan"], "ff")


@pytest.mark.parametrize("name", DATASETS)
def test_another_layout_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the layout of"):
        list(records_of(name, tmp_path))


def test_the_command_writes_checks_and_splits(
    tmp_path: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    shutil.move(make_clip("0.wav", picture=False), root / "0.wav")
    (root / "meta.csv").write_text("file,speaker,label\n0.wav,A,spoof\n1.wav,B,bona-fide\n")
    manifest, split = tmp_path / "m.csv", tmp_path / "s.csv"
    assert cli.main(["datasets", "manifest", "in-the-wild", str(root), "--out", str(manifest)]) == 0
    assert [r.path for r in read_records(manifest)] == ["set/0.wav", "set/1.wav"]
    assert "2 records" in capsys.readouterr().out
    assert cli.main(["datasets", "validate", "in-the-wild", str(root)]) == 1
    assert json.loads(capsys.readouterr().out)["missing"] == 1
    (root / "meta.csv").write_text("file,speaker,label\n0.wav,A,spoof\n")
    assert cli.main(["datasets", "validate", "in-the-wild", str(root)]) == 0
    assert cli.main(["datasets", "split", str(manifest), "--out", str(split)]) == 0
    assert {r.split for r in read_records(split)} <= {"train", "val", "test"}
    assert cli.main(["datasets", "list"]) == 0
    assert "asvspoof2019" in capsys.readouterr().out
    assert cli.main(["datasets", "validate", "nothing", str(root)]) == 2
    assert "unknown data set 'nothing'" in capsys.readouterr().err


def test_a_domain_that_is_left_out_is_tested_alone_and_the_others_taught() -> None:
    records = [
        record(f"{domain}-{fake}-{split}", fake, split=split, domain=domain,
               method="m" if fake else "real")
        for domain in ("x", "y", "z") for fake in (False, True) for split in ("train", "test")
    ]  # fmt: skip
    chosen = protocol_records(records, "left-out", (), "y")
    assert {r.domain for r in chosen if r.split == "test"} == {"y"}
    assert sum(r.split == "test" for r in chosen) == 4
    assert {r.domain for r in chosen if r.split == "train"} == {"x", "z"}
    with pytest.raises(ValueError, match="left-out: no genuine or no forged records left in test"):
        protocol_records(records, "left-out", (), "w")
