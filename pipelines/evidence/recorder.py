"""The verdict on a file and the evidence for it, gathered in one pass.

`explain` is a detection with a `Recorder` as witness. The recorder's memory is bounded, except for
a few numbers per step.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from extractors.clip import Array
from extractors.media import Clip, MediaInfo
from extractors.streams import Streams
from pipelines.detection.result import Result
from pipelines.detection.timelines import Timeline
from pipelines.evidence.ablation import Contribution, Removals
from pipelines.evidence.findings import Finding, measured
from pipelines.evidence.forgery_map import Locator, locator_of
from pipelines.evidence.measurements import Measurements
from pipelines.evidence.moments import Moment, Moments, moment_maps, share_off_face
from pipelines.evidence.opening import Opening
from pipelines.evidence.preview import Preview
from pipelines.streams.stream_cache import Extract
from temporal.forgery_map import face_cells
from temporal.windows import Windows

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession
    from pipelines.detection.verdict import Verdict
    from pipelines.progress import OnStep

COLUMNS = 2000  # the spectrogram is folded to at most twice as many
FACES = 8  # the most suspicious ones, that are measured


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence for a verdict, for people to look at."""

    contributions: list[Contribution]
    measurements: list[Finding]
    off_face: dict[str, float]  # see `share_off_face`
    moments: list[tuple[Moment, dict[str, Tensor]]]  # and their heat maps, see `moment_maps`
    boxes: dict[int, tuple[int, Array]]  # track -> first step, (T, 4) x, y, side (of width), roll
    aspect: float  # width by height of the picture
    lips: Array  # (T,) opening of the longest face's lips in crop widths; NaN: unknown
    loudness: Array  # (T,) nepers; NaN: unknown
    spectrogram: npt.NDArray[np.float32]  # (80, columns) log-mel power of the whole file
    preview: bytes | None  # MP4
    opening: Extract  # the first seconds, by which the kind of a forgery is told
    tag: str | None = None  # the kind of forgery, of `TAGS`; None: not known

    def numbers(self) -> dict[str, Any]:
        """Return the numbers that a report's sentences use, ready for JSON."""
        return {
            "contributions": self.contributions,
            "measurements": self.measurements,
            "off_face": self.off_face,
            "tag": self.tag,
            "moments": [
                {
                    "modality": moment.modality, "track": moment.track,
                    "time": round(moment.time, 2), "score": round(moment.score, 4),
                    "maps": sorted(maps),
                }
                for moment, maps in self.moments
            ],
        }  # fmt: skip


def explain(
    path: str | PathLike[str], session: DetectorSession, on_step: OnStep | None = None
) -> tuple[Verdict, Evidence]:
    """Return the verdict on a file and the evidence for it.

    Raises:
        MediaError: the file cannot be read.
    """
    recorder = Recorder(session)
    verdict = session.detect(path, on_step, witness=recorder)
    return verdict, recorder.evidence(verdict.to_dict(), on_step)


class Recorder:
    """A witness that keeps what a report shows of a detection."""

    def __init__(self, session: DetectorSession) -> None:
        config = session.config.judge
        self._session = session
        self._removals = Removals(session.detector, session.precision)
        self._moments = Moments(config.min_face, config.min_steps)
        self._measurements = Measurements()
        self._boxes: dict[int, list[tuple[int, Array]]] = {}
        self._opening = Opening()
        self._spectrogram = Folding(COLUMNS)
        self._preview: Preview | None = None
        self._aspect = 1.0

    def begin(self, info: MediaInfo) -> None:
        """Begin the copy of the file."""
        self._preview = Preview(info)
        self._width = 1.0

    def chunk(self, clip: Clip) -> None:
        """Copy and measure a chunk."""
        if clip.frames is not None:
            height, self._width = clip.frames.shape[1:3]
            self._aspect = self._width / height
        if self._preview is not None:
            self._preview.chunk(clip)
        self._measurements.chunk(clip)
        self._opening.chunk(clip)

    def face(self, track: int, first: int, squares: Array, landmarks: Array) -> None:
        """Keep a face's squares in shares of the picture's width, and measure the face."""
        scale = np.array([self._width, self._width, self._width, 1.0], np.float32)
        self._boxes.setdefault(track, []).append((first, (squares / scale).astype(np.float32)))
        self._measurements.face(track, first, squares, landmarks)

    def block(
        self, block: Streams, windows: Windows, tokens: dict[str, Tensor], said: Timeline
    ) -> None:
        """Keep a block's suspicious moments, measure it, and judge it without each evidence."""
        self._removals.block(block, windows, tokens, said)
        self._moments.block(block, said, self._session.detector)
        self._measurements.block(block)
        self._opening.block(block)
        if block.mel is not None and block.track is None:
            columns = (
                block.mel[block.lead : block.steps - block.trail].transpose(1, 2).flatten(0, 1)
            )
            self._spectrogram.add(columns.numpy())

    def other_sound(self, timelines: list[Timeline]) -> None:
        """Pass a further sound track on to the ablation."""
        self._removals.other_sound(timelines)

    def evidence(self, result: Result, on_step: OnStep | None = None) -> Evidence:
        """Return the evidence, once the file is judged.

        `on_step` is called before every heat map, with all steps read, so that it may cancel.
        """
        faces = Counter({t: sum(len(b) for _, b in parts) for t, parts in self._boxes.items()})
        longest = faces.most_common(1)[0][0] if faces else None
        lips, level = self._measurements.curves(longest)
        detector, locator = self._session.detector, locator_of(self._session)
        suspects = sorted(result["faces"], key=lambda face: -face["score"])[:FACES]
        moments = []
        for moment in self._moments.found():
            if on_step is not None:
                on_step(1, 1)
            with torch.inference_mode(False):
                maps = moment_maps(detector, moment, self._session.precision)
            moments.append((moment, maps | forged(locator, moment)))
        return Evidence(
            contributions=self._removals.contributions(result, self._session.config.judge),
            measurements=measured(self._measurements, [face["track"] for face in suspects]),
            off_face=share_off_face(moments),
            moments=moments,
            boxes={
                track: (parts[0][0], np.concatenate([squares for _, squares in parts]))
                for track, parts in self._boxes.items()
            },
            aspect=self._aspect,
            lips=lips,
            loudness=level,
            spectrogram=self._spectrogram.values(),
            preview=None if self._preview is None else self._preview.finish(),
            opening=self._opening.extract(),
        )


def forged(locator: Locator | None, moment: Moment) -> dict[str, Tensor]:
    """Return the forgery map (5, 28, 28), 0 to 1, of a moment's shown pictures as `forged`.

    Empty without a locator or a face; see `Moment.shown`.
    """
    if locator is None or not {"appearance", "depth"} <= set(moment.streams):
        return {}
    crops, depth = (moment.streams[name][moment.shown] for name in ("appearance", "depth"))
    return {"forged": locator(crops, face_cells(depth))}


class Folding:
    """A series of columns of bounded length: when there are too many, neighbours are averaged."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._together = 1  # columns whose mean a kept one is
        self._kept: list[Array] = []
        self._rest: list[Array] = []

    def add(self, columns: Array) -> None:
        """Append columns (N, K)."""
        for column in columns:
            self._rest.append(column)
            if len(self._rest) == self._together:
                self._kept.append(np.mean(self._rest, axis=0, dtype=np.float32))
                self._rest = []
            if len(self._kept) == 2 * self._limit:
                pairs = np.stack(self._kept).reshape(self._limit, 2, -1)
                self._kept = list(pairs.mean(axis=1, dtype=np.float32))
                self._together *= 2

    def values(self) -> Array:
        """Return the columns (K, N); N is below twice the limit."""
        return np.stack(self._kept, axis=1) if self._kept else np.zeros((0, 0), np.float32)
