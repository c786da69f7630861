"""The sections of a file whose timestamps restart, and the times of its packets on one clock.

Segments of a stream that were joined byte by byte (MPEG-TS, MPEG-PS, FLV, Matroska, Ogg) repeat the
same timestamps. As in the ffmpeg command, every section gets an offset, so that it begins where the
previous one ended.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]

MAX_GAP = 60.0  # seconds without any packet that are plausible
BROADCAST_GAP = 10.0  # the same where clocks may restart, as in the ffmpeg command
BROADCASTS = ("mpegts", "mpeg", "flv", "ogg")
MAX_FALL = 0.1  # seconds that decoding times, which should ascend, may fall within a section
GUESSED_FALL = 0.5  # the same for Matroska, which has none: FFmpeg guesses them
NEAR = 1.0  # seconds from a section within which a packet may belong to it
RECENT = 8  # sections that a packet may belong to: bounds the time that a broken file takes


@dataclass(eq=False)
class Section:
    """A part of the file with a continuous clock: the range of all tracks' times, in seconds."""

    start: float = np.inf
    end: float = -np.inf
    latest: float = -np.inf  # decoding time

    def continues_at(self, time: float) -> bool:
        """Return whether a decoding time continues the section."""
        return -MAX_FALL < time - self.latest < NEAR

    def holds(self, time: float) -> bool:
        """Return whether a decoding time lies in the section, or shortly before or after."""
        return self.start - NEAR < time < self.latest + NEAR


@dataclass(frozen=True)
class Retiming:
    """Offsets of the timestamps of a track's packets, by the packets' number in the track."""

    first: tuple[int, ...] = (0,)  # packet from which on each offset holds
    offsets: tuple[float | None, ...] = (0.0,)  # seconds; None: the time is a stray, and dropped

    @property
    def needed(self) -> bool:
        """Whether any packet's timestamp changes."""
        return self.offsets != (0.0,)

    def shifted(self, seconds: float) -> Retiming:
        """Return the retiming with `seconds` added to every offset."""
        offsets = (None if offset is None else offset + seconds for offset in self.offsets)
        return Retiming(self.first, tuple(offsets))

    def applied(self, packet: Any, number: int) -> Any:
        """Return a packet with its time on the common clock, without a wrong discard flag."""
        place = bisect(self.first, number) - 1
        offset = self.offsets[place]
        if packet.is_discard and place > 0:  # a fragment that restarts, see `TrackClock.add`
            plain = av.Packet(bytes(packet))
            plain.stream, plain.time_base = packet.stream, packet.time_base
            plain.pts, plain.dts = packet.pts, packet.dts
            packet = plain
        ticks = None if offset is None else round(offset / packet.time_base)
        packet.pts = None if packet.pts is None or ticks is None else packet.pts + ticks
        packet.dts = None if packet.dts is None or ticks is None else packet.dts + ticks
        return packet


@dataclass(eq=False)
class FileClock:
    """The sections of a file, detected while its packets are read."""

    formats: tuple[str, ...]  # FFmpeg's names of the container
    sections: list[Section] = field(default_factory=lambda: [Section()])

    def __post_init__(self) -> None:
        self.gap = BROADCAST_GAP if set(BROADCASTS) & set(self.formats) else MAX_GAP
        self.fall = GUESSED_FALL if "matroska" in self.formats else MAX_FALL

    def offsets(self) -> list[float]:
        """Return the offset in seconds of each section on the common clock."""
        offsets, end = [0.0], 0.0
        for old, new in pairwise(self.sections):
            end = old.end + offsets[-1] if old.end > -np.inf else end
            offsets.append(end - new.start if new.start < np.inf else offsets[-1])
        return offsets

    def joints(self) -> list[float]:
        """Return the times, in seconds on the common clock, at which a section follows another."""
        pairs = zip(self.sections[1:], self.offsets()[1:], strict=True)
        return [section.start + offset for section, offset in pairs if section.start < np.inf]


@dataclass(frozen=True)
class _Stamp:
    number: int  # of the packet in its track
    decoded: float | None  # decoding time in seconds, if the file has one
    shown: float
    duration: float
    hidden: bool


class TrackClock:
    """The times of one track's packets, by the section in which they lie.

    A single packet with an implausible time, followed by a plausible one, is a stray and dropped.
    Two that agree begin a section.
    """

    def __init__(self, clock: FileClock, usual: float = 0.0) -> None:
        """Begin a track; usual: seconds of a packet without a duration."""
        self._clock, self._usual = clock, usual
        self._section = 0
        self._latest: float | None = None  # time of decoding, in this section
        self._suspect: _Stamp | None = None
        self._times: dict[int, array[float]] = {}  # of presentation, by section
        self._moves: list[tuple[int, int | None]] = [(0, 0)]  # packet, section from there on
        self._last = (0, -np.inf)  # section and time of the packet shown last
        self.last_duration = 0.0  # seconds of that packet
        self.strays = 0  # packets
        self.hidden = 0

    def add(
        self, number: int, decoded: float | None, shown: float, duration: float, hidden: bool
    ) -> None:
        """Take in the times of the next packet.

        hidden: an edit list cuts it. FFmpeg also marks fragments that restart so, wrongly.
        """
        stamp = _Stamp(number, decoded, shown, duration, hidden)
        if decoded is not None and abs(shown - decoded) > MAX_GAP:
            self._drop(stamp)
            return
        suspect, self._suspect = self._suspect, None
        if suspect is not None:
            if self._fits(stamp):
                self._drop(suspect)
            else:
                self._move(suspect)
                self._take(suspect)
        if self._left_behind(stamp):
            self._move(stamp)
        if self._fits(stamp):
            self._take(stamp)
        else:
            self._suspect = stamp

    def finish(self) -> None:
        """Settle the last packet: no more follow."""
        if self._suspect is not None:
            self._drop(self._suspect)
            self._suspect = None

    def times(self) -> Times:
        """Return the packets' presentation times in seconds on the common clock, ascending."""
        offsets = self._clock.offsets()
        parts = [np.array(times) + offsets[section] for section, times in self._times.items()]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0)

    def retiming(self) -> Retiming:
        """Return the offsets that map the track's packets to the common clock."""
        offsets = self._clock.offsets()
        return Retiming(
            tuple(number for number, _ in self._moves),
            tuple(None if section is None else offsets[section] for _, section in self._moves),
        )

    def _fits(self, stamp: _Stamp) -> bool:
        """Return whether a packet continues the previous ones."""
        if stamp.decoded is None:
            return True
        if self._latest is not None and stamp.decoded < self._latest - self._clock.fall:
            return False
        latest = self._clock.sections[self._section].latest
        return latest == -np.inf or stamp.decoded <= latest + self._clock.gap

    def _left_behind(self, stamp: _Stamp) -> bool:
        """Return whether other tracks are in a newer section, to which the packet is nearer."""
        own, newest = self._clock.sections[self._section], self._clock.sections[-1]
        if own is newest or stamp.decoded is None:
            return False
        if self._latest is not None and 0 <= stamp.decoded - self._latest < NEAR:
            return False
        distance = abs(stamp.decoded - newest.latest)
        return distance < NEAR and distance < abs(stamp.decoded - own.latest)

    def _move(self, stamp: _Stamp) -> None:
        """Go to the section in which other tracks have the packet's time, or begin one."""
        time, sections = stamp.decoded or 0.0, self._clock.sections
        recent = range(max(0, len(sections) - RECENT), len(sections))
        newer = [s for s in recent if s > self._section and sections[s].holds(time)]
        older = [s for s in recent if s < self._section and sections[s].continues_at(time)]
        if newer or older:
            self._section = newer[0] if newer else older[-1]
        else:
            sections.append(Section())
            self._section = len(sections) - 1
        self._latest = None
        self._moves.append((stamp.number, self._section))

    def _take(self, stamp: _Stamp) -> None:
        section = self._clock.sections[self._section]
        if stamp.decoded is not None:
            self._latest = max(stamp.decoded, -np.inf if self._latest is None else self._latest)
            section.latest = max(section.latest, stamp.decoded)
        if stamp.hidden and self._section == 0:
            self.hidden += 1
            return
        section.start = min(section.start, stamp.shown)
        section.end = max(section.end, stamp.shown + (stamp.duration or self._usual))
        self._times.setdefault(self._section, array("d")).append(stamp.shown)
        if (self._section, stamp.shown) >= self._last:
            self._last = self._section, stamp.shown
            self.last_duration = stamp.duration

    def _drop(self, stray: _Stamp) -> None:
        self.strays += 1
        self._moves += [(stray.number, None), (stray.number + 1, self._section)]
