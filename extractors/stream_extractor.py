"""Extraction of a file's streams from its chunks, block by block.

`StreamExtractor` tracks the faces, turns their crops into streams, and drops the full frames. Long
files give blocks that overlap by a fixed context, so that memory stays bounded. A chunk's crops are
cut in another thread while the faces of the next chunk are detected.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from extractors.added_streams import AddedStreams
from extractors.appearance import scene_crops
from extractors.clip import Array, Frames
from extractors.crops import crop_squares
from extractors.depth import DepthNetwork
from extractors.encoder_file import load_encoder
from extractors.face_streams import face_streams, yaw_of
from extractors.faces import FaceConfig, FaceTracker
from extractors.flow import FlowExtractor, PairFlow, configured_flow
from extractors.media import Clip
from extractors.portrait import Feature, PortraitEncoder, PortraitExtractor
from extractors.precision import precision_of
from extractors.sighting import Sighting
from extractors.sound_streams import SoundExtractor
from extractors.stream_source import StreamSource
from extractors.streams import StreamConfig, Streams

ALL = range(sys.maxsize)
# Called with the steps of a face when they are cropped: its track, the first step, the squares
# (T, 4) and the landmarks (T, 478, 3) in pixels of the frame.
OnFace = Callable[[int, int, Array, Array], None]


class StreamExtractor:
    """Streams of a file from its chunks. Holds the face mesh; one file at a time."""

    def __init__(self, config: StreamConfig | None = None, faces: FaceConfig | None = None) -> None:
        self.config = config or StreamConfig()
        self.faces = faces or FaceConfig()
        self._tracker: FaceTracker | None = None  # made at the first frame: sound needs none
        self._pair_flow: PairFlow | None = None
        self._portrait: PortraitEncoder | None = None
        self.added = AddedStreams(self.config)

    def __call__(
        self, chunks: Iterable[Clip], span: range = ALL, on_face: OnFace | None = None
    ) -> Iterator[Streams]:
        """Yield blocks of streams: each face's, those of scenes without a face, and the sound's.

        span: the steps to decide; chunks may have more on either side, which are then the lead of
        the first blocks and the trail of the last ones.
        on_face: called with every face as it is cropped.
        """
        cv2.setNumThreads(1)  # DIS is six times slower with OpenCV's own threads
        with ThreadPoolExecutor(1) as pool:
            file: _File | None = None
            for clip in chunks:
                file = file or _File(self, pool, span, clip.start, on_face)
                yield from file.push(clip)
            if file is not None:
                yield from file.finish()

    def fresh_tracker(self) -> FaceTracker:
        """Return the tracker, without the faces of the file before."""
        if self._tracker is None:
            self._tracker = FaceTracker(self.faces)
        self._tracker.reset()
        return self._tracker

    def pair_flow(self) -> PairFlow:
        """Return the configured optical flow, loaded once."""
        if self._pair_flow is None:
            self._pair_flow = configured_flow(self.config.flow_weights, self.config.device)
        return self._pair_flow

    def portrait_encoder(self) -> PortraitEncoder | None:
        """Return the configured picture encoder, loaded once; None: there is none."""
        config = self.config
        if self._portrait is None and config.encoder and config.portrait:
            device = torch.device(config.device)
            blocks = max(Feature.named(name).block for name in config.portrait)
            encoder = load_encoder(Path(config.encoder), blocks, config.portrait_image or None)
            encoder = encoder.in_precision(precision_of(config.precision, device)).to(device)
            self._portrait = PortraitEncoder(encoder, config.portrait, config.portrait_every)
        return self._portrait

    def depth_network(self) -> DepthNetwork | None:
        """Return a depth network for one source; None: the face mesh gives the depth."""
        weights = self.config.depth_weights
        return DepthNetwork(Path(weights), self.config.device) if weights else None


class _File:
    """The state of the extraction of one file.

    Frames wait until no later detection can change their crops (`FaceConfig.lookahead`), so that
    the streams do not depend on where the chunks were cut.
    """

    def __init__(
        self,
        extractor: StreamExtractor,
        pool: ThreadPoolExecutor,
        span: range,
        start: int,
        on_face: OnFace | None,
    ) -> None:
        self.extractor, self.pool, self.span = extractor, pool, span
        self.on_face = on_face
        self.pending: list[Future[dict[str, Tensor]]] = []  # crops that are still being cut
        self.config, self.faces = extractor.config, extractor.faces
        self.waiting: list[Frames] = []  # single frames, from step self.done on
        self.hear = SoundExtractor(samples=extractor.added.hears)
        self.waiting_sound: dict[str, Tensor] = {}  # (T, ...) from step self.done on
        self.done = start
        self.tracks: dict[int, StreamSource] = {}
        self.sound: StreamSource | None = None
        self.scene: StreamSource | None = None

    @cached_property
    def tracker(self) -> FaceTracker:
        return self.extractor.fresh_tracker()

    def push(self, clip: Clip) -> Iterator[Streams]:
        arrived = clip.start + clip.steps
        if clip.waveform is not None:
            heard, kept = self.hear(clip.waveform), self.waiting_sound
            self.waiting_sound = {
                n: torch.cat([kept[n], s]) if kept else s for n, s in heard.items()
            }
        if clip.frames is None:
            yield from self._advance(arrived, arrived)
            return
        self.tracker.push(clip.frames, clip.start)
        for piece in self.pending:  # no more than a chunk waits for its crops
            piece.result()
        self.pending.clear()
        self.waiting.extend(clip.frames)
        yield from self._advance(arrived - self.faces.lookahead, arrived)
        # copied out of their chunk, whose memory the next one needs
        new = max(0, len(self.waiting) - clip.steps)
        self.waiting[new:] = [frame.copy() for frame in self.waiting[new:]]

    def finish(self) -> Iterator[Streams]:
        """Yield the blocks that remain after the last chunk."""
        steps = max(len(self.waiting), *(len(sound) for sound in self.waiting_sound.values()), 0)
        yield from self._advance(self.done + steps, self.done + steps)
        for source in (*self.tracks.values(), self.scene, self.sound):
            if source is not None:
                yield from source.last_block()

    def _advance(self, stop: int, arrived: int) -> Iterator[Streams]:
        """Turn the steps [done, stop) into streams; the tracker has seen those to `arrived`."""
        count = stop - self.done
        if count <= 0:
            return
        frames, self.waiting = self.waiting[:count], self.waiting[count:]
        heard = {name: stream[:count] for name, stream in self.waiting_sound.items()}
        self.waiting_sound = {name: stream[count:] for name, stream in self.waiting_sound.items()}
        if heard:
            yield from self._sound(heard)
        if frames:
            yield from self._pictures(frames, heard.get("mel"))
        self.done = stop

    def _sound(self, heard: dict[str, Tensor]) -> Iterator[Streams]:
        if self.sound is None:
            self.sound = self._source(None, self.done)
        self.sound.add(len(heard["mel"]), self.pool.submit(dict, heard))
        yield from self.sound.blocks(self.config)

    def _pictures(self, frames: list[Frames], mel: Tensor | None) -> Iterator[Streams]:
        faceless = np.ones(len(frames), bool)
        for sighting in list(self.tracker.sightings):
            first = max(sighting.first, self.done)
            last = min(sighting.last + 1, self.done + len(frames))
            if first < last and self._is_face(sighting):
                faceless[first - self.done : last - self.done] = False
                yield from self._face(sighting, frames, mel, first, last)
            sighting.forget(last - self.faces.radius - 1)
            if sighting.last < self.done - self.faces.lookahead:
                self.tracker.sightings.remove(sighting)
                source = self.tracks.pop(sighting.track, None)
                if source is not None:
                    yield from source.last_block()
        if self.config.scenes:
            yield from self._scenes(frames, faceless)

    def _is_face(self, sighting: Sighting) -> bool:
        return sighting.track in self.tracks or sighting.early >= self.faces.min_steps

    def _face(
        self, sighting: Sighting, frames: list[Frames], mel: Tensor | None, first: int, last: int
    ) -> Iterator[Streams]:
        source = self.tracks.get(sighting.track)
        if source is None:
            source = self._source(sighting.track, first)
            self.tracks[sighting.track] = source
        part = slice(first - self.done, last - self.done)
        radius = self.faces.radius
        around = sighting.between(first - radius, last + radius)
        squares = crop_squares(around, self.faces)
        source.places.extend((squares[:, :3] / (1, 1, self.faces.margin)).tolist())
        landmarks = around[radius : len(around) - radius]
        source.yaws.extend(yaw_of(landmarks))
        if self.on_face is not None:
            self.on_face(sighting.track, first, squares, landmarks)
        streams = partial(
            face_streams, frames[part], around, squares, self.faces, source.flow, source.measures,
            source.depth, None if mel is None else mel[part], source.portrait, first,
        )  # fmt: skip
        seen = torch.tensor([float(self.tracker.counted.get(s, 0)) for s in range(first, last)])
        self._later(source, last - first, lambda: streams() | {"seen": seen})
        yield from source.blocks(self.config)

    def _later(
        self, source: StreamSource, steps: int, make: Callable[[], dict[str, Tensor]]
    ) -> None:
        """Make the streams of some steps in the background, while the next chunk is tracked."""
        piece = self.pool.submit(make)
        self.pending.append(piece)
        source.add(steps, piece)

    def _scenes(self, frames: list[Frames], faceless: np.ndarray) -> Iterator[Streams]:  # type: ignore[type-arg]
        """Yield blocks of scenes: runs of steps without any face, which a face ends."""
        edges = np.flatnonzero(np.diff(np.r_[0, faceless.astype(np.int8), 0]))
        runs = list(zip(edges[::2], edges[1::2], strict=True))
        for begin, end in runs:
            if begin > 0:
                yield from self._end_scene()
            if self.scene is None:
                self.scene = replace(self._source(None, self.done + int(begin)), scene=True)
            streams = partial(self._scene_streams, self.scene, frames[begin:end])
            self._later(self.scene, int(end - begin), streams)
            yield from self.scene.blocks(self.config)
        if not faceless[-1]:
            yield from self._end_scene()

    def _scene_streams(self, scene: StreamSource, frames: list[Frames]) -> dict[str, Tensor]:
        crops = scene_crops(frames)
        streams = {
            "appearance": torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous(),
            "flow": torch.from_numpy(scene.flow(crops)).half(),
        }
        if scene.depth is not None:
            streams["depth"] = torch.from_numpy(scene.depth(crops))[:, None].half()
        return streams

    def _end_scene(self) -> Iterator[Streams]:
        if self.scene is not None:
            yield from self.scene.last_block()
        self.scene = None

    def _source(self, track: int | None, start: int) -> StreamSource:
        flow = FlowExtractor(self.extractor.pair_flow())
        encoder = None if track is None else self.extractor.portrait_encoder()
        portrait = None if encoder is None else PortraitExtractor(encoder)
        depth, added = self.extractor.depth_network(), self.extractor.added
        return StreamSource(track, start, flow, depth, portrait, added, self.span)
