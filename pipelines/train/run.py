"""The training of a detector from labelled clips, in stages that two cores can carry.

1. Each expert is trained alone to tell forged from genuine steps of its own stream, and so is
   every opinion trained by gradient descent (`pipelines.detection.opinions`).
2. The sound expert is fine-tuned on pairs of genuine speech and its neural-vocoder resynthesis.
3. The lip and voice experts are trained by contrast, on clips in sync alone.
4. Opinions are fitted in closed form: how sharp genuine faces of a size are, how steadily they
   move, how genuine voices vary (also in the first layers of Whisper), and how generated ones
   differ.
5. The localizers are trained on partial forgeries: that of the sound on splices drawn on the fly.
6. Fusion and its localization head are trained on the experts' cached tokens.
7. The scores are calibrated on held-out clips.

Every finished stage is a file in the run's folder; an interrupted run resumes from there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from pipelines.config import ConfigError, load_config
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.own_networks import on_own
from pipelines.storage.weights import WeightsError, load_weights
from pipelines.train.calibrate import calibrate
from pipelines.train.fill_cache import fill_cache
from pipelines.train.fit import Run
from pipelines.train.fusion import train_fusion
from pipelines.train.opinions import train_opinions
from pipelines.train.pairs import train_pairs
from pipelines.train.picture_localizer import PICTURE, train_picture_localizer
from pipelines.train.ray_train import train_together
from pipelines.train.recipe import TrainConfig, load_clips, read_samples
from pipelines.train.sound_localizer import SOUND, train_sound_localizer
from pipelines.train.sync import train_sync
from pipelines.train.team import Workers
from pipelines.train.vocoder import train_vocoder

logger = logging.getLogger(__name__)
LOCALIZERS = {SOUND: train_sound_localizer, PICTURE: train_picture_localizer}


def train(
    path: Path, overrides: Sequence[str] = (), workers: int = 1, address: str | None = None
) -> Path:
    """Train by a YAML recipe and return the path of the weights.

    Args:
        path: the recipe.
        overrides: settings that differ from it, `key=value`.
        workers: processes that train together (DDP on Ray Train), each on batches of the
            configured size: n of them equal one with n times the batch size.
        address: of a Ray cluster; None: one on this machine, if several processes need one.

    Raises:
        ConfigError: the file or an override names an unknown setting, or options that several
            processes cannot train by.
        FileNotFoundError: a manifest does not exist.
        InputError: a network that the recipe names cannot be used.
        PlanError, PoolError: the cluster is missing or too small, or workers fail.
    """
    return train_by(load_config(TrainConfig, path, overrides), workers, address)


def train_by(config: TrainConfig, workers: int = 1, address: str | None = None) -> Path:
    """Train by a recipe and return the path of the weights; see `train`."""
    if workers > 1 and config.options.chosen():
        named = ", ".join(config.options.chosen())
        raise ConfigError(f"options: {named}: trained by one process alone, not {workers}")
    detector = config.options.on(on_own(config.detector, config.networks))
    config = replace(config, detector=detector)
    data, out = config.data, Path(config.out)
    paths = [sample.path for sample in read_samples(data)]
    failed = fill_cache(Path(data.cache), paths, data.workers, _report, address, config.streams)
    if workers == 1 and address is None:
        train_stages(config, failed, Workers())
    else:
        body = partial(train_stages, config, failed)
        train_together(body, workers, config.device == "cuda", out / "ray", address)
    return out / f"{config.detector.name}.safetensors"


def train_stages(config: TrainConfig, failed: dict[Path, str], team: Workers) -> None:
    """Train all stages as one worker of a team; its leader calibrates and saves the weights.

    failed: the clips whose streams could not be cached, and why.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    run = Run(Path(config.out), config.seed, config.device, config.precision, team)
    clips = load_clips(config.data, failed, run, config.streams)
    detector = Detector(config.detector).to(config.device)
    if config.stem:
        load_stem(detector, Path(config.stem))
    train_opinions(detector, clips, config, run, closed_form=False)
    if "pairs" in config.stages:
        vocoder = train_vocoder(clips, config.vocoder, run)
        train_pairs(detector, vocoder, clips, config.pairs, run)
    if "sync" in config.stages:
        train_sync(detector, clips, config.sync, run)
    train_opinions(detector, clips, config, run, closed_form=True)
    named = {opinion.name for opinion in detector.opinions}
    for name, train_localizer in LOCALIZERS.items():
        if name in config.stages and name in named:
            train_localizer(detector, clips, config.stage(name), run)
    if "fusion" in config.stages:
        train_fusion(detector, clips, config.fusion, run)
    if not team.leads:
        return
    if "calibrate" in config.stages:
        calibrate(detector, clips, run)
    weights = run.folder / f"{config.detector.name}.safetensors"
    save_detector(weights, detector.eval(), {"clips": {s: len(c) for s, c in clips.items()}})


def load_stem(detector: Detector, path: Path) -> None:
    """Initialise the appearance expert's first layers with those of an ImageNet network.

    Raises:
        WeightsError: the file is not a state of torchvision's MobileNetV2.
    """
    stem = detector.experts.get_submodule("appearance.stem")
    layers = {n.removeprefix("features."): t for n, t in load_weights(path, None)[0].items()}
    try:
        stem.load_state_dict({name: layers[name] for name in stem.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path}: not the weights of torchvision's mobilenet_v2") from error


def _report(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        logger.info("streams of %d of %d files", done, total)
