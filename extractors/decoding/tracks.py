"""What a media file holds: its picture and sound tracks on one clock, and when each frame comes on.

Runs in the decoder's child process. Packets are believed, headers are not.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

from extractors.decoding.container import (
    MAX_GAP,
    SAMPLE_RATES,
    UnfitFileError,
    decoded,
    open_container,
    packets,
    refuse_absurd,
)

HEADED_FORMATS = ("mov", "matroska", "avi", "flv", "asf", "wav", "flac")  # say how long they are
RUN_IN = 0.15  # seconds; AAC's is 2,112 samples at most: 0.13 s at 16 kHz
SHORTFALL = 0.5  # seconds less than the header says before there is a warning


@dataclass(frozen=True, eq=False)
class Picture:
    """The picture track. Times are seconds since the file's common zero."""

    index: int  # of the track in the file
    codec: str
    times: npt.NDArray[np.float64]  # when each frame comes on, ascending
    width: int  # pixels as stored, before rotation
    height: int
    rotation: int  # degrees counter-clockwise that turn the stored frame upright: 0, 90, 180, 270
    fps: float | None
    bit_rate: int | None  # bits a second
    regular: bool  # every packet is one shown frame with a time of its own

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height after rotation."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)


@dataclass(frozen=True)
class Sound:
    """The sound track."""

    index: int  # of the track in the file
    codec: str
    sample_rate: int


@dataclass(frozen=True, eq=False)
class Tracks:
    """What was found in a file.

    The common zero is the start of the picture, or that of the sound where the sound starts
    clearly earlier. (Sound that starts a little early is the run-in that AAC and MP3 need: MP4
    cuts it, MPEG-TS and Matroska may keep it, and here it is cut.)
    """

    formats: tuple[str, ...]  # FFmpeg's names of the container
    duration: float  # seconds of the picture, or of the sound where there is no picture
    zero: float  # the common zero on the container's own clock, in seconds
    picture: Picture | None
    sound: Sound | None
    warnings: list[str] = field(default_factory=list)


def find_tracks(source: str, progress: Callable[[], None]) -> Tracks:
    """The tracks of the file; raises UnfitFileError where there is neither picture nor sound."""
    with open_container(source) as container:
        video, audio = _choose(container)
        if video is None and audio is None:
            raise UnfitFileError("holds neither a picture nor a sound track")
        if video is not None and video.codec_context is not None:
            refuse_absurd(video.codec_context.width, video.codec_context.height)
        picture, sound = _TrackScan(video), _TrackScan(audio)
        for packet in packets(container, *(s for s in (video, audio) if s is not None)):
            (picture if packet.stream_index == picture.index else sound).add(packet)
            progress()
        return _describe(container, picture, sound)


def _choose(container: Any) -> tuple[Any, Any]:
    """The picture and the sound stream to judge; cover art is no picture."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    moving = [s for s in container.streams.video if not s.disposition & still]
    best = container.streams.best("video")
    video = best if best in moving else next(iter(moving), None)
    audio = container.streams.best("audio") or next(iter(container.streams.audio), None)
    return video, audio


class _TrackScan:
    """What the packets of one track tell: all presentation times and the first decoded frame."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.index = stream.index if stream is not None else None
        self.base = float(stream.time_base or 0) if stream is not None else 0.0
        self.first: Any = None  # the first frame that could be decoded
        self.all_times = array("d")  # seconds on the container's clock, in the order of decoding
        self.latest = 0.0
        self.last_duration = 0.0  # seconds that the packet with the latest time lasts
        self.untimed = 0  # packets without a time
        self.hidden = 0  # packets that an edit list cuts
        self.bytes = 0

    def add(self, packet: Any) -> None:
        """Take in one packet; decodes only until there is a first frame."""
        if self.first is None and self.stream.codec_context is not None:
            self.first = next(iter(decoded(packet)), None)
        self.bytes += packet.size
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            self.untimed += packet.size > 0
        elif packet.is_discard:
            self.hidden += 1
        else:
            time = stamp * self.base
            if not self.all_times or time >= self.latest:
                self.latest = time
                self.last_duration = (packet.duration or 0) * self.base
            self.all_times.append(time)

    @property
    def found(self) -> bool:
        """Whether there is anything to show or to hear."""
        if self.first is None or not (self.all_times or self.untimed):
            return False
        return self.stream.type == "video" or self.first.sample_rate in SAMPLE_RATES

    @property
    def packets(self) -> int:
        """How many packets hold a frame, shown or not."""
        return len(self.all_times) + self.untimed + self.hidden

    def times(self) -> npt.NDArray[np.float64]:
        """The times in ascending order without those too far from the rest to be believed."""
        times = np.sort(np.frombuffer(self.all_times, dtype=np.float64))
        if len(times) == 0:
            return np.arange(self.untimed) / float(getattr(self.stream, "average_rate", 0) or 25)
        cuts = np.flatnonzero(np.diff(times) > MAX_GAP) + 1
        return max(np.split(times, cuts), key=len)

    def end(self) -> float:
        """The second at which the last packet's time is over."""
        times = self.times()
        if len(times) == len(self.all_times) and 0 < self.last_duration < MAX_GAP:
            return float(times[-1]) + self.last_duration
        return float(times[-1]) + float(np.median(np.diff(times)) if len(times) > 1 else 0.04)

    def start(self) -> float:
        """When a sound track's first sample that is meant to be heard sounds, after the run-in."""
        time = self.first.time
        return float(time if time is not None else self.times()[0])


def _describe(container: Any, video: _TrackScan, audio: _TrackScan) -> Tracks:
    """The tracks, their common clock, and what is wrong with them."""
    named = {"picture": video, "sound": audio}
    lost = [name for name, s in named.items() if s.stream is not None and not s.found]
    if not video.found and not audio.found:
        raise UnfitFileError(f"holds a {' and a '.join(lost)} track that cannot be decoded")
    warnings = [f"the {name} cannot be decoded" for name in lost]
    if video.found:
        main, zero = video, float(video.times()[0])
        if audio.found and RUN_IN < zero - audio.start() <= MAX_GAP:
            zero = audio.start()
    else:
        main, zero = audio, audio.start()
    duration = max(0.0, main.end() - zero)
    warnings += _cut_short(container, main, duration, video, audio)
    if len(main.times()) < len(main.all_times):
        left_out = len(main.all_times) - len(main.times())
        warnings.append(f"{left_out} packets with times far from all others are left out")
    return Tracks(
        formats=tuple(container.format.name.split(",")),
        duration=duration,
        zero=zero,
        picture=_describe_picture(video, zero) if video.found else None,
        sound=_describe_sound(audio) if audio.found else None,
        warnings=warnings,
    )


def _describe_picture(scan: _TrackScan, zero: float) -> Picture:
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
        width=frame.width,
        height=frame.height,
        rotation=round(frame.rotation / 90) * 90 % 360,
        fps=fps or None,
        bit_rate=round(8 * scan.bytes * fps / scan.packets) or None,
        regular=len(times) == len(scan.all_times) and not scan.hidden + scan.untimed,
    )


def _describe_sound(scan: _TrackScan) -> Sound:
    return Sound(scan.stream.index, scan.stream.codec_context.name, scan.first.sample_rate)


def _cut_short(container: Any, main: _TrackScan, found: float, *all_scans: _TrackScan) -> list[str]:
    """A warning where the header promises clearly more than the file holds."""
    if not set(HEADED_FORMATS) & set(container.format.name.split(",")):
        return []
    name = {"video": "picture", "audio": "sound"}[main.stream.type]
    if main.stream.duration is not None:
        declared, end = float(main.stream.duration * main.stream.time_base), found
    else:  # the header speaks of the longest of the tracks
        declared = (container.duration or 0) / av.time_base
        end = max(scan.latest + scan.last_duration for scan in all_scans)
    if declared - end < SHORTFALL:
        return []
    return [f"the {name} ends at {found:.1f} s although the header says {declared:.1f} s"]
