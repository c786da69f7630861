"""Depth: planted surfaces, and a network of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from extractors.depth import DepthNetwork, mesh_depth
from extractors.faces import mesh_triangles
from extractors.stream_extractor import StreamExtractor
from extractors.streams import StreamConfig


def test_depth_shows_the_nearer_of_two_surfaces() -> None:
    triangle = mesh_triangles()[0]
    landmarks = np.zeros((1, 478, 3), np.float32)
    landmarks[..., 2] = 50.0  # everything else is a point far away
    landmarks[0, triangle] = [(-6, -6, -20), (6, -6, -20), (0, 6, -20)]
    square = np.array([[0, 0, 112, 0]], np.float32)
    depth = mesh_depth(landmarks, square)[0]
    assert depth[27, 28] > 0  # inside the near triangle
    assert depth[2, 2] == 0  # off the face


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


def test_the_extractor_uses_the_networks_that_are_configured(depth_weights: Path) -> None:
    extractor = StreamExtractor(StreamConfig(depth_weights=str(depth_weights)))
    network = extractor.depth_network()
    assert network is not None
    assert network is not extractor.depth_network()  # each face keeps its own scale
