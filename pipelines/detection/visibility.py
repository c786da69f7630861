"""Which steps of a face or of the sound can be judged by what, and how far a face can be believed.

What is not there to be seen or heard is not to be judged: motion in a picture that stands still,
lips outside the frame, speech in music.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor
from torch.nn import functional

from extractors.media import STEP_RATE
from extractors.spectrogram import FLOOR, speech_steps
from pipelines.detection.opinions import ABSENT, Opinion
from pipelines.detection.timelines import Timeline

STILL = 1.5  # different frames a second: no more than a codec's key frames make
AUDIBLE = 0.1  # nepers above the floor of the spectrum: a tone is, digital silence is not
PAUSE = 10  # steps to either side of speech in which the loud ones count as speech too


@dataclass(frozen=True)
class VisibilityConfig:
    """What must be there to be judged. The measures are those of `Streams`."""

    speech: float = 0.5  # probability from which on a step is speech
    min_speech: int = 10  # steps of speech around a step for the sound to be judged there
    around: int = 50  # steps to either side that are looked at for them
    # Grey levels by which a face differs in two frames that are not the same. Repeated frames stay
    # below 0.08 after H.264 and MPEG-4; nine in ten of the steps of quiet faces lie above 0.11.
    change: float = 0.08
    min_rate: float = 11.0  # such frames a second (12 ones show as 11.5 at a track's ends)
    # Median grey level of a face: up to the first and from the last on it says nothing, between the
    # two in the middle all it has to say.
    light: tuple[float, float, float, float] = (20, 50, 230, 250)
    # Share of fine detail: nothing; all it has to say. Of 78 generated faces 6 have less than the
    # middle of the two. Genuine ones blurred by 1.5 pixels have less, and look generated.
    detail: tuple[float, float] = (0.24, 0.28)
    lips: float = 1.0  # share of the lips' landmarks inside the frame
    covered: float = 1.5  # mean logit of a second from which on the mouth is taken for covered


def is_silent(sound: Timeline) -> bool:
    """Return whether nothing can be heard in the sound."""
    if sound.loudness is None:
        return True
    return float(torch.quantile(sound.loudness, 0.95)) <= log(FLOOR) + AUDIBLE


def heard_steps(sound: Timeline, config: VisibilityConfig) -> Tensor:
    """Return the steps (T,) around which there is enough speech to judge the sound."""
    if sound.speech is None:  # not looked for
        return torch.ones(len(sound.opinions), dtype=torch.bool)
    length = 2 * config.around + 1
    return length * _mean(sound.speech >= config.speech, length) > config.min_speech - 0.5


def spoken_steps(sound: Timeline, config: VisibilityConfig) -> Tensor:
    """Return the steps (T,) that are speech: loud ones in or near what is likely to be speech."""
    if sound.loudness is None:
        return torch.zeros(len(sound.opinions), dtype=torch.bool)
    loud = speech_steps(sound.loudness)
    if sound.speech is None:
        return loud
    return loud & (_mean(sound.speech >= config.speech, 2 * PAUSE + 1) > 0)


def frame_rate(face: Timeline, config: VisibilityConfig) -> Tensor:
    """Return how many different frames there are in the second around each step (T,)."""
    if face.change is None:
        return torch.full((len(face.opinions),), float(STEP_RATE))
    known = ~face.change.isnan()  # the first step has none before it
    different = known & (face.change > config.change)
    share = _mean(different, STEP_RATE) / _mean(known, STEP_RATE).clamp(min=1e-6)
    return STEP_RATE * share


def moving_steps(face: Timeline, config: VisibilityConfig) -> Tensor:
    """Return the steps (T,) at which there are enough frames for motion to be judged."""
    return frame_rate(face, config) >= config.min_rate


def lip_steps(face: Timeline, config: VisibilityConfig) -> Tensor:
    """Return the steps (T,) at which the lips are inside the frame."""
    if face.lips_inside is None:
        return torch.ones(len(face.opinions), dtype=torch.bool)
    return face.lips_inside >= config.lips


def covered_steps(face: Timeline, config: VisibilityConfig) -> Tensor:
    """Return the steps (T,) at which something seems to cover the mouth."""
    if face.lips_covered is None:
        return torch.zeros(len(face.opinions), dtype=torch.bool)
    known = ~face.lips_covered.isnan()
    logits = _mean(face.lips_covered.nan_to_num(0.0), STEP_RATE)
    return logits > config.covered * _mean(known, STEP_RATE).clamp(min=1e-6)


def motion_warnings(face: Timeline, config: VisibilityConfig) -> list[str]:
    """Return sentences on where a face stands still, or has too few frames for its motion."""
    rate = frame_rate(face, config)
    still, slow = rate < STILL, (rate >= STILL) & (rate < config.min_rate)
    least = min(STEP_RATE, len(rate) // 2)
    found = ((still, "does not move at all"), (slow, "has fewer than 12 different frames a second"))
    return [
        f"a face {words} for {int(steps.sum()) / STEP_RATE:.1f} s: there its motion is not judged, "
        "nor whether lips and sound fit"
        for steps, words in found
        if int(steps.sum()) >= least
    ]


def without_motion(face: Timeline, rows: Sequence[Opinion], config: VisibilityConfig) -> Timeline:
    """Return the timeline of a face on which, where it stands still, motion says nothing.

    rows: those of its opinions (T, J).
    """
    moving = moving_steps(face, config)
    if bool(moving.all()):
        return face
    motion = [
        any(name in ("flow", "lag") for name in o.reads) or o.source == "fusion" for o in rows
    ]
    nothing = torch.tensor([ABSENT if o.localizes else 0.0 for o in rows])
    still = torch.outer(~moving, torch.tensor(motion))
    return replace(face, opinions=torch.where(still, nothing, face.opinions))


def lit(face: Timeline, config: VisibilityConfig) -> float:
    """Return from 0 to 1 how far a face is lit well enough to be judged."""
    if face.brightness is None:
        return 1.0
    black, dark, bright, white = config.light
    level = float(face.brightness.median())
    return _between(min((level - black) / (dark - black), (white - level) / (white - bright)))


def detailed(face: Timeline, config: VisibilityConfig) -> float:
    """Return from 0 to 1 how far a face is sharp enough to be judged."""
    if face.detail is None:
        return 1.0
    nothing, full = config.detail
    return _between((float(face.detail.median()) - nothing) / (full - nothing))


def visible_share(face: Timeline, config: VisibilityConfig) -> float:
    """Return from 0 to 1 how well a face can be seen."""
    return 1.0 if face.scene else min(lit(face, config), detailed(face, config))


def _between(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _mean(steps: Tensor, length: int) -> Tensor:
    """Return the mean (T,) of steps (T,) over an odd length around each."""
    return functional.avg_pool1d(
        steps.float()[None], length, 1, length // 2, count_include_pad=True
    )[0]
