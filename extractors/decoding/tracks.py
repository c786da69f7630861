"""The picture and sound tracks of a media file on one clock, with the time of each frame.

Runs in the decoder's child process. Everything is measured on packets; headers are not trusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.decoding.container import UnfitFileError, open_container, packets, refuse_absurd
from extractors.decoding.pixels import TRANSFERS, believed_shape, shown_size
from extractors.decoding.remarks import remarks
from extractors.decoding.sections import MAX_GAP, FileClock, Retiming
from extractors.decoding.track_scan import STILL, TrackScan

RUN_IN = 0.15  # seconds; AAC's is 2,112 samples at most: 0.13 s at 16 kHz
RUN_OUT = 0.15  # seconds by which a codec's last frame, filled up, may outlast the other track


@dataclass(frozen=True, eq=False)
class Picture:
    """The picture track. Times are seconds since the file's common zero."""

    index: int  # of the track in the file
    codec: str
    times: npt.NDArray[np.float64]  # when each frame comes on, ascending
    end: float
    width: int  # pixels as stored, before rotation
    height: int
    shape: float  # width by height of a stored pixel
    coded_shape: float  # the same as the codec has it of the first frame
    rotation: int  # degrees counter-clockwise that turn the stored frame upright: 0, 90, 180, 270
    transfer: str | None  # "PQ" or "HLG" of a picture with a high dynamic range
    fps: float | None
    bit_rate: int | None  # bits a second
    regular: bool  # every packet is one shown frame with a time of its own
    retiming: Retiming

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as the picture is shown: in square pixels, after rotation."""
        width, height = shown_size(self.width, self.height, self.shape)
        return (height, width) if self.rotation % 180 else (width, height)


@dataclass(frozen=True)
class Sound:
    """A sound track. Times are seconds since the file's common zero."""

    index: int  # of the track in the file
    name: str  # for people
    codec: str
    sample_rate: int
    start: float
    end: float
    retiming: Retiming


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks of a file that can be decoded.

    The common zero is the start of the picture, or that of the sound where the sound starts
    clearly earlier. (Sound that starts a little early is the priming that AAC and MP3 need: MP4
    cuts it, MPEG-TS and Matroska may keep it, and here it is cut.)
    """

    formats: tuple[str, ...]  # FFmpeg's names of the container
    duration: float  # seconds of the longest track
    zero: float  # the common zero on the container's own clock, in seconds
    picture: Picture | None
    sounds: tuple[Sound, ...]  # the one that players play comes first
    warnings: list[str] = field(default_factory=list)

    def span(self, start: float, end: float) -> list[float]:
        """Return start and end of a track in seconds, snapped to the file's ends if close."""
        begin = 0.0 if start <= RUN_IN else start
        last = self.duration if end >= self.duration - RUN_OUT else end
        return [float(begin), float(last)]


def find_tracks(source: str, progress: Callable[[], None], video_track: int | None) -> Tracks:
    """Return the tracks of a file.

    video_track: the picture that is judged, counted from 1; None: the one that players show.

    Raises:
        UnfitFileError: there is neither picture nor sound, or no such picture track.
    """
    with open_container(source) as container:
        clock = FileClock(tuple(container.format.name.split(",")))
        scans = _scan(container, clock, progress)
        pictures = [scan for scan in scans if scan.kind == "picture"]
        picture = _picture(pictures, video_track)
        sounds = _players_order([scan for scan in scans if scan.kind == "sound" and scan.found])
        if picture is None and not sounds:
            kinds = dict.fromkeys(scan.kind for scan in scans)
            raise UnfitFileError(f"holds a {' and a '.join(kinds)} track that cannot be decoded")
        zero, shifts = _common_zero(picture, sounds)
        best = container.streams.best("video")
        return Tracks(
            formats=clock.formats,
            duration=_duration(picture, sounds, zero, shifts),
            zero=zero,
            picture=_describe_picture(picture, zero, best) if picture is not None else None,
            sounds=tuple(_describe_sound(*pair, zero) for pair in zip(sounds, shifts, strict=True)),
            warnings=remarks(container, clock, scans, picture, sounds, shifts, zero),
        )


def _scan(container: Any, clock: FileClock, progress: Callable[[], None]) -> list[TrackScan]:
    """Read all packets of the file's pictures and sounds; cover art is no picture."""
    streams = [s for s in container.streams if s.type in ("video", "audio")]
    moving = [s for s in streams if not s.disposition & STILL]
    if not moving:
        raise UnfitFileError("holds neither a picture nor a sound track")
    for stream in moving:
        if stream.type == "video" and stream.codec_context is not None:
            refuse_absurd(stream.codec_context.width, stream.codec_context.height)
    kinds = Counter[str]()
    scans: dict[int, TrackScan] = {}
    for stream in moving:
        kinds[stream.type] += 1
        scans[stream.index] = TrackScan(stream, clock, kinds[stream.type])
    for packet in packets(container, *moving):
        scans[packet.stream_index].add(packet)
        progress()
    for scan in scans.values():
        scan.finish()
    return list(scans.values())


def _players_order(scans: Sequence[TrackScan]) -> list[TrackScan]:
    """Return tracks with the one that players choose first: the first that is on by default."""
    first = next((scan for scan in scans if scan.is_default), None)
    return sorted(scans, key=lambda scan: scan is not first)


def _picture(scans: Sequence[TrackScan], wanted: int | None) -> TrackScan | None:
    """Return the picture that is judged, None where there is none."""
    if wanted is not None and not 0 < wanted <= len(scans):
        raise UnfitFileError(f"has no picture track {wanted}; it has {len(scans)}")
    if wanted is not None and not scans[wanted - 1].found:
        raise UnfitFileError(f"holds a picture track {wanted} that cannot be decoded")
    candidates = scans if wanted is None else scans[wanted - 1 : wanted]
    return next(iter(_players_order([scan for scan in candidates if scan.found])), None)


def _common_zero(
    picture: TrackScan | None, sounds: Sequence[TrackScan]
) -> tuple[float, list[float]]:
    """Return the file's zero, and the seconds that each sound must be moved by.

    A sound far away from the picture has a clock of its own and is taken to begin with it.
    """
    starts = [scan.start() for scan in sounds]
    if picture is None:
        return starts[0], [0.0 if abs(s - starts[0]) <= MAX_GAP else starts[0] - s for s in starts]
    begin, end = picture.start(), picture.end()
    far = [s.end() < begin - MAX_GAP or s.start() > end + MAX_GAP for s in sounds]
    shifts = [begin - s if is_far else 0.0 for s, is_far in zip(starts, far, strict=True)]
    earliest = min((s + shift for s, shift in zip(starts, shifts, strict=True)), default=begin)
    return (earliest if begin - earliest > RUN_IN else begin), shifts


def _duration(
    picture: TrackScan | None, sounds: Sequence[TrackScan], zero: float, shifts: Sequence[float]
) -> float:
    """Return the seconds of the longest track, not counting a sound codec's padding at the end."""
    sound = max((s.end() + by - zero for s, by in zip(sounds, shifts, strict=True)), default=0.0)
    if picture is None:
        return max(0.0, sound)
    shown = max(0.0, picture.end() - zero)
    return sound if sound > shown + RUN_OUT else shown


def _describe_picture(scan: TrackScan, zero: float, best: Any) -> Picture:
    frame, times = scan.first, scan.times()
    refuse_absurd(frame.width, frame.height)
    rate = float(scan.stream.average_rate or 0)
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else 0.0
    if not fps or abs(rate / fps - 1) < 0.02:  # the header's 29.97 is the exact one
        fps = rate
    return Picture(
        index=scan.stream.index,
        codec=scan.stream.codec_context.name,
        times=times - zero,
        end=scan.end() - zero,
        width=frame.width,
        height=frame.height,
        shape=believed_shape(scan.stream.sample_aspect_ratio),
        coded_shape=believed_shape(scan.coded_shape),
        rotation=round(frame.rotation / 90) * 90 % 360,
        transfer=TRANSFERS.get(frame.color_trc),
        fps=fps or None,
        bit_rate=round(8 * scan.bytes * fps / scan.packets) or None,
        regular=scan.regular and best is not None and best.index == scan.stream.index,
        retiming=scan.retiming(),
    )


def _describe_sound(scan: TrackScan, shift: float, zero: float) -> Sound:
    return Sound(
        index=scan.stream.index,
        name=scan.name,
        codec=scan.stream.codec_context.name,
        sample_rate=scan.first.sample_rate,
        start=scan.start() + shift - zero,
        end=scan.end() + shift - zero,
        retiming=scan.retiming().shifted(shift),
    )
