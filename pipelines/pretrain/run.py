"""Pre-training from a recipe to an encoder's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from extractors.encoder_file import save_encoder
from pipelines.config import ConfigError, load_config
from pipelines.pretrain.adapters import with_low_rank, with_prompts
from pipelines.pretrain.batches import PretrainBatch, clip_batch, degraded, look_batch
from pipelines.pretrain.corpus import face_looks, load_corpus, read_corpus
from pipelines.pretrain.recipe import Objective, PretrainConfig, build_encoder, build_objective
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.clips import TrainClip
from pipelines.train.fill_cache import fill_cache
from pipelines.train.fit import Run, fit
from temporal.pretraining.low_rank import merged

HELD_OUT = 4  # batches of clips held out that the loss is measured on
DrawBatch = Callable[[Sequence[int]], PretrainBatch]  # a batch by its key


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
    encoder = build_encoder(config)
    draw, draw_held_out = _draws(config, build_objective(config, encoder).reads, run)
    held_out = [draw_held_out((run.seed, place)) for place in range(HELD_OUT)]

    def batches(first: int, last: int) -> Iterator[PretrainBatch]:
        return (draw((run.seed, update)) for update in range(first, last))

    def loss_of(module: Objective, batch: PretrainBatch) -> Tensor:
        streams = {name: stream.to(run.device) for name, stream in batch.streams.items()}
        loss: Tensor = module(streams, torch.Generator().manual_seed(batch.seed))
        return loss

    def score_of(module: Objective) -> float:
        return -sum(float(loss_of(module, batch)) for batch in held_out) / len(held_out)

    def measured(module: Objective) -> float:
        with torch.inference_mode(), run.autocast():
            return -score_of(module.eval())

    def train(name: str, module: Objective, updates: int) -> None:
        fit(name, module, replace(config.stage, updates=updates), run, batches, loss_of, score_of)

    if config.adapter.kind == "dvpt":
        encoder = with_prompts(encoder, config.adapter.prompts)
    elif config.adapter.kind == "colora":
        encoder = with_low_rank(encoder, config, run, train, loss_of, list(batches(0, HELD_OUT)))
    objective = build_objective(config, encoder).to(run.device)
    before = measured(objective)
    train(config.objective, objective, config.stage.updates)
    loss, chance = measured(objective), objective.chance(config.stage.batch)
    run.log(held_out=round(loss, 4), before=round(before, 4), chance=round(chance, 4))
    weights = run.folder / "encoder.safetensors"
    save_encoder(weights, encoder.config, merged(objective.encoder.cpu()))
    return Pretrained(weights, loss, before, chance)


def _draws(config: PretrainConfig, reads: Sequence[str], run: Run) -> tuple[DrawBatch, DrawBatch]:
    """Return what draws batches of the training clips, and of those held out.

    Raises:
        ConfigError: train or val has no clip with what the objective reads.
    """
    corpus = config.corpus
    samples = read_corpus(corpus, config.corpus_policy)
    paths = [sample.path for sample in samples]
    failed = fill_cache(Path(corpus.cache), paths, corpus.workers, lambda done, total: None)
    readable = [sample for sample in samples if sample.path not in failed]
    streams = [name for name in reads if name != "regions"]
    clips = load_corpus(readable, StreamCache(Path(corpus.cache)), corpus.min_face, streams)
    run.log(
        clips={split: len(members) for split, members in clips.items()},
        failed={path.name: why for path, why in failed.items()},
    )
    why = "; ".join(failed.values()) or f"none has {' and '.join(reads)}"
    return _draw("train", clips, config, reads, why), _draw("val", clips, config, reads, why)


def _draw(
    split: str, clips: Mapping[str, list[TrainClip]], config: PretrainConfig, reads: Sequence[str],
    why: str,
) -> DrawBatch:  # fmt: skip
    """Return what draws batches of a split's clips by their key.

    Raises:
        ConfigError: there are none.
    """
    members = clips[split]
    if "regions" in reads:
        looks = face_looks(c for c in members if c.face is not None and not c.face.scene)
        plain: DrawBatch = partial(look_batch, looks, config.stage.batch)
        members = members if looks else []
    else:
        plain = partial(clip_batch, members, reads, config.stage)
    if not members:
        where = config.corpus.manifest
        raise ConfigError(f"{where}: no clip of the split {split} can be used: {why}")
    if not config.degraded:
        return plain
    return lambda key: degraded(plain(key), config.degraded)
