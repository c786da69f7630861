"""Tensors written piece by piece are those of any safetensors file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from extractors.tensor_file import KINDS, TensorWriter


def test_pieces_of_every_type_come_together_in_one_file(tmp_path: Path) -> None:
    whole = {
        str(dtype): torch.randn(7, 3).mul(20).to(dtype) for dtype in KINDS if dtype != torch.bool
    } | {"flags": torch.rand(5) > 0.5, "nothing": torch.zeros(0, 2)}
    with TensorWriter(tmp_path) as writer:
        for first, last in ((0, 2), (2, 3), (3, 7)):  # pieces of all tensors alternate
            for name, tensor in whole.items():
                writer.add(name, tensor[first:last])
        writer.write(tmp_path / "a.safetensors", {"what": "a test"})
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == whole.keys()
    for name, tensor in whole.items():
        assert torch.equal(found[name], tensor)
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata() == {"what": "a test"}


def test_a_file_may_hold_facts_alone(tmp_path: Path) -> None:
    with TensorWriter(tmp_path) as writer:
        writer.write(tmp_path / "a.safetensors", {"what": "nothing"})
    assert load_file(tmp_path / "a.safetensors") == {}


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with TensorWriter(tmp_path) as writer:
        writer.add("a", torch.zeros(2, 3))
        with pytest.raises(ValueError, match="a: rows of"):
            writer.add("a", torch.zeros(2, 4))
