"""Pre-training from a recipe to an encoder's file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from extractors.encoder_file import save_encoder
from pipelines.config import ConfigError, load_config
from pipelines.pretrain.batches import PretrainBatch, clip_batch, look_batch
from pipelines.pretrain.corpus import face_looks, load_corpus, read_corpus
from pipelines.pretrain.recipe import Objective, PretrainConfig, build_encoder, build_objective
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.clips import TrainClip
from pipelines.train.fill_cache import fill_cache
from pipelines.train.fit import Run, fit

logger = logging.getLogger(__name__)
HELD_OUT = 8  # batches of clips held out that the loss is measured on
Draw = Callable[[Sequence[int]], PretrainBatch]  # a batch by its key


@dataclass(frozen=True)
class Pretrained:
    """An encoder's file, and the loss on clips held out."""

    encoder: Path
    loss: float
    before: float  # of the encoder as it began
    chance: float  # of one who knows nothing of what is hidden


def pretrain(path: Path, overrides: Sequence[str] = ()) -> Pretrained:
    """Pre-train an encoder by a YAML recipe; an interrupted run resumes.

    Raises:
        ConfigError: the recipe, its policy or its settings refuse something; the message says what.
        InputError: the manifest or the encoder's file cannot be used.
        OSError: the manifest cannot be opened.
    """
    config = load_config(PretrainConfig, path, overrides)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    run = Run(Path(config.out), config.seed, config.device, config.precision)
    objective = build_objective(config, build_encoder(config))
    train, val = _draws(config, objective, run)
    objective.to(run.device)

    def batches(first: int, last: int) -> Iterator[PretrainBatch]:
        return (train((run.seed, update)) for update in range(first, last))

    def loss_of(module: Objective, batch: PretrainBatch) -> Tensor:
        streams = {name: stream.to(run.device) for name, stream in batch.streams.items()}
        return module(streams, torch.Generator().manual_seed(batch.seed))

    held_out = [val((run.seed, place)) for place in range(HELD_OUT)]

    def score_of(module: Objective) -> float:
        return -sum(float(loss_of(module, batch)) for batch in held_out) / len(held_out)

    def measured() -> float:
        with torch.inference_mode(), run.autocast():
            return -score_of(objective.eval())

    before = measured()
    fit(config.objective, objective, config.stage, run, batches, loss_of, score_of)
    loss = measured()
    chance = objective.chance(config.stage.batch)
    run.log(held_out=round(loss, 4), before=round(before, 4), chance=round(chance, 4))
    weights = run.folder / "encoder.safetensors"
    save_encoder(weights, objective.encoder.config, objective.encoder.cpu().state_dict())
    return Pretrained(weights, loss, before, chance)


def _draws(config: PretrainConfig, objective: Objective, run: Run) -> tuple[Draw, Draw]:
    """Return what draws batches of the training clips, and of those held out.

    Raises:
        ConfigError: train or val has no clip with what the objective reads.
    """
    corpus, reads = config.corpus, objective.reads
    samples = read_corpus(corpus, config.corpus_policy)
    paths = [sample.path for sample in samples]
    failed = fill_cache(Path(corpus.cache), paths, corpus.workers, lambda done, total: None)
    readable = [sample for sample in samples if sample.path not in failed]
    streams = [name for name in reads if name != "regions"]
    clips = load_corpus(readable, StreamCache(Path(corpus.cache)), corpus.min_face, streams)
    draws = [_draw(clips[split], config, reads) for split in ("train", "val")]
    run.log(
        clips={split: len(members) for split, members in clips.items()},
        failed={path.name: why for path, why in failed.items()},
    )
    for split, draw in zip(("train", "val"), draws, strict=True):
        if draw is None:
            why = "; ".join(failed.values()) or f"none has {' and '.join(reads)}"
            raise ConfigError(f"{corpus.manifest}: no clip of the split {split} can be used: {why}")
    train, val = draws
    return train, val


def _draw(clips: Sequence[TrainClip], config: PretrainConfig, reads: Sequence[str]) -> Draw | None:
    """Return what draws batches of clips by their key; None: there is nothing to draw."""
    if "regions" in reads:
        looks = face_looks(clip for clip in clips if clip.face is not None and not clip.face.scene)
        return partial(look_batch, looks, config.stage.batch) if looks else None
    return partial(clip_batch, clips, reads, config.stage) if clips else None
