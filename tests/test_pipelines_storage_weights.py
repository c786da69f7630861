"""Files of weights: whole, of a known format, and as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from extractors.errors import AvdetectError
from pipelines.storage.weights import WeightsError, load_weights, save_weights

STATE = {
    "scale": torch.tensor(3.0), "rows": torch.arange(6).reshape(2, 3).T,
    "half": torch.ones(4, dtype=torch.bfloat16), "bytes": torch.tensor([-1, 5], dtype=torch.int8),
    "none": torch.zeros(0, 3),
}  # fmt: skip


def test_tensors_of_any_type_come_back_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, "avdetect thing 1", {"clips": "7"})
    state, metadata = load_weights(path, "avdetect thing 1")
    assert state.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert state[name].dtype == tensor.dtype
        assert torch.equal(state[name], tensor)
    assert metadata["clips"] == "7"
    assert list(tmp_path.iterdir()) == [path]


def test_a_changed_tensor_is_found_by_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, "avdetect thing 1", {})
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(path) | {"scale": torch.tensor(4.0)}, path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"w\.safetensors: its tensors are not those"):
        load_weights(path, "avdetect thing 1")


def test_a_file_of_older_programs_has_no_digest_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    save_file({"x": torch.ones(2)}, path, metadata={"format": "avdetect thing 1"})
    assert load_weights(path, "avdetect thing 1")[0]["x"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no weights at"),
        (b"hello", "not a safetensors file"),
        (b"", "not a safetensors file"),
    ],
)
def test_what_is_no_file_of_weights_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AvdetectError, match=message) as caught:
        load_weights(path, "avdetect thing 1")
    assert str(path) in str(caught.value)


def test_another_format_is_named_with_the_one_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, "avdetect thing 1", {})
    with pytest.raises(WeightsError, match="'avdetect thing 1', not 'avdetect thing 2'"):
        load_weights(path, "avdetect thing 2")


def test_a_folder_that_is_not_there_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be written"):
        save_weights(tmp_path / "none" / "w.safetensors", STATE, "avdetect thing 1", {})
    assert not list(tmp_path.iterdir())
