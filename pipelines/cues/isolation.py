"""Experts and artefacts in, AUCs out: each expert learns one kind of cue and is tried on all.

High where an expert meets the cue it is meant for, 0.5 where its streams cannot carry the cue:
that is the proof that every extractor feeds what it claims to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from extractors.clip import Array
from pipelines.cues.drawn_clips import Drawing, KnownClip, draw, genuine, streams_of
from pipelines.cues.drawn_forgeries import ARTEFACTS, CARRIERS
from pipelines.detection.detector import Detector, load_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.starter import STARTER
from pipelines.metrics.classification import auc
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.fit import Run, fit
from pipelines.train.losses import step_loss
from pipelines.train.stage import StageConfig
from pipelines.train.sync import SYNC_STREAMS, SyncNetwork, sync_loss
from temporal.experts import CONTEXT, EXPERTS, ExpertConfig

# What each expert is meant for. Sync learns on genuine clips alone, as in the detector.
MEANT = {
    "appearance": ("blend", "upsampling", "flicker", "autoencoder", "full"),
    "flow": ("motion",),
    "depth": ("depth", "relief"),
    "mel": ("vocoder",),
    "sync": ("lag",),
}
READS = {name: EXPERTS[name] for name in MEANT if name != "sync"} | {"sync": SYNC_STREAMS}
SMALL = ExpertConfig(
    dim=32, appearance=32, flicker=True, lips=(8, 16, 32), flow=(8, 16, 32), depth=(8, 16),
    mel=(8, 16, 32), voice=(8, 16, 32),
)  # fmt: skip


@dataclass(frozen=True)
class Lesson:
    """What an expert is given to learn from, and how long the clips are that it is tried on."""

    clips: int  # genuine ones and as many forged ones, of each artefact
    steps: int  # of a clip
    updates: int
    batch: int  # clips
    length: int  # steps a chunk
    rate: float = 3e-3  # peak learning rate


LESSONS = {
    "appearance": Lesson(64, 16, updates=250, batch=8, length=8, rate=2e-3),
    "flow": Lesson(96, 16, updates=80, batch=16, length=16),
    "depth": Lesson(64, 16, updates=600, batch=16, length=16),
    "mel": Lesson(96, 16, updates=80, batch=16, length=16),
    "sync": Lesson(96, 48, updates=100, batch=16, length=48),  # compares stretches
}
HIGHEST = 0.5  # of a clip's step logits, this share is averaged to its score


ClipJudge = Callable[[dict[str, Tensor]], Tensor]  # streams (B, L, ...) -> clip scores (B,)
TaughtChunk = tuple[dict[str, Tensor], Tensor]  # streams (B, L, ...) and step targets (B, L)


def can_carry(expert: str, artefact: str) -> bool:
    """Return whether an artefact changes any stream that an expert reads."""
    return not set(READS[expert]).isdisjoint(CARRIERS[artefact])


def train_judge(expert: str, mesh: Array, folder: Path, seed: int = 0) -> ClipJudge:
    """Return an expert that has learnt the artefacts it is meant for, as a judge of clips."""
    detector, module = taught(expert, mesh, folder, seed)
    return _sync_judge(detector.eval()) if expert == "sync" else _probe_judge(module)


def taught(expert: str, mesh: Array, folder: Path, seed: int = 0) -> tuple[Detector, nn.Module]:
    """Return a detector of which one expert has learnt, and what gives that expert's logits.

    Args:
        expert: one of MEANT.
        mesh: the heads' shape (478, 3).
        folder: for log and checkpoints.
        seed: draws the clips and the network's first weights.
    """
    torch.manual_seed(seed)
    lesson = LESSONS[expert]
    detector = Detector(DetectorConfig(experts=SMALL))
    if expert == "appearance":
        # a MobileNetV2 learns nothing from so few clips by itself; elsewhere it begins at ImageNet
        detector.experts[expert].stem = load_detector(STARTER).experts[expert].stem
    module = SyncNetwork(detector) if expert == "sync" else ExpertProbe(expert, detector)
    streams, targets = _clips_of(expert, mesh, seed)

    def batches(first: int, last: int) -> Iterator[TaughtChunk]:
        for update in range(first, last):
            rng = np.random.default_rng((seed, update))
            picks = torch.from_numpy(rng.choice(len(targets), lesson.batch, replace=False))
            begin = int(rng.integers(0, lesson.steps - lesson.length + 1))
            part = slice(begin, begin + lesson.length)
            yield {n: s[picks, part] for n, s in streams.items()}, targets[picks, part]

    def loss_of(module: nn.Module, chunk: TaughtChunk) -> Tensor:
        if isinstance(module, SyncNetwork):
            lips, voice = module(chunk[0])
            return sync_loss(lips, voice, module.sharpness.exp(), module.lag)
        return step_loss(module(chunk[0])[..., None], chunk[1][..., None])

    # scored once, at the end: there are no weights to choose between
    config = StageConfig(lesson.updates, rate=lesson.rate, evaluate_every=lesson.updates)
    run = Run(folder, seed, "cpu", "float32")
    fit(expert, module, config, run, batches, loss_of, lambda _: 0.0)
    return detector, module


def exhibits(
    mesh: Array, steps: int, clips: int, seed: int, strength: float = 1.0
) -> dict[str, list[dict[str, Tensor]]]:
    """Return the streams of drawings as they are ("genuine") and with each artefact, by name.

    Only the streams that an expert reads of clips of so many steps. strength: of the artefacts.
    """
    names = {n for expert, given in LESSONS.items() if given.steps == steps for n in READS[expert]}
    drawings = [draw(np.random.default_rng((seed, i)), mesh, steps) for i in range(clips)]

    def streams(name: str, index: int) -> dict[str, Tensor]:
        made = streams_of(_made(name, drawings[index], np.random.default_rng(index), strength))
        return {n: made[n] for n in names}

    return {name: [streams(name, i) for i in range(clips)] for name in ("genuine", *ARTEFACTS)}


def auc_row(
    judge: ClipJudge, expert: str, shown: Mapping[str, Sequence[dict[str, Tensor]]]
) -> dict[str, float]:
    """Return a judge's AUC on each artefact of `exhibits`, against the same clips unforged."""
    scores: dict[str, list[float]] = {}
    for name, clips in shown.items():
        with torch.inference_mode():
            given = [{n: streams[n][None] for n in READS[expert]} for streams in clips]
            scores[name] = [float(judge(streams)) for streams in given]
    genuine_scores = scores.pop("genuine")
    labels = [0] * len(genuine_scores) + [1] * len(genuine_scores)
    return {name: auc(labels, genuine_scores + own) for name, own in scores.items()}


def markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return a matrix of AUCs as a table: bold what is meant, in brackets what cannot be seen."""
    names = list(ARTEFACTS)
    lines = ["| expert | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for expert, row in rows.items():
        cells = [_cell(expert, name, row[name]) for name in names]
        lines.append(f"| {expert} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(expert: str, artefact: str, value: float) -> str:
    if artefact in MEANT[expert]:
        return f"**{value:.2f}**"
    return f"{value:.2f}" if can_carry(expert, artefact) else f"({value:.2f})"


def isolation_rows(
    experts: Sequence[str], mesh: Array, clips: int, folder: Path, strength: float = 1.0
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each expert, once it has learned, with its AUC on every artefact.

    Args:
        experts: of MEANT; each learns artefacts of strength 1.
        mesh: the heads' shape (478, 3).
        clips: held-out drawings, each unforged and with every artefact.
        folder: for logs and checkpoints.
        strength: of the artefacts that it is tried on.
    """
    shown: dict[int, dict[str, list[dict[str, Tensor]]]] = {}
    for expert in experts:
        steps = LESSONS[expert].steps
        judge = train_judge(expert, mesh, folder)
        if steps not in shown:
            shown[steps] = exhibits(mesh, steps, clips, 1, strength)
        yield expert, auc_row(judge, expert, shown[steps])


def _clips_of(expert: str, mesh: Array, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Return streams (N, T, ...) by name and step targets (N, T) of clips to learn from."""
    made: list[KnownClip] = []
    clips = LESSONS[expert].clips
    wanted = ["genuine"] * clips
    if expert != "sync":
        wanted = wanted * len(MEANT[expert]) + [n for n in MEANT[expert] for _ in range(clips)]
    for index, name in enumerate(wanted):
        rng = np.random.default_rng((seed, index))
        drawing = draw(rng, mesh, LESSONS[expert].steps)
        made.append(_made(name, drawing, rng))
    extracted = [streams_of(clip) for clip in made]
    streams = {n: torch.stack([s[n] for s in extracted]) for n in READS[expert]}
    targets = torch.zeros(len(made), LESSONS[expert].steps)
    for row, clip in zip(targets, made, strict=True):
        row[slice(*clip.interval)] = 1
    return streams, targets


def _made(
    name: str, drawing: Drawing, rng: np.random.Generator, strength: float = 1.0
) -> KnownClip:
    return ARTEFACTS[name](drawing, rng, strength) if name in ARTEFACTS else genuine(drawing)


def _probe_judge(probe: nn.Module) -> ClipJudge:
    def judge(streams: dict[str, Tensor]) -> Tensor:
        logits = probe(streams)
        return logits.topk(int(HIGHEST * logits.shape[1]), dim=1).values.mean(dim=1)

    return judge


def _sync_judge(detector: Detector) -> ClipJudge:
    def judge(streams: dict[str, Tensor]) -> Tensor:
        mask = torch.ones(streams["mel"].shape[:2], dtype=torch.bool)
        logits = detector.network("lag")(detector.tokens(streams, mask)["lag"])
        edge = CONTEXT["lips"] + detector.lag.reach
        return logits[:, edge:-edge].mean(dim=1)

    return judge
