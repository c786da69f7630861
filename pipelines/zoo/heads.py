"""Training of heads, which classify the forgery of a whole clip, from their YAML files.

A head reads the outputs of the detector's experts on a clip's first three seconds. Its labels are
lists of generators and manipulations, so another taxonomy is one YAML file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fusion.heads.closed import FamilyHead, LaunderingHead, TypeHead, best_threshold, mean_proxy
from fusion.heads.open import OpenFamilyHead
from pipelines.config import ConfigError, from_dict, load_config, to_dict
from pipelines.data.samples import Sample
from pipelines.detection.starter import STARTER, check_experts, experts_sha256
from pipelines.metrics.classification import auc
from pipelines.storage.weights import load_into, load_weights, save_weights
from pipelines.train.batches import balanced_weights
from pipelines.train.fit import Run, fit
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.train.stage import StageConfig
from pipelines.zoo.head_clips import HeadClips, HeadConfig, capped, head_clips, vector_of
from pipelines.zoo.part_clips import PROBED
from temporal.experts import EXPERTS, ExpertConfig

FORMAT = "avdetect head 1"
SHOTS = 3  # clips by which newcomers are registered, to set their threshold
HEADS = Path("configs/heads")  # where the heads of the project are described
Head = TypeHead | FamilyHead | LaunderingHead


def train_head(path: Path, data: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Train a head by its YAML file, and return the path of its weights.

    Args:
        path: the head's YAML file.
        data: a training recipe (YAML), which names the clips.
        out: folder of runs, where the experts' outputs are cached.
        overrides: settings of the head that differ, `key=value`.

    Raises:
        ConfigError: a file cannot be used, or a label has no clips.
        FileNotFoundError: a manifest does not exist.
    """
    config = load_config(HeadConfig, path, overrides)
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    samples = read_samples(recipe.data)
    train, val, calibration = (
        head_clips(config, _taught(samples, split, config), recipe, out)
        for split in ("train", "val", "calibration")
    )
    without = [n for n, has in zip(config.labels, (train.targets == 1).any(dim=0), strict=True)
               if not has]  # fmt: skip
    if without:
        raise ConfigError(f"{data}: no clips to learn {without} from")
    run = Run(out / path.stem, recipe.seed, recipe.device, "float32")
    head = build_head(config, train.vectors.shape[1])
    fit_head(path.stem, head, train, val, config.stage, run)
    settle(head, val, calibration)
    weights = out / f"{path.stem}.safetensors"
    save_head(weights, head.eval(), config, len(train.clips))
    return weights


def settle(head: Head, *held: HeadClips) -> None:
    """Set a head's thresholds on held-out clips."""
    vectors = torch.cat([clips.vectors for clips in held])
    targets = torch.cat([clips.targets for clips in held])
    head.eval().settle(vectors, targets)
    if isinstance(head, FamilyHead):
        methods = [method for clips in held for method in clips.methods]
        forged = (targets > 0).any(dim=1)
        with torch.no_grad():
            pairs = newcomer_cosines(head.describe(vectors), methods, forged)
            if pairs is not None:
                head.newcomer.copy_(best_threshold(*pairs))


def newcomer_cosines(
    described: Tensor, methods: Sequence[str], forged: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Return cosines (M,) of clips and registered generators, and which pairs belong together.

    Generators are registered by three other clips. None if no generator has enough clips; genuine
    clips belong to none.
    """
    places: dict[str, list[int]] = {}
    for place, method in enumerate(methods):
        if forged[place]:
            places.setdefault(method, []).append(place)
    cosines, own = [], []
    for members in places.values():
        if len(members) > SHOTS:
            others = torch.ones(len(methods), dtype=torch.bool)
            others[members[:SHOTS]] = False
            is_own = torch.zeros(len(methods), dtype=torch.bool)
            is_own[members] = True
            cosines.append((described @ mean_proxy(described[members[:SHOTS]]))[others])
            own.append(is_own[others])
    return (torch.cat(cosines), torch.cat(own)) if cosines else None


def _taught(samples: Sequence[Sample], split: str, config: HeadConfig) -> list[Sample]:
    """Return a split's samples for a head, at most `config.most` of each source and method.

    They are genuine or labelled; an open head is trained on those without a label as well.
    """
    strangers = config.kind == "open" and split == "train"
    eligible = [s for s in samples if s.split == split
            and (strangers or not getattr(s, config.modality) or config.labels_of(s))]  # fmt: skip
    return capped(eligible, config.most)


def fit_head(
    stage: str, head: Head, train: HeadClips, val: HeadClips, config: StageConfig, run: Run
) -> None:
    """Train a head in place; clips are drawn so that their source does not predict the label."""
    vectors, targets, clips = train.vectors, train.targets, train.clips
    weights = balanced_weights(clips, "any").double().numpy()
    run.log(stage=stage, train=len(clips), labelled=int(train.labelled.sum()),
            of_labels=(targets == 1).sum(dim=0).tolist())  # fmt: skip

    def batches(first: int, last: int) -> Iterator[Tensor]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update))
            picks = rng.choice(len(clips), config.batch, p=weights / weights.sum())
            yield torch.from_numpy(picks)

    def loss_of(module: Head, picks: Tensor) -> Tensor:
        return module.loss(vectors[picks], targets[picks])

    def score_of(module: Head) -> float:
        return labels_auc(module(val.vectors), val.targets)

    fit(stage, head, config, run, batches, loss_of, score_of)


def labels_auc(scores: Tensor, targets: Tensor) -> float:
    """Return the mean over labels of the AUC against all other labelled clips; 0.5 without any."""
    labelled = ~targets.isnan().any(dim=1)
    aucs = [
        auc(truth.numpy(), score.numpy())
        for score, truth in zip(scores[labelled].float().T, targets[labelled].T, strict=True)
        if 0 < truth.sum() < len(truth)
    ]
    return float(np.mean(aucs)) if aucs else 0.5


def build_head(config: HeadConfig, width: int) -> Head:
    """Return an untrained head for clip vectors of `width` values.

    Raises:
        ConfigError: its class refuses the settings.
    """
    kinds: dict[str, type[Head]] = {
        "types": TypeHead, "families": FamilyHead, "open": OpenFamilyHead,
        "laundering": LaunderingHead,
    }  # fmt: skip
    made = kinds[config.kind]
    try:
        return made(width, len(config.labels), **config.settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings: {error}") from error


def save_head(path: Path, head: Head, config: HeadConfig, clips: int) -> None:
    """Write a head's weights, its configuration and the digest of its experts to one file."""
    metadata = {
        "config": json.dumps(to_dict(config)), "clips": str(clips),
        "experts": experts_sha256(STARTER),
    }  # fmt: skip
    save_weights(path, head.state_dict(), FORMAT, metadata)


def load_head(weights: Path) -> tuple[Head, HeadConfig]:
    """Return a head ready for inference, and its configuration.

    Raises:
        WeightsError: the file holds no head, or one for other experts than the detector's.
        ConfigError: its configuration is not that of a head.
    """
    state, facts = load_weights(weights, FORMAT)
    check_experts(weights, facts)
    config = from_dict(HeadConfig, json.loads(facts["config"]), str(weights))
    head = build_head(config, len(vector_of(config, nothing_said())))
    load_into(head, weights, state)
    return head.eval(), config


def nothing_said() -> dict[str, Tensor]:
    """Return experts' outputs of one step, all zero, for their shapes."""
    dim = ExpertConfig().dim
    return {"tokens": torch.zeros(1, len(EXPERTS), dim), "opinions": torch.zeros(1, len(PROBED))}
