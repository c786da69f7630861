"""Tables: each format gives the same rows, others' names are mapped, and faults are named."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extractors.errors import InputError
from pipelines.storage.tables import open_table, parse_columns

ROWS = [{"path": "a, b.mp4", "label": "1"}, {"path": "ü.mp4", "label": "0"}]


def write(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(map(json.dumps, ROWS)))
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join(f'"{cell}"' for cell in row.values()) for row in ROWS]
        path.write_text("\ufeff" + "\n".join([mark.join(ROWS[0]), *lines]))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".CSV"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    table = open_table(write(tmp_path / f"t{suffix}"))
    assert [row for _, row in table.rows()] == ROWS
    assert table.kinds == {"path": "string", "label": "string"}


def test_a_row_is_placed_by_its_line_and_a_short_one_is_filled(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('path,label\n"two\nlines",1,more\nb\n')
    places, rows = zip(*open_table(tmp_path / "t.csv").rows(), strict=True)
    assert rows == ({"path": "two\nlines", "label": "1"}, {"path": "b", "label": None})
    assert [place.rpartition(" ")[2] for place in places] == ["3", "4"]


def test_a_column_that_comes_late_in_json_lines_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "a"}\n{"path": "b", "spans": [[1, 2]], "n": 1.5}\n')
    rows = [row for _, row in open_table(tmp_path / "t.jsonl").rows()]
    assert rows == [
        {"path": "a", "spans": None, "n": None},
        {"path": "b", "spans": "[[1, 2]]", "n": "1.5"},
    ]


def test_others_names_are_mapped_and_a_displaced_column_is_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,filename,prediction\nx,a.mp4,0.5\n")
    table = open_table(tmp_path / "t.csv", parse_columns(["path=filename,score=prediction"]))
    assert [row for _, row in table.rows()] == [
        {"manifest_path": "x", "path": "a.mp4", "score": "0.5"}
    ]
    unmapped = open_table(tmp_path / "t.csv", {"path": "nowhere"})
    assert list(unmapped.kinds) == ["path", "filename", "prediction"]


def test_the_first_manifests_of_the_project_have_their_files_in_another_column(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text("file,label,repo,path\na.mp4,fake,lab,src/a.mp4\n")
    ((_, row),) = open_table(tmp_path / "t.csv").rows()
    assert (row["path"], row["manifest_path"]) == ("a.mp4", "src/a.mp4")


def test_what_is_missing_is_named_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name,label\na.mp4,fake\n")
    with pytest.raises(InputError, match=r"t\.csv: has no column 'path'; found name, label") as no:
        open_table(tmp_path / "t.csv").need("path", "label")
    assert "--columns path=NAME" in str(no.value)
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(InputError, match="no column 'path' and no 'label'; found none"):
        open_table(tmp_path / "t.csv").need("path", "label")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"path\n\xff\xfe\n", "is no text in UTF-8"),
        ("t.jsonl", b"\xff\n", "is no text in UTF-8"),
        ("t.jsonl", b'{"path": "a"}\n[1]\n', "line 2: expected a JSON object"),
        ("t.jsonl", b'{"path": "a"}\n{oops\n', "line 2: no JSON"),
        ("t.parquet", b"nonsense", "not a Parquet file"),
        ("t.csv", b"path\n" + b"a" * 200_000 + b"\n", "is no table that can be read"),
    ],
)
def test_what_is_no_table_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: {message}"):
        list(open_table(tmp_path / name).rows())


@pytest.mark.parametrize("words", ["path", "path=", "=a", "path=a,path=b", "path=a,file=a"])
def test_a_mapping_that_cannot_be_read_is_named(words: str) -> None:
    with pytest.raises(InputError, match=r"--columns .*: expected OURS=THEIRS"):
        parse_columns([words])
