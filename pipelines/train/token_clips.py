"""Experts' tokens, opinions and clip logits of many clips, computed as in detection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extractors.added_streams import of_sound
from extractors.media import STEP_RATE
from extractors.spectrogram import loudness, speech_steps
from pipelines.detection.detector import Detector
from pipelines.detection.opinions import hears
from pipelines.metrics.classification import auc
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.losses import UNKNOWN
from temporal.segment import MODALITIES

VISUAL, AUDIO, SYNC = range(len(MODALITIES))
LONGEST = 250  # steps of a clip whose tokens are kept


@dataclass(frozen=True, eq=False)
class TokenClip:
    """A clip as the experts' tokens."""

    tokens: dict[str, Tensor]  # (T, D) float16 of each expert
    targets: Tensor  # (T, 3): 1 forged, 0 genuine, -1 unknown
    speech: Tensor  # (T,) bool: there may be speech
    clip: TrainClip

    @property
    def kind(self) -> str:
        """Which tracks the clip has: "face", "sound" or "both"."""
        sees, hears = "appearance" in self.tokens, "mel" in self.tokens
        return "both" if sees and hears else "face" if sees else "sound"


@dataclass(frozen=True, eq=False)
class JudgedClip:
    """The opinions on a clip as in detection, where sound is judged by itself."""

    opinions: Tensor  # (T, J) float32
    targets: Tensor  # (T, 3): 1 forged, 0 genuine, -1 unknown
    speech: Tensor  # (T,) bool
    judged: Tensor  # (3,) bool: the modalities that can be judged


@torch.inference_mode()
def token_clips(
    detector: Detector, clips: Sequence[TrainClip], run: Run, versions: int
) -> list[TokenClip]:
    """Return the experts' tokens of each clip, unchanged and in `versions` augmented versions."""
    detector.eval()
    done = []
    for index, clip in enumerate(clips):
        stop = min(clip.steps, LONGEST)
        for version in range(versions + 1):
            rng = np.random.default_rng((run.seed, index, version)) if version else None
            streams = clip.chunk(0, stop, sorted(clip.names), rng)
            batch = {name: stream[None].to(run.device) for name, stream in streams.items()}
            mask = torch.ones(1, stop, dtype=torch.bool, device=run.device)
            with run.autocast():
                tokens = detector.tokens(batch, mask)
                if "mel" in batch:  # by itself, as sound is judged
                    heard = {name: stream for name, stream in batch.items() if of_sound(name)}
                    tokens |= detector.tokens(heard, mask)
            targets = clip.targets()[:stop].clone()
            speech = torch.zeros(stop, dtype=torch.bool)
            if "mel" in streams:
                speech = speech_steps(loudness(streams["mel"]))
            targets[~speech, SYNC] = UNKNOWN  # silence cannot be out of sync with lips
            kept = {name: t[0].half().cpu() for name, t in tokens.items() if name != "lag"}
            done.append(TokenClip(kept, targets, speech, clip))
    return done


def with_sound_shifted(
    clip: TokenClip, first: int, last: int, move: int, rng: np.random.Generator | None
) -> tuple[dict[str, Tensor], Tensor]:
    """Return tokens and targets of a stretch whose sound, or a part of it, is `move` steps later.

    The audio label of a moved part becomes unknown: it is genuine speech, but with two cuts.
    """
    tokens = {name: t[first:last].float() for name, t in clip.tokens.items()}
    targets = clip.targets[first:last].clone()
    begin, end = 0, last - first
    if rng is not None and rng.random() < 0.5 and end > 30:
        size = int(rng.integers(15, min(end, 75)))
        begin = int(rng.integers(0, end - size))
        end = begin + size
        targets[begin:end, AUDIO] = UNKNOWN
    for name in filter(hears, clip.tokens):
        tokens[name][begin:end] = clip.tokens[name][first + begin + move : first + end + move]
    heard = targets[begin:end, SYNC] != UNKNOWN
    targets[begin:end, SYNC] = torch.where(heard, 1.0, UNKNOWN)
    return tokens, targets


@torch.inference_mode()
def judged_clips(
    detector: Detector, clips: Sequence[TokenClip], run: Run, move: bool = True
) -> list[JudgedClip]:
    """Return the opinions on clips; with `move`, clips in sync come again with shifted sound."""
    of_sound = detector.belongs[:, AUDIO] > 0
    done = []
    for tokens, targets, speech, kind in as_judged(clips, move):
        batch = {n: t[None].float().to(run.device) for n, t in tokens.items()}
        mask = torch.ones(1, len(targets), dtype=torch.bool, device=run.device)
        opinions = torch.zeros(len(targets), len(detector.opinions), device=run.device)
        if kind != "sound":
            opinions = detector.fuse(with_lag(detector, batch, mask), mask).opinions[0].float()
        if kind != "face":
            heard = {n: t for n, t in batch.items() if hears(n)}
            opinions[:, of_sound] = detector.fuse(heard, mask).opinions[0][:, of_sound].float()
        enough = bool(speech.sum() >= STEP_RATE)
        judged = torch.tensor([kind != "sound", kind != "face", kind == "both" and enough])
        done.append(JudgedClip(opinions.cpu(), targets, speech, judged))
    return done


@torch.inference_mode()
def scored(
    detector: Detector, clips: Sequence[TokenClip], run: Run, move: bool = True
) -> tuple[Tensor, Tensor]:
    """Return clip logits (N, 3), NaN where not judged, and labels (N, 3), -1 unknown."""
    logits, truths = [], []
    for clip in judged_clips(detector, clips, run, move):
        opinions, speech = clip.opinions[None].to(run.device), clip.speech[None].to(run.device)
        row = clip_logits(detector, opinions, torch.ones_like(speech), speech)[0].cpu()
        logits.append(row.masked_fill(~clip.judged, torch.nan))
        truths.append(clip_targets(clip.targets[None])[0])
    return torch.stack(logits), torch.stack(truths)


def as_judged(
    clips: Sequence[TokenClip], move: bool = True
) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor, str]]:
    """Yield tokens, targets, speech and kind of every clip, and again with its sound shifted."""
    for clip in clips:
        yield clip.tokens, clip.targets, clip.speech, clip.kind
        if move and clip.kind == "both" and clip.clip.sample.sync == () and len(clip.targets) > 45:
            tokens, targets = with_sound_shifted(clip, 0, len(clip.targets) - 10, 10, None)
            yield tokens, targets, clip.speech[10:], clip.kind


def with_lag(detector: Detector, tokens: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
    """Return the tokens with the lag profile added, where there are lips and voice.

    No gradient flows into the profile: its embeddings are frozen, like the experts.
    """
    if "lips" not in tokens or "voice" not in tokens:
        return tokens
    with torch.no_grad():
        return {**tokens, "lag": detector.lag(tokens["lips"], tokens["voice"], mask)}


def clip_logits(detector: Detector, opinions: Tensor, mask: Tensor, speech: Tensor) -> Tensor:
    """Return clip logits (B, 3); that of sync pools over the steps in `speech` (B, L) alone."""
    overall = detector.clip_logits(opinions, mask)
    spoken = detector.clip_logits(opinions, mask & speech)
    return torch.cat([overall[:, :SYNC], spoken[:, SYNC:]], dim=1)


def clip_targets(targets: Tensor) -> Tensor:
    """Return clip labels (B, 3) of step targets: forged if any step is, unknown if all are."""
    return targets.amax(dim=1)


def modality_aucs(detector: Detector, clips: Sequence[TokenClip], run: Run) -> dict[str, float]:
    """Return the clip AUC of each modality that has clips of both classes."""
    logits, truths = scored(detector, clips, run)
    aucs: dict[str, float] = {}
    for column, modality in enumerate(MODALITIES):
        known = (truths[:, column] != UNKNOWN) & ~logits[:, column].isnan()
        labels = truths[known, column].numpy()
        if 0 < labels.sum() < len(labels):
            aucs[modality] = auc(labels, logits[known, column].numpy())
    return aucs
