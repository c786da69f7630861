"""The input and output of a forgery: a genuine scene, its donors, and the forged clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from extractors.clip import Array, Frames
from extractors.faces import FaceTrack
from extractors.media import Clip
from pipelines.forge.picture.geometry import OVAL
from pipelines.forge.segments import Segments, Span, merge, speaking

MIN_SPEECH = 0.2  # share of a segment's steps; in silence lips cannot be out of sync


@dataclass(frozen=True, eq=False)
class Donor:
    """Another person's clip, the source of a face or a voice; T landmarks for T frames."""

    frames: Frames | None  # (T, H, W, 3)
    landmarks: Array | None  # (T, 478, 3)
    waveform: Array | None  # (T * 640,)


@dataclass(frozen=True, eq=False)
class Scene:
    """A genuine clip with its face and its donors."""

    frames: Frames | None  # (T, H, W, 3)
    waveform: Array | None  # (S,)
    landmarks: Array | None  # (T', 478, 3) of the steps `seen`
    seen: Span  # the steps with the face
    steps: int
    donors: tuple[Donor, ...]

    def picture(self) -> Frames:
        """Return the frames (T, H, W, 3)."""
        if self.frames is None:
            raise ValueError("expected a clip with a picture, got one without")
        return self.frames

    def face(self) -> tuple[Frames, Array]:
        """Return the frames (T', H, W, 3) that show the face, and its landmarks."""
        if self.landmarks is None:
            raise ValueError("expected a clip with a face, got one without")
        return self.picture()[self.seen[0] : self.seen[1]], self.landmarks

    def sound(self) -> Array:
        """Return the waveform (S,)."""
        if self.waveform is None:
            raise ValueError("expected a clip with sound, got one without")
        return self.waveform

    def speaks(self, span: Span) -> bool:
        """Return whether at least MIN_SPEECH of a span of steps is speech."""
        if self.waveform is None or span[1] <= span[0]:
            return False
        active = speaking(self.waveform, self.steps)
        return bool(active[span[0] : span[1]].mean() >= MIN_SPEECH)

    def donor_face(self, rng: np.random.Generator) -> tuple[Frames, Array]:
        """Return a donor's frames and landmarks, mostly those whose head pose is most similar."""
        _, own = self.face()
        faces = [(d.frames, d.landmarks) for d in self.donors]
        candidates = [(f, p) for f, p in faces if f is not None and p is not None]
        if not candidates:
            raise ValueError("expected a donor with a face, got none")
        if rng.random() < 0.2:
            return candidates[int(rng.integers(len(candidates)))]
        return min(candidates, key=lambda pair: float(np.abs(_turn(own) - _turn(pair[1])).sum()))

    def donor_voice(self, rng: np.random.Generator) -> Array:
        """Return a donor's waveform."""
        candidates = [d.waveform for d in self.donors if d.waveform is not None]
        if not candidates:
            raise ValueError("expected a donor with sound, got none")
        return candidates[int(rng.integers(len(candidates)))]


def make_scene(clip: Clip, track: FaceTrack | None, donors: Sequence[Donor]) -> Scene:
    """Return the scene of a clip, its face track (None: no face) and other people's clips."""
    landmarks, seen = None, (0, 0)
    if track is not None and clip.frames is not None:
        first = max(track.start, 0)
        last = min(track.start + len(track.landmarks), clip.steps)
        if last > first:
            landmarks, seen = (
                track.landmarks[first - track.start : last - track.start],
                (first, last),
            )
    return Scene(clip.frames, clip.waveform, landmarks, seen, clip.steps, tuple(donors))


def _turn(landmarks: Array) -> Array:
    """Return a head's mean pose: the nose's position in the face oval (2,)."""
    oval = landmarks[:, list(OVAL), :2]
    size = oval.std(axis=(1, 2))[:, None] + 1e-6
    turn: Array = ((landmarks[:, 4, :2] - oval.mean(axis=1)) / size).mean(axis=0)
    return turn


@dataclass(frozen=True, eq=False)
class Forged:
    """A clip and its forged seconds in picture, sound, and their synchronisation."""

    method: str
    frames: Frames | None  # (T, H, W, 3)
    waveform: Array | None  # (T * 640,)
    visual: Segments
    audio: Segments
    sync: Segments

    @property
    def periods(self) -> Segments:
        """The union of all forged segments."""
        return merge(self.visual, self.audio, self.sync)
