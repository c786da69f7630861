"""Downmix to mono, robust against channels that cancel each other out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]  # (S,) mono in [-1, 1]

CENTRE, BASS = "FC", "LFE"
MEMORY = 0.5  # seconds over which power is measured
CANCELLED = 0.05  # power of the mix over the loudest channel's, below which channels cancel out
RESTORED = 0.1  # the ratio from which on they no longer do (hysteresis)
LOUDER = 2.0  # how much more power than the chosen channel another one needs to replace it


class Mixer:
    """The mean of the channels, or the loudest one where they cancel each other out.

    A centre channel, which carries the dialogue of films, counts as much as all others together.
    The bass effects (LFE) are dropped, as players do.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._names: tuple[str, ...] = ()
        self._weights: Waveform = np.ones(1, np.float32)
        self._powers: npt.NDArray[np.float64] = np.zeros(0)  # of the channels and the mix
        self._cancelled = False
        self._loudest = 0
        self.replaced = 0  # samples at which the loudest channel stands in for the mix

    def mono(self, channels: Waveform, names: Sequence[str]) -> Waveform:
        """Return the mix (S,) of channels (C, S), which follow those of the last call.

        names: of the channels, in FFmpeg's terms.
        """
        if len(channels) == 1 or not channels.size:
            return channels.mean(axis=0, dtype=np.float32)
        channels = np.nan_to_num(channels)
        if self._names != tuple(names):
            self._names, self._powers = tuple(names), np.zeros(0)
            self._weights = _weights(names)
        if np.ptp(self._weights) > 0:
            mix = (self._weights @ channels).astype(np.float32)
        else:
            mix = channels.mean(axis=0, dtype=np.float32)
        self._listen(channels, mix)
        if not self._cancelled:
            return mix
        self.replaced += len(mix)
        return channels[self._loudest]

    def _listen(self, channels: Waveform, mix: Waveform) -> None:
        """Update whether the channels cancel out, and which is the loudest."""
        now = np.square(np.vstack([channels, mix[None]]), dtype=np.float64).mean(axis=1)
        now[:-1] *= self._weights > 0
        if len(self._powers):
            share = min(1.0, len(mix) / (MEMORY * self._rate))
            self._powers = (1 - share) * self._powers + share * now
        else:
            self._powers, self._loudest = now, int(now[:-1].argmax())
        single, whole = self._powers[:-1], self._powers[-1]
        if single.max() > LOUDER * single[self._loudest]:
            self._loudest = int(single.argmax())
        limit = RESTORED if self._cancelled else CANCELLED
        self._cancelled = bool(whole < limit * single.max())


def _weights(names: Sequence[str]) -> Waveform:
    """Return the weights (C,) of the channels, which sum to one."""
    mixed = [name for name in names if name != BASS] or list(names)
    others = [name for name in mixed if name != CENTRE]
    if CENTRE not in mixed or not others:
        return np.array([(name in mixed) / len(mixed) for name in names], np.float32)
    share = 0.5 / len(others)
    return np.array(
        [0.5 if name == CENTRE else share * (name in others) for name in names], np.float32
    )
