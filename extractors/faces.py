"""Face tracks from frames: MediaPipe's mesh, followed over time.

The only module that imports mediapipe. A track's landmarks are in pixels of the frame in which
they were detected; `extractors/crops.py` cuts the faces out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.clip import Array, Frames
from extractors.face_count import SAME, count_faces, parts, shared
from extractors.sighting import Sighting

LANDMARKS = 478
CROWD = 3  # faces in a frame from which on all are counted now and then
MESHED = 4  # faces that the mesh of a whole frame can be trusted to find


@dataclass(frozen=True)
class FaceConfig:
    """What counts as a face, and how steadily it is followed."""

    max_faces: int = 4  # faces judged in a frame
    min_confidence: float = 0.5  # of MediaPipe's detection and presence, 0 to 1
    max_gap: int = 12  # steps without detection that a track bridges
    smoothing: float = 2.0  # standard deviation of the crop's motion filter, in steps
    min_overlap: float = 0.2  # box IoU below which two detections are not one face
    min_likeness: float = 0.4  # correlation of the skin's brightness at the landmarks
    margin: float = 1.3  # crop side in face sizes
    min_steps: int = 5  # shorter tracks are dropped as false detections

    count_every: int = 25  # steps from one count of the faces to the next, where there are many

    @property
    def radius(self) -> int:
        """Steps that the motion filter looks to either side."""
        return int(np.ceil(3 * self.smoothing))

    @property
    def lookahead(self) -> int:
        """Steps after which a face's crop can no longer change."""
        return self.max_gap + self.radius


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face from its first to its last step, gaps bridged."""

    track: int  # identity, in order of appearance
    start: int  # step of the first landmarks
    landmarks: Array  # (T, 478, 3): x, y in pixels of the frame, z in the same unit, near < far


class FaceTracker:
    """A tracker of faces: the face mesh of every frame, in order, joined into identities.

    Holds MediaPipe's graph; call `reset` before another video.
    """

    def __init__(self, config: FaceConfig | None = None) -> None:
        self.config = config or FaceConfig()
        self._mesh = _face_mesh(self.config)
        self._finder: FaceFinder | None = None  # made at the first frame that is full of faces
        self._corners: list[Any] = []  # meshes of a frame's corners, likewise
        self.sightings: list[Sighting] = []
        # Step -> faces in the frame, counted now and then while there are several.
        self.counted: dict[int, int] = {}
        self._tracks = 0

    def close(self) -> None:
        """Free MediaPipe's memory, which is not freed with the object."""
        for part in (self._mesh, self._finder, *self._corners):
            if part is not None:
                part.close()

    def reset(self) -> None:
        """Forget all faces before another video."""
        for mesh in (self._mesh, *self._corners):
            mesh.reset()
        self.sightings = []
        self.counted = {}
        self._tracks = 0

    def push(self, frames: Frames, start: int) -> None:
        """Detect and track faces in frames (T, H, W, 3), which follow those of the last call."""
        for offset, frame in enumerate(frames):
            self._assign(frame, start + offset)

    def _assign(self, frame: Frames, step: int) -> None:
        faces = self._detect(frame, step)
        brightness = [_brightness(frame, face) for face in faces]
        active = [s for s in self.sightings if step - s.last <= self.config.max_gap + 1]
        pairs = [
            (likeness, i, j)
            for i, sighting in enumerate(active)
            for j, face in enumerate(faces)
            if (likeness := self._likeness(sighting, face, brightness[j])) is not None
        ]
        taken: set[int] = set()
        matched: set[int] = set()
        for _, i, j in sorted(pairs, reverse=True):  # the most alike first
            if i not in taken and j not in matched:
                active[i].add(step, faces[j], brightness[j], self.config.max_gap)
                taken.add(i)
                matched.add(j)
        for j, face in enumerate(faces):
            if j not in matched:
                sighting = Sighting(self._tracks)
                sighting.add(step, face, brightness[j], self.config.max_gap)
                self.sightings.append(sighting)
                self._tracks += 1

    def _likeness(self, sighting: Sighting, face: Array, brightness: Array) -> float | None:
        """Return a face's similarity to a sighting (IoU plus correlation); None: no match."""
        overlap = _overlap(sighting.found[sighting.last], face)
        likeness = float(np.mean(sighting.brightness * brightness))  # both standardised
        if overlap < self.config.min_overlap or likeness < self.config.min_likeness:
            return None
        return overlap + likeness

    def _detect(self, frame: Frames, step: int) -> list[Array]:
        """Return the landmarks (478, 3) of each face; in a crowd also those of the corners."""
        most = self.config.max_faces
        faces = _without_twins(_meshed(self._mesh, frame))
        if step % self.config.count_every == 0 and (
            len(faces) >= min(most, CROWD) or most > MESHED
        ):
            self._finder = self._finder or FaceFinder(self.config)
            self.counted[step] = count_faces(frame, self._finder)
        seen = next(reversed(self.counted.values()), 0)
        if len(faces) < min(seen, most) and most > MESHED:
            self._corners = self._corners or [_face_mesh(self.config) for _ in range(4)]
            for mesh, (x, y, corner) in zip(self._corners, list(parts(frame))[1:], strict=True):
                moved = [face + np.array([x, y, 0], np.float32) for face in _meshed(mesh, corner)]
                faces += [f for f in moved if all(_within(f, other) < SAME for other in faces)]
        return faces[:most]


class FaceFinder:
    """MediaPipe's face detector, which finds any number of faces in single frames."""

    def __init__(self, config: FaceConfig | None = None) -> None:
        _silence()
        from mediapipe.python.solutions.face_detection import FaceDetection

        confidence = (config or FaceConfig()).min_confidence
        self._detection = FaceDetection(model_selection=1, min_detection_confidence=confidence)

    def __call__(self, picture: Frames) -> Array:
        """Return the boxes (K, 4) of the faces in a picture: left, top, right, bottom, pixels."""
        height, width = picture.shape[:2]
        found = self._detection.process(picture).detections or []
        boxes = [d.location_data.relative_bounding_box for d in found]
        corners = [(b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in boxes]
        return np.array(corners, np.float32).reshape(-1, 4) * np.array(
            [width, height] * 2, np.float32
        )

    def close(self) -> None:
        """Free MediaPipe's memory, which is not freed with the object."""
        self._detection.close()


def track_faces(frames: Frames, config: FaceConfig | None = None) -> list[FaceTrack]:
    """Return the face tracks of a whole short clip, frames (T, H, W, 3) uint8 RGB."""
    tracker = FaceTracker(config)
    tracker.push(frames, 0)
    tracker.close()
    return [
        FaceTrack(s.track, s.first, s.between(s.first, s.last + 1))
        for s in tracker.sightings
        if s.early >= tracker.config.min_steps
    ]


def mesh_triangles() -> npt.NDArray[np.int64]:
    """Return the face mesh's triangles (854, 3): the 3-cliques of MediaPipe's edge list."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    cliques = {
        tuple(sorted((a, b, c)))
        for a, b in FACEMESH_TESSELATION
        for c in neighbours[a] & neighbours[b]
    }
    return np.array(sorted(cliques), np.int64)


def _silence() -> None:
    """Keep MediaPipe's C++ side from logging to standard error, which belongs to the caller."""
    os.environ.setdefault("GLOG_minloglevel", "3")


def _face_mesh(config: FaceConfig):  # type: ignore[no-untyped-def]
    _silence()
    from mediapipe.python.solutions.face_mesh import FaceMesh

    return FaceMesh(
        static_image_mode=False,
        max_num_faces=config.max_faces,
        refine_landmarks=True,
        min_detection_confidence=config.min_confidence,
        min_tracking_confidence=config.min_confidence,
    )


def _meshed(mesh: Any, picture: Frames) -> list[Array]:
    """Return the landmarks (478, 3) of each face that a mesh finds in a picture, in its pixels."""
    height, width = picture.shape[:2]
    scale = np.array([width, height, width], np.float32)
    found = mesh.process(picture).multi_face_landmarks or []
    return [
        np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * scale for face in found
    ]


def _within(face: Array, other: Array) -> float:
    """Return the share of the smaller of two faces' boxes that lies in the other."""
    return shared(np.concatenate(_box(face)), np.concatenate(_box(other)))


def _brightness(frame: Frames, face: Array) -> Array:
    """Return the standardised green values (478,) at the landmarks, by which faces are matched."""
    height, width = frame.shape[:2]
    x = face[:, 0].astype(np.int64).clip(0, width - 1)
    y = face[:, 1].astype(np.int64).clip(0, height - 1)
    values = frame[y, x, 1].astype(np.float32)
    result: Array = (values - values.mean()) / (values.std() + 1e-3)
    return result


def _box(face: Array) -> tuple[Array, Array]:
    return face[:, :2].min(axis=0), face[:, :2].max(axis=0)


def _overlap(a: Array, b: Array) -> float:
    """Return the IoU of two faces' boxes."""
    (a0, a1), (b0, b1) = _box(a), _box(b)
    inter = float(np.prod(np.maximum(np.minimum(a1, b1) - np.maximum(a0, b0), 0)))
    union = float(np.prod(a1 - a0) + np.prod(b1 - b0)) - inter
    return inter / union if union > 0 else 0.0


def _without_twins(faces: list[Array]) -> list[Array]:
    """Return the faces without duplicates: MediaPipe may detect the same face twice."""
    kept: list[Array] = []
    for face in faces:
        if all(_overlap(face, other) < 0.5 for other in kept):
            kept.append(face)
    return kept
