"""Truth: every form that somebody has written it in gives the same samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.data.truth import read_forged, read_truth

COLUMNS, TAB = ("path", "label", "visual_segments"), "\t"
FORGED = {
    "file": "a.mp4", "original": "b.mp4", "source": "b.mp4", "n_fakes": 1, "method": "blend",
    "person": "ann", "video_frames": 50, "audio_channels": 1, "fake_segments": [[1.0, 2.0]],
    "visual_fake_segments": [[1.0, 2.0]], "audio_fake_segments": [], "sync_fake_segments": [],
}  # fmt: skip


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_every_form_of_truth_tells_the_same_seconds(tmp_path: Path) -> None:
    spans = [[1.0, 2.0]]
    forms = [
        write(tmp_path / "m.csv", f'{",".join(COLUMNS)}\na.mp4,fake,"[[1, 2]]"\nb.mp4,0,[]\n'),
        write(tmp_path / "m.tsv", f"{TAB.join(COLUMNS)}\na.mp4\t1\t[[1, 2]]\nb.mp4\t0\t[]\n"),
        write(
            tmp_path / "m.jsonl",
            '{"path": "b.mp4", "label": 0, "visual_segments": []}\n'
            '{"path": "a.mp4", "label": 1, "visual_segments": [[1, 2]]}\n',
        ),
        write(
            tmp_path / "lavdf.json",
            [
                {"file": "a.mp4", "fake_periods": spans, "modify_video": True,
                 "modify_audio": False},
                {"file": "b.mp4", "fake_periods": []},
            ],
        ),
        write(
            tmp_path / "av1m.json",
            [
                {"file": "a.mp4", "fake_segments": spans, "visual_fake_segments": spans,
                 "audio_fake_segments": []},
                {"file": "b.mp4", "fake_segments": []},
            ],
        ),
        write(
            tmp_path / "anet.json",
            {"database": {"a.mp4": {"annotations": [{"segment": [1, 2]}]},
                          "b.mp4": {"annotations": []}}},
        ),
        write(tmp_path / "list.txt", "1 a.mp4 25 25 1\n0 b.mp4 0 0 0\n"),
        write(tmp_path / "forged.json", [FORGED, FORGED | {
            "file": "b.mp4", "n_fakes": 0, "visual_fake_segments": []}]),
    ]  # fmt: skip
    for form in forms:
        found = {s.path: s for s in read_truth(form)}
        assert set(found) == {tmp_path / "a.mp4", tmp_path / "b.mp4"}, form.name
        a, b = (found[tmp_path / f"{name}.mp4"] for name in "ab")
        assert (a.fake, b.fake) == (True, False), form.name
        assert (a.any, b.any) == (((1.0, 2.0),), ()), form.name
        told = form.suffix != ".txt" and form.name != "anet.json"
        assert a.visual == (((1.0, 2.0),) if told else None), form.name


def test_path_and_label_are_enough(tmp_path: Path) -> None:
    fake, real = read_truth(write(tmp_path / "m.csv", "filename,y\na.mp4,1\n/b.mp4,real\n"),
                            columns={"path": "filename", "label": "y"})  # fmt: skip
    assert (fake.path, fake.fake, fake.visual, fake.audio, fake.any) == (
        tmp_path / "a.mp4", True, None, None, None,
    )  # fmt: skip
    assert (real.path, real.fake, real.visual, real.method) == (Path("/b.mp4"), False, (), "real")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "path,label\na.mp4,maybe\n", r"m\.csv: line 2: expected fake or real"),
        ("m.csv", "path,label\n,fake\n", r"m\.csv: line 2: has no path"),
        ("m.csv", "path,label\n", r"m\.csv: names no clip"),
        ("m.csv", "path,label,visual_segments\na,fake,oops\n", r"line 2: expected segments such"),
        ("m.csv", "path,label,visual_segments\na,fake,[[1]]\n", r"line 2: expected segments such"),
        ("m.csv", "path,label,modality\na,fake,hands\n", r"line 2: expected the modality"),
        ("m.csv", 'path,label,visual_segments\na,fake,"[[2, 1]]"\n', "a: a segment ends before"),
        ("t.json", "[" * 100_000, r"t\.json: no JSON"),
        ("t.json", "[1, 2]", r"t\.json: no file of true segments"),
        ("t.json", '[{"file": "a", "fake_periods": [[2, 1]]}]', "an end before its start"),
        ("t.json", '[{"person": "x"}]', r"t\.json: entry 0: has no 'original'"),
        ("t.txt", "2 a.mp4 25\n", r"t\.txt: line 1: expected ForgeryNet's"),
        ("t.mp4", "", "expected a manifest"),
    ],
)
def test_what_is_no_truth_is_one_sentence(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_truth(write(tmp_path / name, content))


def test_a_forgery_of_unknown_origin_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "metadata.json", [FORGED])
    origin = Sample(tmp_path / "c.mp4", "train", "real", "lab", "p", (), (), ())
    with pytest.raises(InputError, match=r"metadata\.json: entry 0: a\.mp4 was made of b\.mp4"):
        read_forged(path, {"c.mp4": origin})
