"""Sources: what each kind of them names, in which order, and what is said of broken ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.storage.local_copy import local_copy
from pipelines.storage.sources import SourceError, Video, check_source, extra_columns, videos_of


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with three media files at two depths, and one that is none."""
    folder = tmp_path / "corpus"
    (folder / "inner").mkdir(parents=True)
    for name in ("b.mp4", "a.MKV", "notes.txt", "inner/c.wav"):
        (folder / name).write_bytes(name.encode())
    return folder


def paths(source: object) -> list[str]:
    return [video.path for video in videos_of(str(source))]


def test_a_folder_names_the_media_files_at_all_depths(corpus):
    assert paths(corpus) == [f"{corpus}/a.MKV", f"{corpus}/b.mp4", f"{corpus}/inner/c.wav"]


def test_a_pattern_is_taken_at_its_word(corpus):
    assert paths(f"{corpus}/**/*.txt") == [f"{corpus}/notes.txt"]
    assert paths(f"{corpus}/*.nothing") == []


def test_paths_are_the_same_from_every_folder(corpus, monkeypatch):
    monkeypatch.chdir(corpus / "inner")
    assert paths("../b.mp4") == [f"{corpus}/b.mp4"]
    assert paths(".") == paths("*.wav") == [f"{corpus}/inner/c.wav"]


def test_a_manifest_in_a_bucket_is_not_taken_for_a_video(corpus):
    (corpus / "m.csv").write_text("path\nb.mp4\n")
    with pytest.raises(SourceError, match="must be on this machine"):
        paths(f"file://{corpus}/m.csv")


def test_a_single_file_is_a_corpus_of_one(corpus):
    assert paths(corpus / "b.mp4") == [f"{corpus}/b.mp4"]


def test_a_list_begins_at_its_own_folder_and_may_name_uris(corpus):
    listing = corpus / "list.txt"
    listing.write_text("\ufeffb.mp4\r\n\n/elsewhere/x.mp4\ns3://bucket/y.mp4\n two words .mp4")
    assert paths(listing) == [
        f"{corpus}/b.mp4", "/elsewhere/x.mp4", "s3://bucket/y.mp4", f"{corpus}/ two words .mp4",
    ]  # fmt: skip


def test_a_csv_manifest_carries_its_columns_as_text(corpus):
    manifest = corpus / "m.csv"
    manifest.write_text("id,path,label\n007,b.mp4,fake\n8,,real\n9,a.MKV,\n")
    assert list(videos_of(str(manifest))) == [
        Video(f"{corpus}/b.mp4", {"id": "007", "label": "fake"}),
        Video(f"{corpus}/a.MKV", {"id": "9", "label": ""}),
    ]
    assert extra_columns(str(manifest)) == [("id", "string"), ("label", "string")]


def test_a_parquet_manifest_carries_its_columns_with_their_types(corpus):
    manifest = corpus / "m.parquet"
    pq.write_table(pa.table({"views": [12], "path": ["b.mp4"], "weight": [0.5]}), manifest)
    assert list(videos_of(str(manifest))) == [
        Video(f"{corpus}/b.mp4", {"views": 12, "weight": 0.5})
    ]
    assert extra_columns(str(manifest)) == [("views", "int64"), ("weight", "double")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.tsv", "id\tclip\n007\tb.mp4\n"),
        ("m.jsonl", '{"id": "007", "clip": "b.mp4"}\n'),
        ("m.csv", "id,clip\n007,b.mp4\n"),
    ],
)
def test_others_names_of_the_paths_are_mapped_in_every_text_format(corpus, name, content):
    manifest, columns = corpus / name, {"path": "clip"}
    manifest.write_text(content)
    assert list(videos_of(str(manifest), columns)) == [Video(f"{corpus}/b.mp4", {"id": "007"})]
    assert extra_columns(str(manifest), columns) == [("id", "string")]
    with pytest.raises(SourceError, match="has no column 'path'; found id, clip"):
        list(videos_of(str(manifest)))


def test_a_uri_names_the_media_objects_below_it(corpus):
    uri = f"file://{corpus}"
    assert paths(uri) == [f"{uri}/a.MKV", f"{uri}/b.mp4", f"{uri}/inner/c.wav"]
    assert paths(f"{uri}/b.mp4") == [f"{uri}/b.mp4"]


def test_names_with_special_characters_are_found_by_the_uris_that_are_listed(tmp_path):
    (tmp_path / "a#1 ?ü 100%25.mp4").write_bytes(b"found")
    uris = paths(f"file://{tmp_path}")
    assert uris == [f"file://{tmp_path}/a%231%20%3F%C3%BC%20100%2525.mp4"]
    with local_copy(uris[0], tmp_path, print) as file:
        assert file.read_bytes() == b"found"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "no such file, folder or pattern"),
        ("a.csv", "file,label\nb.mp4,1\n", "has no column 'path'"),
        ("a.csv", "", "has no column 'path'"),
        ("a.parquet", "nonsense", "not a Parquet file"),
        ("a.txt", "\udcff\n", "cannot be read"),
    ],
)
def test_a_broken_source_is_one_error_that_names_it(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(SourceError, match=message) as caught:
        list(videos_of(str(tmp_path / name)))
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("uri", ["file:///no/such/folder", "unheard-of://bucket/x"])
def test_a_uri_that_leads_nowhere_is_an_error(uri):
    with pytest.raises(SourceError, match=uri):
        list(videos_of(uri))


def test_a_source_that_vanished_is_noticed(corpus):
    check_source(str(corpus))
    check_source(f"{corpus}/*.mp4")
    (corpus.parent / "empty").mkdir()
    for gone in ("empty", "nothing", "nothing/*/*.mp4"):
        with pytest.raises(SourceError, match="vanished"):
            check_source(str(corpus.parent / gone))


def test_an_object_is_fetched_while_it_is_needed_and_a_local_file_is_not_copied(corpus, tmp_path):
    sizes: list[int] = []
    with local_copy(f"file://{corpus}/b.mp4", tmp_path, sizes.append) as file:
        assert file.read_bytes() == b"b.mp4"
        assert file.parent == tmp_path
        assert file.suffix == ".mp4"
    assert not file.exists()
    assert sizes == [5]
    with local_copy(f"{corpus}/b.mp4", tmp_path, sizes.append) as file:
        assert file == corpus / "b.mp4"
    assert file.exists()


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A file system in memory, known to fsspec alone, with two media objects at two depths."""
    system = fsspec.filesystem("memory")
    system.pipe({"/bucket/a.mp4": b"a" * 3 * 2**20, "/bucket/in/bad.wav": b"b", "/bucket/c": b"c"})
    yield system
    system.rm("/bucket", recursive=True)


def test_a_bucket_that_vanished_is_noticed(bucket):
    check_source("memory://bucket")
    check_source("memory://bucket/a.mp4")
    bucket.rm("/bucket", recursive=True)
    with pytest.raises(SourceError, match="memory://bucket has vanished"):
        check_source("memory://bucket")
    bucket.touch("/bucket/again")
