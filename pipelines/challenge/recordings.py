"""A recorded answer: its sound, and the detector's opinion of the voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from extractors.clip import Array
from extractors.media import MediaError, file_sha256, open_media
from pipelines.challenge.call import Call
from pipelines.challenge.voice_measures import measure_voice

LONGEST = 60.0  # seconds of an answer
Hear = Callable[[Path], float | None]  # a recording -> the detector's score of its sound


def read_answer(path: Path) -> Array:
    """Return the sound (S,) at 16 kHz of a recorded answer.

    Raises:
        MediaError: the file cannot be read, has no sound or too much of it.
    """
    pieces: list[Array] = []
    with open_media(path) as reader:
        if reader.info.duration > LONGEST:
            raise MediaError(f"{path} is longer than the {LONGEST:g} s of an answer")
        pieces = [chunk.waveform for chunk in reader if chunk.waveform is not None]
    if not pieces:
        raise MediaError(f"{path} has no sound")
    return np.concatenate(pieces)


def hear_answer(call: Call, nonce: str, recording: Path, hear: Hear, now: float) -> Call:
    """Return the call with the recorded answer to the challenge of a nonce.

    Raises:
        InputError: the nonce cannot be answered by this recording, or too little is heard in it.
        MediaError: the recording cannot be read.
    """
    sha256 = file_sha256(recording)
    asked = call.open_challenge(nonce, sha256, now)
    measures = measure_voice(read_answer(recording))
    return call.answered(asked, sha256, measures, hear(recording))
