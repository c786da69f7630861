"""The child process that decodes one file and sends frames and sound through its standard output.

An untrusted file may crash or hang the libraries that decode it; then only this process is lost.
``extractors.decoding.process`` starts it, lends it memory for the frames of each chunk through the
socket that is its standard input, reads from it and ends it. A message is a kind, one letter,
and a length, followed by that many bytes:

- ``i``  JSON: the file's properties and the plan of what will be sent, or the file's own metadata
- ``f``  JSON: how many frames, (H, W, 3) uint8 each, lie in the memory lent for this chunk
- ``c``  end of a chunk: its sound, (S,) float32, empty where the file has none
- ``t``  nothing: still at work
- ``e``  JSON: everything was sent; warnings
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
from extractors.decoding.picture import PyavFrames, decord_frames, scaled_size, suits_decord
from extractors.decoding.sound import SoundReader
from extractors.decoding.tracks import Tracks, find_tracks

HEADER = struct.Struct("<cQ")
MEMORY_LIMIT = 8 * 2**30  # bytes of address space: 8K fits, absurd headers do not fill the machine
NICENESS = 5  # decoding is a chunk ahead: work on the current chunk has priority
TICK = 0.5  # seconds between two signs of life
MOST = 2**40  # steps, more than any file has


class Channel:
    """The channel to the parent, which takes over the standard output."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)  # FFmpeg's and decord's own messages
        self._last = time.monotonic()
        self.memory: queue.Queue[int] = queue.Queue()  # descriptors of files lent for frames

    def send(self, kind: bytes, content: Any = b"") -> None:
        """Send one message; blocks while the parent is busy."""
        view = memoryview(content).cast("B")
        self._write(memoryview(HEADER.pack(kind, view.nbytes)))
        self._write(view)
        self._last = time.monotonic()

    def send_json(self, kind: bytes, content: dict[str, Any]) -> None:
        self.send(kind, json.dumps(content).encode())

    def tick(self) -> None:
        """Tell the parent that there is progress, at most once in `TICK` seconds."""
        if time.monotonic() - self._last > TICK:
            self.send(b"t")

    def _write(self, view: memoryview) -> None:
        while view:
            view = view[os.write(self._descriptor, view) :]


def main(request: dict[str, Any]) -> None:
    """Answer one request and end the process without waiting for the libraries' threads."""
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
    """Receive the memory that the parent lends; end this process when the parent is gone."""
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
    """Send the plan and then, unless it was only a probe, all chunks; or only the metadata."""
    source = open_source(request["path"])
    if request["facts"]:
        channel.send_json(b"i", file_facts(source, channel.tick))
        return
    tracks = find_tracks(source, channel.tick, request["video_track"])
    plan = _plan(request, tracks)
    credentials = read_credentials(source, list(tracks.formats))
    plan["info"]["credentials"] = credentials if len(credentials) > 1 else None  # a state: none
    channel.send_json(b"i", plan)
    if not request["probe"]:
        channel.send_json(
            b"e", {"warnings": _Sender(request, channel, source, tracks, plan).send()}
        )


def _plan(request: dict[str, Any], tracks: Tracks) -> dict[str, Any]:
    """Return what the parent must know before the first chunk: properties, sizes, warnings."""
    picture, sounds = tracks.picture, tracks.sounds
    size = None
    if picture is not None and request["sound_track"] == 0:
        size = scaled_size(picture, request["max_side"])
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
        "audio_codec": sounds[0].codec if sounds else None,
        "sample_rate": sounds[0].sample_rate if sounds else None,
        "video_bit_rate": picture.bit_rate if picture else None,
        "video_span": tracks.span(picture.times[0], picture.end) if picture else None,
        "audio_tracks": [sound.name for sound in sounds],
        "audio_spans": [tracks.span(sound.start, sound.end) for sound in sounds],
    }
    return {
        "info": info,
        "steps": count_steps(tracks.duration),
        "chunk_steps": max(1, chunk_steps),
        "size": size,
        "sound": bool(sounds),
        "reader": reader,
        "warnings": tracks.warnings,
    }


class _Sender:
    """Sends the requested chunks; where the picture breaks off, the sound goes on."""

    def __init__(
        self,
        request: dict[str, Any],
        channel: Channel,
        source: str,
        tracks: Tracks,
        plan: dict[str, Any],
    ) -> None:
        self._channel, self._tracks, self._plan = channel, tracks, plan
        self._first, self._stop = request["first"], min(plan["steps"], request["stop"] or MOST)
        near = None
        if request["start"] and set(INDEXED_FORMATS) & set(tracks.formats):
            near = request["start"] / STEP_RATE
        self._frames: Iterator[Any] = iter(())
        self._pyav: PyavFrames | None = None
        self._promised = self._seen = 0  # step after the picture's last one
        picture, size, threads = tracks.picture, plan["size"], request["threads"]
        if picture is not None and size is not None:
            self._promised = self._seen = min(self._stop, count_steps(picture.end))
            steps = range(self._first, self._seen)
            if plan["reader"] == "decord":
                self._frames = decord_frames(source, picture, size, steps, threads)
            else:
                self._pyav = PyavFrames(source, picture, size, threads, tracks.zero, channel.tick)
                self._frames = self._pyav.frames(steps, near)
        self._sound: SoundReader | None = None
        if tracks.sounds:
            sound = tracks.sounds[request["sound_track"]]
            self._sound = SoundReader(source, sound, tracks.zero, channel.tick, near)
            self._sound.skip(self._first * SAMPLES_PER_STEP)

    def send(self) -> list[str]:
        """Send all chunks and return the warnings that came up, one sentence each."""
        step = self._first
        while step < self._stop and (got := self._send_chunk(step)):
            step += got
        if step == 0:
            name = "picture" if self._plan["size"] is not None else "sound"
            raise UnfitFileError(f"cannot be decoded: there is nothing to be had from the {name}")
        return [
            *(self._pyav.warnings if self._pyav is not None else []),
            *(self._sound.warnings if self._sound is not None else []),
            *self._breaks(),
        ]

    def _send_chunk(self, step: int) -> int:
        """Send the chunk that starts at ``step`` and return its number of steps, 0 at the end."""
        wanted, got = min(self._plan["chunk_steps"], self._stop - step), 0
        memory = self._channel.memory.get() if self._plan["size"] is not None else None
        if memory is not None and step < self._seen:
            wanted = min(wanted, self._seen - step)
            got = self._store(memory, islice(self._frames, wanted))
            if got < wanted:
                self._seen = step + got
        if memory is not None:
            os.close(memory)
        if self._sound is None:
            waveform = None
        elif got:
            waveform = self._sound.read(got * SAMPLES_PER_STEP)
        else:
            waveform, got = self._sound.read(wanted * SAMPLES_PER_STEP), wanted
            if self._sound.lost_after is not None:
                got = max(0, min(got, count_steps(self._sound.lost_after) - step))
        if got:
            sound = b"" if waveform is None else waveform[: got * SAMPLES_PER_STEP]
            self._channel.send(b"c", sound)
        return got

    def _store(self, memory: int, frames: Iterator[Any]) -> int:
        """Write frames to the memory lent for them and return their number."""
        got, place = 0, 0
        for frame in frames:
            view = memoryview(frame).cast("B")
            while view:
                count = os.pwrite(memory, view, place)
                view, place = view[count:], place + count
            got += 1
            self._channel.tick()
        if got:
            self._channel.send_json(b"f", {"count": got})
        return got

    def _breaks(self) -> Iterator[str]:
        """Yield a warning for each track that could not be decoded to its end."""
        picture, sound = self._tracks.picture, self._sound
        if picture is not None and self._seen < self._promised:
            second = self._seen / STEP_RATE
            yield f"the picture can be decoded up to {second:.1f} s of {picture.end:.1f} s"
        if sound is not None and sound.lost_after is not None:
            end = sound.promised
            yield f"the sound can be decoded up to {sound.lost_after:.1f} s of {end:.1f} s"
