"""The streams of one face, made from frames and landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from extractors.appearance import face_crops
from extractors.clip import Array, Frames
from extractors.depth import DepthNetwork, mesh_depth
from extractors.faces import FaceConfig
from extractors.flow import FlowExtractor
from extractors.lips import lip_landmarks, mouth_crops, mouth_squares
from extractors.measures import FaceMeasures
from extractors.portrait import PortraitExtractor


def face_streams(
    frames: Sequence[Frames],
    around: Array,
    squares: Array,
    faces: FaceConfig,
    flow: FlowExtractor,
    measures: FaceMeasures,
    depth: DepthNetwork | None,
    mel: Tensor | None,
    portrait: PortraitExtractor | None = None,
    first: int = 0,
) -> dict[str, Tensor]:
    """Return the streams and measures (T, ...) of one face, by name.

    Args:
        frames: T frames (H, W, 3).
        around: landmarks (T + 2 * radius, 478, 3), with the motion filter's radius at both ends.
        squares: of the face crops (T, 4), see `crop_squares`.
        faces: the config of the face tracker.
        flow: of this face; it keeps the last crop between calls.
        measures: of this face; they keep the last crop too.
        depth: a depth network; None: the depth of the face mesh.
        mel: log-mel power (T, 80, 4) of the same steps; None: no sound.
        portrait: of this face; None: there is no picture encoder.
        first: step of the file at which the frames begin.
    """
    landmarks = around[faces.radius : len(around) - faces.radius]
    crops = face_crops(frames, squares)
    lips = mouth_squares(around, squares, faces)
    mouths = mouth_crops(frames, lips)
    relief = depth(crops) if depth else mesh_depth(landmarks, squares)
    streams = {
        "appearance": torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous(),
        "landmarks": torch.from_numpy(lip_landmarks(landmarks, squares)),
        "mouth": torch.from_numpy(mouths)[:, None],
        "flow": torch.from_numpy(flow(crops)).half(),
        "depth": torch.from_numpy(relief)[:, None].half(),
        **measures(frames, crops, squares, landmarks, first),
    }
    if portrait is not None:
        size = squares[:, 2:3] / faces.margin
        face, mouth = (np.hstack([s[:, :2], size, s[:, 3:]]) for s in (squares, lips))
        streams["portrait"] = portrait(frames, face, mouth, first)
    return streams if mel is None else streams | {"mel": mel}


def yaw_of(landmarks: Array) -> Array:
    """Return the absolute yaw (T,) in degrees of faces (T, 478, 3), by the eyes' depth."""
    line = landmarks[:, 263] - landmarks[:, 33]
    yaw: Array = np.degrees(np.abs(np.arctan2(line[:, 2], np.hypot(line[:, 0], line[:, 1]))))
    return yaw
