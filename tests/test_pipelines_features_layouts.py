"""Layouts for other programs: their readers' rules, written down anew, find what they need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.features.layouts import write_layout

D = 4


def clip(folder: Path, name: str, manifest: dict[str, str], **parts: tuple[int, int]) -> Any:
    """A line of the index and its file: parts (start, steps) whose tokens tell their step."""
    tensors = {}
    for part, (start, steps) in parts.items():
        for place, token in enumerate(("mel",) if part == "sound" else ("appearance", "flow")):
            values = torch.arange(start, start + steps)[:, None] + 1000.0 * place
            tensors[f"{part}.token.{token}"] = values.expand(steps, D).contiguous()
    save_file(tensors, folder / f"{name}.safetensors")
    facts = {p: {"start_step": start, "steps": steps} for p, (start, steps) in parts.items()}
    return {
        "path": f"/data/{name}.mp4", "status": "ok", "file": f"{name}.safetensors", "steps": 100,
        "duration": 4.0, "dim": D, "parts": facts, "tensors": {n: [] for n in tensors},
        "manifest": manifest,
    }  # fmt: skip


def truth(split: str, visual: str, audio: str = "[]") -> dict[str, str]:
    return {
        "label": "real" if visual == audio == "[]" else "fake", "visual_segments": visual,
        "audio_segments": audio, "sync_segments": "", "split": split,
    }  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> list[Any]:
    whole = {"sound": (0, 100), "face0": (20, 60), "face1": (30, 10), "scene0": (0, 20)}
    return [
        clip(tmp_path, "a", truth("train", "[[1.0, 2.0]]", "[[1.5, 3.0]]"), **whole),
        clip(tmp_path, "b", truth("train", "[]"), **whole),
        clip(tmp_path, "c", truth("val", "whole"), sound=(0, 100)),
        clip(tmp_path, "d", truth("test", "[]"), face0=(0, 100)),
        clip(tmp_path, "e", {"label": "fake"}, face0=(0, 100)),
        clip(tmp_path, "f", {}, face0=(0, 100)),
    ]


def grid(segment: list[float], fps: float, stride: float, frames: float) -> list[float]:
    """ActionFormer's seconds in rows of features."""
    return [(second * fps - 0.5 * frames) / stride for second in segment]


def test_actionformer_reads_arrays_and_activitynets_annotations(
    tmp_path: Path, rows: list[Any]
) -> None:
    place = write_layout("actionformer", tmp_path, rows)
    database = json.loads((place / "annotations.json").read_text())["database"]
    by_path = {entry["path"][6]: (key, entry) for key, entry in database.items()}
    # a genuine clip cannot train it, and a fake without seconds teaches nothing
    assert {name: entry["subset"] for name, (_, entry) in by_path.items()} == {
        "a": "training", "c": "validation", "d": "test", "f": "test",
    }  # fmt: skip
    key, entry = by_path["a"]
    features = np.load(place / "features" / f"{key}.npy").astype(np.float32)
    assert features.shape == (100, 3 * D)
    assert [a["segment"] for a in entry["annotations"]] == [[1.0, 3.0]]
    assert {(a["label"], a["label_id"]) for a in entry["annotations"]} == {("Fake", 0)}
    assert grid([1.0, 3.0], entry["fps"], 1, 1) == [24.5, 74.5]  # row 25 is the first forged one
    picture, flow, sound = np.split(features, 3, axis=1)
    assert picture[:, 0].tolist() == [*range(80), *[0] * 20]  # the scene, the main face, nothing
    assert (flow[20:80] == picture[20:80] + 1000).all()
    assert sound[:, 0].tolist() == list(range(100))
    assert by_path["c"][1]["annotations"][0]["segment"] == [0.0, 4.0]
    assert by_path["d"][1]["annotations"] == []
    assert len(list((place / "features").iterdir())) == 6


def test_ummaformer_reads_folders_of_splits_and_lavdfs_metadata(
    tmp_path: Path, rows: list[Any]
) -> None:
    place = write_layout("ummaformer", tmp_path, rows)
    entries = json.loads((place / "annotations.json").read_text())
    assert [entry["split"] for entry in entries] == ["train", "train", "dev", "test", "test"]
    for entry in entries:
        key = Path(entry["file"]).stem
        arrays = [
            np.load(place / folder / entry["split"] / f"{key}.npy")
            for folder in ("picture/rgb", "picture/flow", "sound")
        ]
        assert {array.shape for array in arrays} == {(100, D)}
        assert {array.dtype for array in arrays} == {np.dtype(np.float32)}  # the sound is not cast
        assert (entry["fps"], entry["duration"]) == (25, 4.0)
        assert bool(entry["n_fakes"]) == (entry["modify_video"] or entry["modify_audio"])
    assert entries[0]["fake_periods"] == [[1.0, 3.0]]
    assert (entries[2]["modify_video"], entries[2]["modify_audio"]) == (True, False)


def test_arrays_that_are_there_stay_and_names_do_not_collide(
    tmp_path: Path, rows: list[Any]
) -> None:
    rows[1]["path"] = "/elsewhere/a.mp4"
    place = write_layout("actionformer", tmp_path, rows)
    files = sorted((place / "features").iterdir())
    assert len(files) == len(rows)
    files[0].write_bytes(b"mine")
    write_layout("actionformer", tmp_path, rows)
    assert files[0].read_bytes() == b"mine"
