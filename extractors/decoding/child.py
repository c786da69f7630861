"""The child process that decodes one file and sends frames and sound through its standard output.

A stranger's file may crash or hang the libraries that decode it; here it takes only this process
along. ``decoder_process`` starts it, lends it memory for the frames of each chunk through the
socket that is its standard input, reads from it and ends it. A message is a kind, one letter,
and a length, followed by that many bytes:

- ``i``  JSON: what the file holds and what will be sent, or what it says of itself
- ``f``  JSON: how many frames, (H, W, 3) uint8 each, lie in the memory lent for this chunk
- ``c``  end of a chunk: its sound, (S,) float32, of no length where the file has none
- ``t``  nothing: still at work
- ``e``  JSON: all was sent; warnings
- ``x``  JSON: the file cannot be read, and why
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from extractors.clock import SAMPLES_PER_STEP, STEP_RATE, count_steps
from extractors.decoding.container import INDEXED_FORMATS, UnfitFileError, open_source
from extractors.decoding.credentials import read_credentials
from extractors.decoding.facts import file_facts
from extractors.decoding.picture import decord_frames, pyav_frames, scaled_size, suits_decord
from extractors.decoding.sound import SoundReader
from extractors.decoding.tracks import Tracks, find_tracks

HEADER = struct.Struct("<cQ")
MEMORY_LIMIT = 8 * 2**30  # bytes of address space: 8K fits, absurd headers do not fill the machine
NICENESS = 5  # decoding is a chunk ahead: whoever works on the current one goes first
TICK = 0.5  # seconds between two signs of life


class Channel:
    """The way to the parent; only it may write to what was the standard output."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)  # FFmpeg's and decord's own messages
        self._last = time.monotonic()
        self.memory: queue.Queue[int] = queue.Queue()  # descriptors of files lent for frames

    def send(self, kind: bytes, content: Any = b"") -> None:
        """Send one message; waits while the parent is busy."""
        view = memoryview(content).cast("B")
        self._write(memoryview(HEADER.pack(kind, view.nbytes)))
        self._write(view)
        self._last = time.monotonic()

    def send_json(self, kind: bytes, content: dict[str, Any]) -> None:
        self.send(kind, json.dumps(content).encode())

    def tick(self) -> None:
        """Tell the parent now and then that there is progress."""
        if time.monotonic() - self._last > TICK:
            self.send(b"t")

    def _write(self, view: memoryview) -> None:
        while view:
            view = view[os.write(self._descriptor, view) :]


def main(request: dict[str, Any]) -> None:
    """Serve one request and end the process without waiting for the libraries' threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this ends
    os.nice(NICENESS)
    channel = Channel()
    threading.Thread(target=_receive_memory, args=(channel.memory,), daemon=True).start()
    _limit_memory()
    try:
        _serve(request, channel)
    except MemoryError:
        gib = MEMORY_LIMIT // 2**30
        cause = f"needs more than {gib} GiB of memory to decode"
        channel.send_json(b"x", {"cause": cause, "final": False})
    except BrokenPipeError:
        pass
    except UnfitFileError as refusal:
        channel.send_json(b"x", {"cause": str(refusal), "final": True})
    except Exception as error:  # noqa: BLE001  whatever it is, the parent must be told
        cause = f"cannot be decoded ({type(error).__name__}: {' '.join(str(error).split())})"
        channel.send_json(b"x", {"cause": cause, "final": False})
    os._exit(0)


def _receive_memory(memory: queue.Queue[int]) -> None:
    """Take what the parent lends; end this process when it is gone and its socket closed."""
    with socket.socket(fileno=0) as parent:
        while True:
            word, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
            if not word:
                os._exit(1)
            for descriptor in descriptors:
                memory.put(descriptor)


def _limit_memory() -> None:
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # not on this system: the checks of sizes must do


def _serve(request: dict[str, Any], channel: Channel) -> None:
    """Send the plan and then, unless it was only a probe, chunk after chunk; or only facts."""
    source = open_source(request["path"])
    if request["facts"]:
        channel.send_json(b"i", file_facts(source, channel.tick))
        return
    tracks = find_tracks(source, channel.tick)
    plan = _plan(request, tracks)
    credentials = read_credentials(source, list(tracks.formats))
    plan["info"]["credentials"] = credentials if len(credentials) > 1 else None  # a state: none
    channel.send_json(b"i", plan)
    if request["probe"]:
        return
    step, stop = request["first"], min(plan["steps"], request["stop"] or plan["steps"])
    near = None
    if request["start"] and set(INDEXED_FORMATS) & set(tracks.formats):
        near = request["start"] / STEP_RATE
    frames = _frames(plan, request["threads"], source, tracks, range(step, stop), channel, near)
    sound: SoundReader | None = None
    if tracks.sound is not None:
        place = tracks.sound.index, tracks.zero, tracks.duration
        sound = SoundReader(source, *place, channel.tick, near)
        sound.skip(step * SAMPLES_PER_STEP)
    while step < stop:
        wanted = min(plan["chunk_steps"], stop - step)
        got = _send_chunk(channel, frames, sound, step, wanted)
        step += got
        if got < wanted:
            break
    channel.send_json(b"e", _end(tracks, step, stop))


def _plan(request: dict[str, Any], tracks: Tracks) -> dict[str, Any]:
    """What the parent must know before the first chunk."""
    picture, sound = tracks.picture, tracks.sound
    size = scaled_size(picture, request["max_side"]) if picture else None
    chunk_steps, reader = request["max_chunk_steps"], "pyav"
    if size is not None:
        chunk_steps = min(chunk_steps, request["chunk_bytes"] // (size[0] * size[1] * 3))
        if request["reader"] == "decord" and suits_decord(tracks, size, request["decord_bytes"]):
            reader = "decord"
    width, height = picture.upright if picture else (None, None)
    info = {
        "duration": tracks.duration,
        "width": width,
        "height": height,
        "fps": picture.fps if picture else None,
        "video_codec": picture.codec if picture else None,
        "audio_codec": sound.codec if sound else None,
        "sample_rate": sound.sample_rate if sound else None,
        "video_bit_rate": picture.bit_rate if picture else None,
    }
    return {
        "info": info,
        "steps": count_steps(tracks.duration),
        "chunk_steps": max(1, chunk_steps),
        "size": size,
        "sound": sound is not None,
        "reader": reader,
        "warnings": tracks.warnings,
    }


def _frames(
    plan: dict[str, Any],
    threads: int,
    source: str,
    tracks: Tracks,
    steps: range,
    channel: Channel,
    near: float | None,
) -> Iterator[Any] | None:
    """The frames of ``steps`` by the planned reader; None where there is no picture."""
    picture, size = tracks.picture, plan["size"]
    if picture is None:
        return None
    if plan["reader"] == "decord":
        return decord_frames(source, picture, size, steps, threads)
    return pyav_frames(source, picture, size, steps, threads, tracks.zero, channel.tick, near)


def _send_chunk(
    channel: Channel,
    frames: Iterator[Any] | None,
    sound: SoundReader | None,
    step: int,
    wanted: int,
) -> int:
    """Send the chunk that starts at ``step``; returns how many of the steps wanted it has."""
    got = wanted
    if frames is not None:
        got = _store(channel, islice(frames, wanted))
    waveform = sound.read(got * SAMPLES_PER_STEP) if sound else None
    if frames is None and sound is not None and sound.lost_after is not None:
        got = max(0, min(got, count_steps(sound.lost_after) - step))
    if got:
        channel.send(b"c", b"" if waveform is None else waveform[: got * SAMPLES_PER_STEP])
    return got


def _store(channel: Channel, frames: Iterator[Any]) -> int:
    """Write frames to the memory lent for them; returns how many there were."""
    memory, got, place = channel.memory.get(), 0, 0
    try:
        for frame in frames:
            view = memoryview(frame).cast("B")
            while view:
                count = os.pwrite(memory, view, place)
                view, place = view[count:], place + count
            got += 1
            channel.tick()
    finally:
        os.close(memory)
    if got:
        channel.send_json(b"f", {"count": got})
    return got


def _end(tracks: Tracks, step: int, steps: int) -> dict[str, Any]:
    """The last message: whether the file could be read as far as it should."""
    name = "picture" if tracks.picture is not None else "sound"
    if step == 0:
        raise UnfitFileError(f"cannot be decoded: there is nothing to be had from the {name}")
    if step == steps:
        return {"warnings": []}
    warning = f"the {name} can be decoded up to {step / STEP_RATE:.1f} s of {tracks.duration:.1f} s"
    return {"warnings": [warning]}
