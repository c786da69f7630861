"""Depth: planted surfaces, and a network of the user's own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from extractors.depth import DepthNetwork, mesh_depth
from extractors.errors import InputError
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


def depth_anything_folder(folder: Path) -> Path:
    """Write a small random Depth Anything, as transformers itself writes it."""
    transformers = pytest.importorskip("transformers")
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=4,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


def test_depth_anything_of_a_folder_gives_the_library_s_depth(tmp_path: Path) -> None:
    folder = depth_anything_folder(tmp_path)
    transformers = pytest.importorskip("transformers")
    crops = np.random.default_rng(0).integers(0, 255, (2, 252, 252, 3), dtype=np.uint8)
    found = DepthNetwork(folder)(crops)
    model = transformers.DepthAnythingForDepthEstimation.from_pretrained(folder).eval()
    pictures = crops.astype(np.float32).transpose(0, 3, 1, 2) / 255
    pictures = (pictures - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    with torch.no_grad():
        theirs = model(pixel_values=torch.from_numpy(pictures).float()).predicted_depth.numpy()
    small = np.stack([cv2.resize(one, (56, 56)) for one in theirs])
    middle = np.median(small)
    expected = (small - middle) / (1.4826 * np.median(np.abs(small - middle)) + 1e-6)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_depth_anything_takes_no_pickle(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no safetensors file; \['pytorch_model.bin'\] are not"):
        DepthNetwork(tmp_path)


@pytest.mark.gpu
def test_depth_anything_gives_the_same_depth_on_a_gpu(tmp_path: Path) -> None:
    folder = depth_anything_folder(tmp_path)
    crops = np.random.default_rng(0).integers(0, 255, (3, 112, 112, 3), dtype=np.uint8)
    here, there = (DepthNetwork(folder, device)(crops) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there, here, atol=0.05)


def test_the_extractor_uses_the_networks_that_are_configured(depth_weights: Path) -> None:
    extractor = StreamExtractor(StreamConfig(depth_weights=str(depth_weights)))
    network = extractor.depth_network()
    assert network is not None
    assert network is not extractor.depth_network()  # each face keeps its own scale
