"""Warnings on a file's tracks: what is not judged, and what is damaged or inconsistent."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from extractors.decoding.pixels import TRANSFERS
from extractors.decoding.sections import FileClock
from extractors.decoding.track_scan import STILL, USUAL_RATE, TrackScan

SIGNS = (
    b"\x1aE\xdf\xa3",
    b"ftyp",
    b"RIFF",
    b"RF64",
    b"fLaC",
    b"FORM",
    b"caff",
)  # with which files begin
HEADED_FORMATS = ("mov", "matroska", "avi", "flv", "asf", "wav", "flac")  # say how long they are
UNTIMED_FORMATS = ("mjpeg", "jpeg_pipe", "mpjpeg")
SHORTFALL = 0.5  # seconds less than the header declares, from which on there is a warning
MOST_NAMED = 5  # places at which the times jump that a warning names
APART = 0.5  # seconds between the ends of picture and sound, beyond which there is a warning
HOLE = 2.0  # seconds without a frame, beyond which there is a warning


def remarks(
    container: Any,
    clock: FileClock,
    scans: Sequence[TrackScan],
    picture: TrackScan | None,
    sounds: Sequence[TrackScan],
    shifts: Sequence[float],
    zero: float,
) -> list[str]:
    """Return the warnings on a scanned file, one sentence each.

    Args:
        container: the open file.
        clock: of its packets.
        scans: all of its tracks.
        picture: the picture track that is judged.
        sounds: the sound tracks that are judged.
        shifts: seconds by which each sound was moved, to begin with the picture.
        zero: second on the clock at which the file begins.
    """
    judged = [*([] if picture is None else [picture]), *sounds]
    return [
        *_unread(scans, picture, sounds),
        *_not_judged(container, scans, picture),
        *_jumps(clock, scans, shifts, zero),
        *_followed(container, scans),
        *_guessed(clock, judged),
        *_holes(judged),
        *_apart(picture, sounds, shifts),
        *_cut_short(container, clock, judged),
    ]


def _unread(
    scans: Sequence[TrackScan], picture: TrackScan | None, sounds: Sequence[TrackScan]
) -> Iterator[str]:
    for kind, decodable in (("picture", picture is not None), ("sound", bool(sounds))):
        lost = [scan for scan in scans if scan.kind == kind and not scan.found]
        if lost and not decodable:
            yield f"the {kind} cannot be decoded"
        else:
            yield from (f"{kind} track {scan.name} cannot be decoded" for scan in lost)


def _not_judged(
    container: Any, scans: Sequence[TrackScan], picture: TrackScan | None
) -> Iterator[str]:
    others = [s.name for s in scans if s.kind == "picture" and s.found and s is not picture]
    if picture is not None and others:
        yield (
            f"of several picture tracks, {picture.name} is judged; not judged: "
            f"{', '.join(others)}; media.video_track=N chooses another one"
        )
    if picture is not None and picture.first.color_trc in TRANSFERS:
        yield (
            f"the picture has a high dynamic range ({TRANSFERS[picture.first.color_trc]}) and was "
            "mapped to the standard one: its score is less reliable"
        )
    if any(stream.disposition & STILL for stream in container.streams.video):
        yield "the cover picture was not judged"
    hidden = sum(scan.hidden for scan in scans if scan is picture)
    if picture is not None and hidden > HOLE * picture.rate:
        yield f"{hidden} frames that the file says not to show were not judged"


def _jumps(
    clock: FileClock, scans: Iterable[TrackScan], shifts: Iterable[float], zero: float
) -> Iterator[str]:
    joints = [f"{second - zero:.1f} s" for second in clock.joints()]
    if joints:
        places = ", ".join([*joints[:MOST_NAMED], *["…"] * (len(joints) > MOST_NAMED)])
        yield (
            f"the file's times jump or start anew at {places}: its {len(joints) + 1} parts are "
            "judged one after the other"
        )
    strays = sum(scan.strays for scan in scans)
    if strays:
        yield f"{strays} packets with times far from all others are left out"
    if any(shifts):
        yield "sound and picture have clocks far apart, and are taken to begin together"


def _followed(container: Any, scans: Iterable[TrackScan]) -> Iterator[str]:
    """Yield a warning if another file of the same kind follows, at which FFmpeg stops."""
    if container.name.startswith("concat:"):
        return
    with Path(container.name).open("rb") as file:
        head = file.read(12)
        begin = max(scan.reach for scan in scans)
        if begin >= os.fstat(file.fileno()).st_size:
            return
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
            sign = head[4:8] if head[4:8] == b"ftyp" else head[:4]
            at = content.find(sign, begin) - head.index(sign)
            kind = head[8:12] if sign in (b"RIFF", b"RF64", b"FORM") else b""
            if at >= begin and sign in SIGNS and content[at + 8 : at + 12].startswith(kind):
                yield f"another file begins at byte {at}, where reading ends: it was not judged"


def _guessed(clock: FileClock, judged: Iterable[TrackScan]) -> Iterator[str]:
    if set(UNTIMED_FORMATS) & set(clock.formats):
        yield f"the file says no frame rate: {USUAL_RATE:g} frames a second are assumed"
    for scan in judged:
        if scan.kind == "picture" and scan.untimed:
            yield (
                f"{scan.untimed} frames have no times: they are taken to follow each other at "
                f"{scan.rate:.4g} a second"
            )


def _holes(judged: Iterable[TrackScan]) -> Iterator[str]:
    for scan in judged:
        times = scan.times()
        gaps = np.diff(times)
        holes = np.flatnonzero(gaps > HOLE)
        if len(holes):
            first = times[holes[0]] - times[0]
            what = "stands still" if scan.kind == "picture" else "is missing"
            yield (
                f"the {scan.kind} {what} for {gaps[holes].sum():.1f} s in all, first after "
                f"{first:.1f} s: the file has no frames there"
            )


def _apart(
    picture: TrackScan | None, sounds: Sequence[TrackScan], shifts: Sequence[float]
) -> Iterator[str]:
    if picture is None or not sounds:
        return
    picture_end, sound_end = picture.end(), sounds[0].end() + shifts[0]
    zero = min(picture.start(), sounds[0].start() + shifts[0])
    if abs(picture_end - sound_end) > APART:
        yield (
            f"the picture ends at {picture_end - zero:.2f} s, the sound at "
            f"{sound_end - zero:.2f} s: each "
            "is judged as long as it is"
        )


def _cut_short(container: Any, clock: FileClock, judged: Sequence[TrackScan]) -> Iterator[str]:
    """Yield a warning for each track that is clearly shorter than the header declares."""
    if not set(HEADED_FORMATS) & set(container.format.name.split(",")):
        return
    for scan in judged:
        actual = scan.end() - scan.start()
        if scan.stream.duration is not None and not scan.hidden:
            declared = float(scan.stream.duration * scan.stream.time_base)
            short = declared - actual
        elif scan is judged[0]:  # the header speaks of the longest of the tracks
            declared = (container.duration or 0) / av.time_base
            short = declared - max(section.end for section in clock.sections)
        else:
            continue
        if short >= SHORTFALL:
            yield (
                f"the {scan.kind} ends at {actual:.1f} s although the header says {declared:.1f} s"
            )
