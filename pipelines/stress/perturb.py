"""Perturbation of clips by 36 picture operators, ten sound operators, and combinations.

The combinations are a social media upload, the trimming of leading silence, and mixtures. Severity
0 is the identity; 1 to 5 get worse. An operator's random draws depend on the clip's name and the
operator alone, so that severities differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from zlib import crc32

import numpy as np

from extractors.clip import Frames
from extractors.decoding.mixing import Waveform
from extractors.errors import InputError
from extractors.media import SAMPLES_PER_STEP, Clip, reencode_frames, reencode_waveform
from pipelines.stress.operators.coding import CODING, rescaled
from pipelines.stress.operators.geometry import GEOMETRY
from pipelines.stress.operators.picture import LIGHT_AND_FOCUS, FrameChange, Maker, at
from pipelines.stress.operators.sound import CONTEXT, SOUND, SoundChange, SoundMaker

PICTURE: dict[str, Maker] = {**LIGHT_AND_FOCUS, **CODING, **GEOMETRY}
SEVERITIES = (1, 2, 3, 4, 5)
MIXTURES = {f"mixture_of_{count}": count for count in (2, 3, 4)}
CHAIN, TRIM = "social_media", "silence_trimming"
OPERATORS = (*PICTURE, *SOUND, CHAIN, TRIM, *MIXTURES)


def perturbed(
    chunks: Iterable[Clip], operator: str, severity: int, seed: str = ""
) -> Iterator[Clip]:
    """Yield a file's chunks, perturbed.

    Args:
        chunks: of one file, in order.
        operator: a name of OPERATORS.
        severity: 0 (chunks are unchanged) to 5.
        seed: text such as the file's name.

    Raises:
        InputError: the operator or the severity is unknown.
    """
    if operator not in OPERATORS or severity not in (0, *SEVERITIES):
        raise InputError(
            f"expected an operator of {', '.join(OPERATORS)} and a severity from 0 to 5, got "
            f"{operator!r} and {severity!r}"
        )
    if severity == 0:
        yield from chunks
    elif operator == TRIM:
        yield from _trimmed(chunks, severity)
    else:
        picture, sound = _changes(operator, severity, crc32(f"{seed}:{operator}".encode()))
        yield from _changed(chunks, picture, sound)


def _changes(
    operator: str, severity: int, seed: int
) -> tuple[FrameChange | None, SoundChange | None]:
    rng = np.random.default_rng(seed)
    if operator == CHAIN:
        return _chain(severity)
    if operator in SOUND:
        maker: SoundMaker = SOUND[operator]
        return None, maker(severity, rng)
    if operator in PICTURE:
        return PICTURE[operator](severity, rng), None
    names = rng.choice(list(PICTURE), MIXTURES[operator], replace=False)
    steps = [PICTURE[name](severity, rng) for name in names]
    return lambda frames: reduce(lambda x, change: change(x), steps, frames), None


def _chain(severity: int) -> tuple[FrameChange, SoundChange]:
    """Return the changes of an upload to social media: downscaling, H.264, AAC."""
    smaller = rescaled(at(severity, 0.9, 0.75, 0.5, 0.4, 0.3))
    crf = int(at(severity, 25, 28, 31, 34, 38))
    rate = int(at(severity, 64_000, 48_000, 32_000, 24_000, 16_000))

    def picture(frames: Frames) -> Frames:
        return reencode_frames(smaller(frames), crf)

    def sound(waveform: Waveform) -> Waveform:
        return reencode_waveform(waveform, "aac", rate)

    return picture, sound


def _changed(
    chunks: Iterable[Clip], picture: FrameChange | None, sound: SoundChange | None
) -> Iterator[Clip]:
    past = np.zeros(CONTEXT, np.float32)
    for clip in chunks:
        frames, waveform = clip.frames, clip.waveform
        if frames is not None and picture is not None and len(frames):
            frames = picture(frames)
        if waveform is not None and sound is not None and len(waveform):
            heard = np.concatenate([past, waveform])
            waveform = sound(heard)[CONTEXT:].astype(np.float32).clip(-1, 1)
            past = heard[-CONTEXT:]
        yield Clip(clip.start, frames, waveform)


def _trimmed(chunks: Iterable[Clip], severity: int) -> Iterator[Clip]:
    """Yield the chunks from the first step louder than a level, and at least one step."""
    level = 10 ** (at(severity, -60, -50, -45, -40, -35) / 20)
    cut: int | None = None
    last: Clip | None = None
    for clip in chunks:
        last = clip
        if cut is None:
            first = _first_loud(clip, level)
            if first is None:
                continue
            cut = clip.start + first
            clip = _tail(clip, first)
        yield Clip(clip.start - cut, clip.frames, clip.waveform)
    if cut is None and last is not None:  # all is silent: the last step is kept
        yield Clip(0, *_parts(_tail(last, last.steps - 1)))


def _first_loud(clip: Clip, level: float) -> int | None:
    """Return the first loud step of a chunk, 0 for a chunk without sound, None if all is silent."""
    if clip.waveform is None:
        return 0
    loud = np.abs(clip.waveform).reshape(-1, SAMPLES_PER_STEP).max(axis=1, initial=0) > level
    return int(loud.argmax()) if loud.any() else None


def _tail(clip: Clip, first: int) -> Clip:
    frames, waveform = _parts(clip)
    return Clip(
        clip.start + first,
        None if frames is None else frames[first:],
        None if waveform is None else waveform[first * SAMPLES_PER_STEP :],
    )


def _parts(clip: Clip) -> tuple[Frames | None, Waveform | None]:
    return clip.frames, clip.waveform
