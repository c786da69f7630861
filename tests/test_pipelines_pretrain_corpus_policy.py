"""The policy of a corpus: what each record must state, and which record is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from extractors.errors import InputError
from pipelines.config import ConfigError
from pipelines.data.manifest import Record, read_records, write_records
from pipelines.pretrain.corpus_policy import STATED, check_policy

GOOD = {"licence": "CC BY 4.0", "attribution": "A. Painter", "contains_people": "no"}


def manifest(folder: Path, *changes: dict[str, str]) -> Path:
    path = folder / "corpus.csv"
    rows = [{"path": f"{i}.mp4", **GOOD, **change} for i, change in enumerate(changes)]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return path


def test_a_corpus_that_states_all_is_let_in(tmp_path: Path) -> None:
    check_policy(manifest(tmp_path, {}, {}), "no_humans")
    check_policy(manifest(tmp_path, {}, {"contains_people": "consented"}), "consented")


@pytest.mark.parametrize("field", STATED)
def test_a_record_that_lacks_a_field_is_refused_by_name(tmp_path: Path, field: str) -> None:
    path = manifest(tmp_path, {}, {field: " "}, {})
    for policy in ("no_humans", "consented"):
        with pytest.raises(ConfigError, match=rf"line 3 \(1\.mp4\).*states no {field}"):
            check_policy(path, policy)  # type: ignore[arg-type]
    check_policy(path, "any")


@pytest.mark.parametrize("field", STATED)
def test_a_manifest_without_a_column_is_refused(tmp_path: Path, field: str) -> None:
    path = manifest(tmp_path, {})
    path.write_text(path.read_text().replace(field, "other"))
    with pytest.raises(InputError, match=f"no column '{field}'"):
        check_policy(path, "consented")


@pytest.mark.parametrize(
    ("policy", "people"),
    [("no_humans", "consented"), ("no_humans", "yes"), ("consented", "yes"), ("consented", "some")],
)
def test_people_who_did_not_agree_are_refused(tmp_path: Path, policy: str, people: str) -> None:
    path = manifest(tmp_path, {}, {"contains_people": people})
    with pytest.raises(
        ConfigError, match=rf"1\.mp4.*contains_people is '{people}', and must be no"
    ):
        check_policy(path, policy)  # type: ignore[arg-type]


def test_manifests_of_data_sets_carry_the_columns(tmp_path: Path) -> None:
    record = Record("a.mp4", False, (), (), None, **GOOD)
    path = tmp_path / "set.csv"
    assert write_records(path, [record], tmp_path) == 1
    assert next(iter(read_records(path))) == record
    check_policy(path, "no_humans")
    with pytest.raises(InputError, match=r"a\.mp4: contains_people must be one of no"):
        Record("a.mp4", False, (), (), None, contains_people="perhaps")
