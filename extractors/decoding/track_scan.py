"""The scan of one track's packets: the time of each frame, and the first frame itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.stream import Disposition

from extractors.decoding.container import SAMPLE_RATES, decoded
from extractors.decoding.sections import MAX_GAP, FileClock, Retiming, Times, TrackClock

MAX_TITLE = 40  # characters
REORDERED = 16  # packets within which frames are coded in another order than they are shown
USUAL_RATE = 25.0  # frames a second of a picture whose file says nothing
STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


class TrackScan:
    """The packets of one track, counted and timed; decodes only until there is a first frame."""

    def __init__(self, stream: Any, clock: FileClock, ordinal: int) -> None:
        self.stream = stream
        self.ordinal = ordinal  # among the pictures or sounds of the file, from 1
        self._base = float(stream.time_base or 0)
        self._clock = TrackClock(clock, 1 / self.rate if self.kind == "picture" else 0.0)
        self.first: Any = None  # the first frame that could be decoded
        self.coded_shape: Any = None  # of a pixel of that frame, as the codec has it
        self.number = 0  # of the next packet
        self.timed = 0  # packets with a time
        self.untimed = 0  # packets without
        self.late = 0  # packets without a time that are shown before any with one
        self.reach = 0  # byte of the file after the last one that was read
        self.bytes = 0
        self._latest = 0.0

    @property
    def kind(self) -> str:
        """`picture` or `sound`."""
        return "picture" if self.stream.type == "video" else "sound"

    @property
    def name(self) -> str:
        """The track's name in messages: number, codec, size and title."""
        facts = [self.stream.codec_context.name] if self.stream.codec_context else []
        if self.kind == "picture" and facts:
            facts.append(f"{self.stream.codec_context.width}x{self.stream.codec_context.height}")
        title = self.stream.metadata.get("title") or self.stream.language
        facts += [str(title)[:MAX_TITLE]] if title and title != "und" else []
        return f"{self.ordinal} ({', '.join(facts)})"

    @property
    def is_default(self) -> bool:
        """Whether players choose the track by default."""
        return bool(self.stream.disposition & Disposition.default)

    def add(self, packet: Any) -> None:
        """Take in the next packet."""
        if self.first is None and self.stream.codec_context is not None:
            self._decode(packet)
        number, self.number = self.number, self.number + 1
        self.bytes += packet.size
        self.reach = max(self.reach, (packet.pos or 0) + packet.size)
        stamp = packet.pts if packet.pts is not None else packet.dts
        duration = (packet.duration or 0) * self._base
        if stamp is not None:
            self.timed += 1
            self._latest = shown = stamp * self._base
            decode = None if packet.dts is None else packet.dts * self._base
            self._clock.add(number, decode, shown, duration, packet.is_discard)
        elif packet.size and self.timed < REORDERED:
            self.untimed += 1
            self.late += 1
        elif packet.size:  # it follows the one before
            self.untimed += 1
            self._latest += duration or 1 / self.rate
            self._clock.add(number, None, self._latest, duration, False)

    def _decode(self, packet: Any) -> None:
        self.first = next(iter(decoded(packet)), None)
        if self.first is not None and self.kind == "picture":
            self.coded_shape = self.stream.codec_context.sample_aspect_ratio

    def finish(self) -> None:
        """Settle the times: the file has ended."""
        self._clock.finish()

    @property
    def rate(self) -> float:
        """Frames a second, by the header."""
        return float(getattr(self.stream, "average_rate", 0) or USUAL_RATE)

    @property
    def found(self) -> bool:
        """Whether a frame of the track could be decoded."""
        if self.first is None or not (len(self._clock.times()) or self.late):
            return False
        return self.stream.type == "video" or self.first.sample_rate in SAMPLE_RATES

    @property
    def regular(self) -> bool:
        """Whether every packet is one frame that is shown at its own timestamp."""
        return not (self.strays or self.hidden or self.untimed or self.retiming().needed)

    @property
    def packets(self) -> int:
        """How many packets hold a frame, shown or not."""
        return self.timed + self.untimed

    @property
    def strays(self) -> int:
        """How many packets were dropped for an implausible time."""
        return self._clock.strays

    @property
    def hidden(self) -> int:
        """How many packets an edit list cuts."""
        return self._clock.hidden

    def retiming(self) -> Retiming:
        """Return the offsets that map the packets to the file's common clock."""
        return self._clock.retiming()

    def times(self) -> Times:
        """Return the frames' presentation times, in seconds on the common clock, ascending."""
        times = self._clock.times()
        first = times[0] if len(times) else self.late / self.rate
        return np.concatenate([first - np.arange(self.late, 0, -1) / self.rate, times])

    def end(self) -> float:
        """Return the second at which the last packet ends."""
        times = self.times()
        if 0 < self._clock.last_duration < MAX_GAP:
            return float(times[-1]) + self._clock.last_duration
        return float(times[-1]) + float(np.median(np.diff(times)) if len(times) > 1 else 0.04)

    def start(self) -> float:
        """Return the second at which the first frame is presented.

        For sound that is after the codec's priming samples, which decoding has cut.
        """
        first = float(self.times()[0])
        if self.stream.type == "video" or self.first.time is None:
            return first
        return float(self.first.time) if abs(self.first.time - first) < 1 else first
