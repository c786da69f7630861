"""The configuration of a training, and the labelled clips that it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from extractors.streams import StreamConfig
from pipelines.config import ConfigError
from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample, read_manifest, read_splits
from pipelines.data.truth import read_forged
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import known_opinions
from pipelines.detection.own_networks import with_own
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.clips import TrainClip, train_clip
from pipelines.train.fit import Run
from pipelines.train.options.table import OptionsConfig
from pipelines.train.stage import StageConfig


@dataclass(frozen=True)
class DataConfig:
    """Where the training clips are."""

    videos: str | None = None  # manifest of clips
    sounds: str | None = None  # manifest of speech
    columns: dict[str, str] = field(default_factory=dict)  # our names of their columns -> theirs
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
    # Files of published networks that opinions borrow layers from, by the opinion's name; without
    # it, the opinion has no say. `whisper`, `utterance`: CTranslate2's model.bin of Whisper base.
    published: dict[str, str] = field(default_factory=dict)
    # File or folder of the picture encoder that portraits are made by; None: the package's.
    encoder: str | None = None
    # The same of the speech encoder that speech features are made by; None: there are none.
    speech_encoder: str | None = None
    lip_encoder: str | None = None  # and of the lip reader
    flow_weights: str | None = None  # safetensors of torchvision's RAFT; None: OpenCV's DIS
    depth_weights: str | None = None  # see `StreamConfig`; None: depth of the face mesh
    stages: tuple[str, ...] = field(
        default_factory=lambda: (
            *(name for name, opinion in known_opinions().items() if opinion.fit is not None),
            *(name for name, opinion in known_opinions().items() if opinion.localizes),
            *("pairs", "sync", "fusion", "calibrate"),
        )
    )
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
    opinions: dict[str, StageConfig] = field(default_factory=dict)  # of all other stages
    options: OptionsConfig = field(default_factory=OptionsConfig)  # docs/train.md has them

    @property
    def streams(self) -> StreamConfig:
        """The configuration by which the clips' streams are extracted."""
        return with_own(self.networks, self.detector)

    @property
    def networks(self) -> StreamConfig:
        """The networks of one's own that it names."""
        return StreamConfig(
            self.flow_weights, self.depth_weights, encoder=self.encoder, device=self.device,
            speech_encoder=self.speech_encoder, lip_encoder=self.lip_encoder,
        )  # fmt: skip

    def stage(self, name: str) -> StageConfig:
        """Return the settings of the stage of an expert or opinion."""
        settings: StageConfig = getattr(self, name, None) or self.opinions.get(name, StageConfig())
        return settings


def load_clips(
    config: DataConfig,
    failed: Mapping[Path, str],
    run: Run,
    streams: StreamConfig = StreamConfig(),
) -> dict[str, list[TrainClip]]:
    """Return the usable clips of every split, without those whose extraction failed.

    Raises:
        ConfigError: the split train or val has no usable clip.
    """
    samples, unfit = read_samples(config), dict(failed)
    cache = StreamCache(Path(config.cache), streams)
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
    if not clips["train"]:
        why = next((f": {path.name}: {why}" for path, why in unfit.items()), "")
        raise ConfigError(f"data: no clip of the split train can be used{why}")
    if not clips["val"]:
        raise ConfigError(
            "data: no clip of the split val, on which training is stopped early, can be used; "
            "`avdetect datasets split` makes splits, `data.splits` lists sources of val"
        )
    for split, members in clips.items():
        run.log(split=split, clips=len(members), methods=Counter(c.sample.method for c in members))
    return clips


def read_samples(config: DataConfig) -> list[Sample]:
    """Return all samples that the configuration names.

    Raises:
        ConfigError, InputError: there are none, or a file that names them cannot be used.
        OSError: a file cannot be opened.
    """
    splits = read_splits(Path(config.splits))
    samples: list[Sample] = []
    if config.videos:
        samples += read_manifest(Path(config.videos), splits, config.columns)
    if config.sounds:
        samples += map(_sound, read_manifest(Path(config.sounds), splits, config.columns))
    origins = {sample.path.name: sample for sample in samples}
    for metadata in config.forged:
        samples += read_forged(Path(metadata), origins)
    if not samples:
        raise ConfigError("data: names no clip; videos or sounds must name a manifest with some")
    return samples


def _sound(sample: Sample) -> Sample:
    """Return the sample as one of sound alone, whose label is that of its sound."""
    audio = WHOLE if sample.fake and sample.audio is None else sample.audio
    return replace(sample, visual=None, audio=audio)
