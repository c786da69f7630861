"""Clips with truth in, a trained detector out, in stages that two cores can carry.

1. Each expert learns alone to tell forged from genuine steps of its own stream.
2. The sound expert goes on learning from genuine speech beside the same by a neural vocoder.
3. Lips and voice learn what belongs together, from genuine clips alone.
4. How sharp genuine faces of a size are, how steadily they move, how genuine voices vary, and how
   generated ones differ, is fitted; for voices also in what Whisper's first layers hear.
5. Fusion and localization learn on the experts' cached tokens.
6. The scores are calibrated on clips that took no part.

Every finished stage is a file in the run's folder; a run that broke off goes on from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from pipelines.batches import TrainClip, train_clip
from pipelines.calibrate import calibrate
from pipelines.config import load_config
from pipelines.datasets import (
    Sample,
    read_audio_manifest,
    read_forged,
    read_splits,
    read_video_manifest,
)
from pipelines.detector import PROBES, Detector, DetectorConfig, save_detector
from pipelines.extraction import fill_cache
from pipelines.fitting import Run, StageConfig
from pipelines.jobs_training import train_together
from pipelines.stream_cache import StreamCache
from pipelines.team import Team
from pipelines.train_experts import train_expert, train_sync
from pipelines.train_fusion import train_fusion
from pipelines.train_judges import train_speech, train_steadiness
from pipelines.train_pairs import train_pairs
from pipelines.train_sharpness import train_sharpness
from pipelines.train_vocoder import train_vocoder
from pipelines.train_whisper import train_whisper

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
    """Where the training clips are."""

    videos: str | None = None  # manifest.csv of clips
    sounds: str | None = None  # manifest.csv of speech
    forged: tuple[str, ...] = ()  # metadata.json of forged clips
    splits: str = "configs/splits.yaml"
    cache: str = "cache/streams"
    workers: int = 2  # processes that fill the cache; several are Ray workers
    min_face: float = 40.0  # pixels; clips with smaller faces do not train


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    out: str = "runs/starter"
    seed: int = 0
    threads: int = 2
    device: str = "cpu"
    precision: str = "bfloat16"  # of the forward passes, or float32
    stem: str | None = None  # safetensors of torchvision's MobileNetV2 (ImageNet) to start from
    whisper: str | None = None  # CTranslate2's model.bin of Whisper base; None: it has no say
    stages: tuple[str, ...] = (
        *PROBES, "pairs", "sync", "sharpness", "steadiness", "speech", "whisper", "fusion",
        "calibrate",
    )  # fmt: skip
    data: DataConfig = field(default_factory=DataConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    appearance: StageConfig = field(default_factory=StageConfig)
    flow: StageConfig = field(default_factory=StageConfig)
    depth: StageConfig = field(default_factory=StageConfig)
    mel: StageConfig = field(default_factory=lambda: StageConfig(batch=32, length=50))
    vocoder: StageConfig = field(default_factory=lambda: StageConfig(3000, batch=12, length=13))
    pairs: StageConfig = field(default_factory=lambda: StageConfig(400, 12, 50, rate=3e-4))
    sync: StageConfig = field(default_factory=lambda: StageConfig(batch=24, length=64))
    fusion: StageConfig = field(default_factory=lambda: StageConfig(batch=32, length=128))


def train(
    path: Path, overrides: Sequence[str] = (), workers: int = 1, address: str | None = None
) -> Path:
    """Train as a YAML file says and return the path of the weights.

    Args:
        path: the file.
        overrides: settings that differ from it, `key=value`.
        workers: processes that train together (DDP on Ray Train), each on batches of the
            configured size: n of them are one with n times the batch.
        address: of a Ray cluster; None: one on this machine, where several processes need one.

    Raises:
        ConfigError: the file or an override names an unknown setting.
        FileNotFoundError: a manifest is not there.
        PlanError, PoolError: the cluster is not there or not large enough, or workers fail.
    """
    config = load_config(TrainConfig, path, overrides)
    data, out = config.data, Path(config.out)
    paths = [sample.path for sample in read_samples(data)]
    failed = fill_cache(Path(data.cache), paths, data.workers, _report, address)
    if workers == 1 and address is None:
        train_stages(config, failed, Team())
    else:
        body = partial(train_stages, config, failed)
        train_together(body, workers, config.device == "cuda", out / "ray", address)
    return out / f"{config.detector.name}.safetensors"


def train_stages(config: TrainConfig, failed: dict[Path, str], team: Team) -> None:
    """Train all stages as one worker of a team; its leader calibrates and saves the weights.

    failed: the clips whose streams are not in the cache, and why.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    run = Run(Path(config.out), config.seed, config.device, config.precision, team)
    clips = load_clips(config.data, failed, run)
    detector = Detector(config.detector).to(config.device)
    if config.stem:
        load_stem(detector, Path(config.stem))
    for name, modality in PROBES.items():
        if name in config.stages:
            train_expert(name, modality, detector, clips, getattr(config, name), run)
    if "pairs" in config.stages:
        vocoder = train_vocoder(clips, config.vocoder, run)
        train_pairs(detector, vocoder, clips, config.pairs, run)
    if "sync" in config.stages:
        train_sync(detector, clips, config.sync, run)
    if "sharpness" in config.stages:
        train_sharpness(detector, clips["train"], run)
    if "steadiness" in config.stages:
        train_steadiness(detector, clips["train"], run)
    if "speech" in config.stages:
        train_speech(detector, clips["train"], run)
    if "whisper" in config.stages and config.whisper:
        train_whisper(detector, clips["train"], Path(config.whisper), run)
    if "fusion" in config.stages:
        train_fusion(detector, clips, config.fusion, run)
    if not team.leads:
        return
    if "calibrate" in config.stages:
        calibrate(detector, clips, run)
    weights = run.folder / f"{config.detector.name}.safetensors"
    save_detector(weights, detector.eval(), {"clips": {s: len(c) for s, c in clips.items()}})


def load_stem(detector: Detector, path: Path) -> None:
    """Give the appearance expert the layers of an ImageNet network that it shares with it.

    Raises:
        ValueError: the file does not hold torchvision's MobileNetV2.
    """
    stem = detector.experts.get_submodule("appearance.stem")
    given = {n.removeprefix("features."): t for n, t in load_file(path).items()}
    try:
        stem.load_state_dict({name: given[name] for name in stem.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: not the weights of torchvision's mobilenet_v2") from error


def load_clips(
    config: DataConfig, failed: Mapping[Path, str], run: Run
) -> dict[str, list[TrainClip]]:
    """Return the usable clips of every split; those that failed to be extracted are left out."""
    samples, unfit = read_samples(config), dict(failed)
    cache = StreamCache(Path(config.cache))
    clips: dict[str, list[TrainClip]] = {"train": [], "val": [], "calibration": [], "dev": []}
    for sample in samples:
        if sample.path in unfit or sample.split not in clips:
            continue
        clip = train_clip(sample, cache.get(sample.path), config.min_face)
        if clip is None:
            unfit[sample.path] = "neither a usable face nor sound"
        else:
            clips[sample.split].append(clip)
    run.log(samples=len(samples), failed={str(p.name): why for p, why in unfit.items()})
    for split, members in clips.items():
        run.log(split=split, clips=len(members), methods=Counter(c.sample.method for c in members))
    return clips


def read_samples(config: DataConfig) -> list[Sample]:
    """Return all samples that the configuration names."""
    splits = read_splits(Path(config.splits))
    samples: list[Sample] = []
    if config.videos:
        samples += read_video_manifest(Path(config.videos), splits)
    if config.sounds:
        samples += read_audio_manifest(Path(config.sounds), splits)
    origins = {sample.path.name: sample for sample in samples}
    for metadata in config.forged:
        samples += read_forged(Path(metadata), origins)
    return samples


def _report(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        logger.info("streams of %d of %d files", done, total)
