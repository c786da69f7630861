"""Flow and depth by networks of the user's own, given by a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_small

from extractors.depth import DepthNetwork
from extractors.flow import FlowExtractor, raft_flow
from extractors.stream_extractor import StreamExtractor
from extractors.streams import StreamConfig


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def message(*fields: tuple[int, bytes | int | str]) -> bytes:
    """Return a protobuf message of (field number, value)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(content)) + content
    return out


def grey_network() -> bytes:
    """Return an ONNX network (1, 3, 256, 256) -> (1, 256, 256): the mean of the colours."""

    def tensor(name: str, shape: tuple[int, ...]) -> bytes:
        dims = message(*[(1, message((1, size))) for size in shape])
        return message((1, name), (2, message((1, message((1, 1), (2, dims))))))

    axes = message((1, "axes"), (8, 1), (20, 7))  # ints [1]
    keep = message((1, "keepdims"), (3, 0), (20, 2))
    node = message((1, "in"), (2, "out"), (4, "ReduceMean"), (5, axes), (5, keep))
    graph = message(
        (1, node), (2, "g"), (11, tensor("in", (1, 3, 256, 256))),
        (12, tensor("out", (1, 256, 256))),
    )  # fmt: skip
    return message((1, 8), (7, graph), (8, message((1, ""), (2, 11))))


@pytest.fixture
def depth_weights(tmp_path: Path) -> Path:
    path = tmp_path / "depth.onnx"
    path.write_bytes(grey_network())
    return path


def test_a_depth_network_says_what_is_nearer(depth_weights: Path) -> None:
    crops = np.zeros((3, 112, 112, 3), np.uint8)
    crops[:, :, 56:] = 200  # this network takes light for near
    crops[2, :, 56:] = 250
    depth = DepthNetwork(depth_weights)(crops)
    assert depth.shape == (3, 56, 56)
    assert (depth[:, :, 30:] > depth[:, :, :26]).all()
    assert depth[2].max() > depth[0].max()  # one unit for the clip: a change of depth shows


def test_a_file_that_is_no_depth_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "depth.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"depth\.onnx: no ONNX depth network"):
        DepthNetwork(path)


def test_raft_gives_flow_in_the_streams_shape_and_unit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "raft.safetensors"
    save_file(raft_small(weights=None).state_dict(), path)
    crops = np.random.default_rng(0).integers(0, 255, (2, 112, 112, 3), dtype=np.uint8)
    pair_flow = raft_flow(path, "cpu")
    flow = FlowExtractor(pair_flow)(crops)
    assert flow.shape == (2, 2, 56, 56)
    assert np.abs(flow[0]).max() == pytest.approx(
        np.abs(pair_flow(crops[0], crops[0])).max() * 25 / 112, rel=0.5
    )
    assert np.isfinite(flow).all()


def test_a_file_that_is_no_raft_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raft.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"raft\.safetensors: not the weights"):
        raft_flow(path, "cpu")


def test_the_extractor_uses_the_networks_that_are_configured(depth_weights: Path) -> None:
    extractor = StreamExtractor(StreamConfig(depth_weights=str(depth_weights)))
    network = extractor.depth_network()
    assert network is not None
    assert network is not extractor.depth_network()  # each face keeps its own scale
