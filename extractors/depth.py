"""The depth stream of a face: relative depth (T, 1, 56, 56), larger is nearer.

By default the face mesh's depth is rasterised; the config can choose a depth network instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from extractors.clip import Array, Frames
from extractors.crops import face_coordinates
from extractors.encoder_forms import IMAGENET
from extractors.encoder_store import weights_of
from extractors.errors import InputError
from extractors.faces import mesh_triangles

SIDE = 56
SAMPLES = 5  # points along a triangle's edge
NETWORK_SIDE = 256  # pixels, of networks of ONNX
PATCHED_SIDE = 252  # of Depth Anything: 18 patches
BATCH = 16  # pictures that Depth Anything takes at once: bounds memory
OFF_FACE = -10.0  # farther than any face


def mesh_depth(landmarks: Array, squares: Array) -> Array:
    """Return the mesh's depth (T, 56, 56) in crop widths before the face's mean; 0 off the face.

    Every triangle is sampled densely and each pixel keeps its nearest sample (a z-buffer). The
    unit is the crop itself, the same for the whole clip: a frame's own range would erase flicker.
    """
    corners = face_coordinates(landmarks[:, : triangles().max() + 1], squares)
    points = np.einsum("kc,tjcd->tjkd", barycentric(), corners[:, triangles()])
    points = points.reshape(len(corners), -1, 3)  # (T, triangles * samples, 3)
    near = points[..., 2].mean(axis=1, keepdims=True) - points[..., 2]
    pixel = np.floor((points[..., :2] + 0.5) * SIDE).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < SIDE)).all(axis=-1)
    maps = np.full((len(corners), SIDE * SIDE), OFF_FACE, np.float32)
    for t, flat in enumerate(pixel[..., 1] * SIDE + pixel[..., 0]):
        np.maximum.at(maps[t], flat[inside[t]], near[t, inside[t]])
    # closing fills the single pixels that fall between the samples of a large triangle
    closed = [
        cv2.morphologyEx(m.reshape(SIDE, SIDE), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        for m in maps
    ]
    result: Array = np.where(np.stack(closed) == OFF_FACE, 0, np.stack(closed))
    return result


@cache
def triangles() -> np.ndarray:  # type: ignore[type-arg]
    """Return the mesh's triangles (854, 3)."""
    return mesh_triangles()


@cache
def barycentric() -> Array:
    """Return the sample points (K, 3) of a triangle in barycentric coordinates."""
    grid = [(i, j, SAMPLES - 1 - i - j) for i in range(SAMPLES) for j in range(SAMPLES - i)]
    return np.array(grid, np.float32) / (SAMPLES - 1)


InverseDepth = Callable[[Frames], Array]  # crops (T, H, W, 3) -> (T, h, w), larger is nearer


class DepthNetwork:
    """Monocular depth of one face by a network."""

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        """Load the network: Depth Anything of a folder or a safetensors file, else one of ONNX.

        Raises:
            ValueError: the file is no ONNX network that OpenCV can read.
            InputError: the folder has no such network.
        """
        named = weights.is_dir() or weights.suffix == ".safetensors"
        self._inverse = depth_anything(weights, device) if named else onnx_depth(weights)
        self._median: float | None = None
        self._spread = 1.0

    def __call__(self, crops: Frames) -> Array:
        """Return depth (T, 56, 56) of crops (T, H, W, 3), in robust deviations from the median.

        Median and deviation come from the first call and hold for the whole clip: a frame's own
        would erase flicker.
        """
        maps = [cv2.resize(one, (SIDE, SIDE)) for one in self._inverse(crops)]
        depth = np.stack(maps).astype(np.float32)
        if self._median is None:
            self._median = float(np.median(depth))
            self._spread = 1.4826 * float(np.median(np.abs(depth - self._median))) + 1e-6
        result: Array = (depth - self._median) / self._spread
        return result


def onnx_depth(weights: Path) -> InverseDepth:
    """Return a network of ONNX (MiDaS and its kin) that OpenCV runs.

    It takes one RGB image (1, 3, 256, 256) in [0, 1] and returns inverse depth.

    Raises:
        ValueError: the file is no ONNX network that OpenCV can read.
    """
    try:
        network = cv2.dnn.readNetFromONNX(str(weights))
    except cv2.error as error:
        raise ValueError(f"{weights}: no ONNX depth network: {error.err}") from error

    def inverse(crops: Frames) -> Array:
        maps = []
        for crop in crops:
            network.setInput(cv2.dnn.blobFromImage(crop, 1 / 255, (NETWORK_SIDE, NETWORK_SIDE)))
            maps.append(network.forward().squeeze())
        return np.stack(maps)

    return inverse


@cache
def depth_anything(path: Path, device: str) -> InverseDepth:
    """Return a Depth Anything (Yang et al. 2024) of transformers, which runs it.

    path: the folder with `config.json`, or its safetensors file.

    Raises:
        InputError: there are no such weights, they are of something else or of metric depth, or
            transformers is not installed.
    """
    folder = weights_of(path)[0].parent
    try:
        from transformers import DepthAnythingForDepthEstimation
    except ImportError as error:
        raise InputError(f"{path}: needs transformers, the extra `depth` of avdetect") from error
    try:
        network = DepthAnythingForDepthEstimation.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: no Depth Anything of transformers: {error}") from error
    if network.config.depth_estimation_type != "relative":
        raise InputError(f"{path}: gives metric depth, and relative depth is wanted")
    network = network.to(device).eval()
    mean, spread = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "std"))

    @torch.inference_mode()
    def inverse(crops: Frames) -> Array:
        maps = []
        for some in torch.split(torch.from_numpy(crops).permute(0, 3, 1, 2), BATCH):
            pictures = functional.interpolate(some.float() / 255, (PATCHED_SIDE, PATCHED_SIDE),
                                              mode="bilinear", antialias=True)  # fmt: skip
            seen = ((pictures - mean) / spread).to(device)
            maps.append(network(pixel_values=seen).predicted_depth.float().cpu())
        found: Array = torch.cat(maps).numpy()
        return found

    return inverse
