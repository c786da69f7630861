"""The detector: experts, fusion, localization and opinions as one network, and its weights file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from extractors.errors import InputError
from extractors.shapes import check_arrays
from fusion.transformer import CrossModalTransformer, LagProfile
from pipelines.config import from_dict, to_dict
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import ABSENT, Opinion, opinions_of
from pipelines.detection.pooling import any_logit, clip_means, clip_peaks
from pipelines.storage.weights import WeightsError, load_into, load_weights, save_weights
from temporal.adapters import Adapter
from temporal.added_experts import add_experts, streams_of_experts
from temporal.experts import CONTEXT, build_experts, normalise
from temporal.localization import LocalizationHead, StepOutputs
from temporal.localizer import SoundLocalizer
from temporal.opinions.whisper_stem import WhisperListener
from temporal.segment import MODALITIES

FORMAT = "avdetect detector 8"
# Matrices below these are kept in half precision: Whisper's are published so, and scores move by
# less than 0.001.
HALVED = ("whisper.stem.", "utterance.stem.", "experts.", "localizers.", "fusion.", "head.")


@dataclass(frozen=True, eq=False)
class DetectorOutputs:
    """The detector's outputs for each step of a window."""

    opinions: Tensor  # (N, L, J) step logits of each opinion; 0 where its input is missing
    proposal_logits: Tensor  # (N, L, K, 3): see `StepOutputs`
    reach: Tensor  # (N, L, K, 3, 2)

    def __post_init__(self) -> None:
        check_arrays(self, opinions="N L J", proposal_logits="N L K 3", reach="N L K 3 2")


class Detector(nn.Module):
    """Opinions and segment proposals from any subset of the streams, and their weighted sum."""

    # Weights and biases of the opinions, fitted after training on held-out clips.
    clip_weights: Tensor  # (J, 2) of an opinion's mean over the clip, and of its peak above it
    step_weights: Tensor  # (J, 2) of its mean over the clip, and of a step's deviation from it
    biases: Tensor  # (2, 3) of the clip's and the steps' logits
    # (scale, shift) of each modality's clip logit, fitted last
    calibration: Tensor  # (3, 2)
    # (J, 3) 1 where an opinion is about a modality, else 0: of those that are summed, and of
    # localizers, whose weights are scale and shift of their own logit
    belongs: Tensor
    localizes: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        """Make an untrained detector.

        Raises:
            ValueError: the config names unknown opinions.
        """
        super().__init__()
        self.config, self.opinions = config, opinions_of(config)
        dim, fusion = config.experts.dim, config.fusion
        # every expert's name and the streams that it reads
        self.reads = streams_of_experts(o.reads for o in self.opinions if o.source == "tokens")
        self.experts = build_experts(config.experts)
        add_experts(self.experts, self.reads, config.experts)
        self.adapters = nn.ModuleDict({name: Adapter(dim) for name in config.adapters})
        self.lag = LagProfile(dim, fusion.reach, fusion.lag_span, CONTEXT["lips"])
        self.lag_token = nn.Linear(2 * fusion.reach + 1, dim)
        self.fusion = CrossModalTransformer((*self.reads, "lag"), dim, fusion)
        self.probes, self.localizers, self.plugged = (nn.ModuleDict() for _ in range(3))
        for opinion in self.opinions:
            if opinion.network is not None:
                parent, _, name = (opinion.at or opinion.name).rpartition(".")
                self.get_submodule(parent).add_module(name, opinion.network(config))
        for opinion in self.opinions:
            if opinion.hears:
                localizer, listener = self.network(opinion.name), self.network(opinion.hears)
                cast(SoundLocalizer, localizer).listen_by(cast(WhisperListener, listener))
        self.head = LocalizationHead(dim, config.localization)
        for parameter in self.head.steps[-1].parameters():
            nn.init.zeros_(parameter)  # fusion starts as no correction of the experts' opinions
        # initially a modality's experts are averaged, and fusion is added as a correction
        experts = {o.name: o.modality for o in self.opinions if o.fit == "with its expert"}
        counts = Counter(experts.values())
        shares = torch.tensor(
            [1 / counts[o.modality] if o.name in experts else 1.0 for o in self.opinions]
        )
        self.register_buffer("clip_weights", torch.stack([shares, shares / 2], dim=1))
        self.register_buffer("step_weights", torch.stack([shares, shares], dim=1))
        self.register_buffer("biases", torch.zeros(2, len(MODALITIES)))
        self.register_buffer("calibration", torch.tensor([[1.0, 0.0]] * len(MODALITIES)))
        belongs = torch.tensor(
            [[float(o.modality == m) for m in MODALITIES] for o in self.opinions]
        )
        alone = torch.tensor([[float(o.localizes)] for o in self.opinions])
        self.register_buffer("belongs", belongs * (1 - alone), persistent=False)
        self.register_buffer("localizes", belongs * alone, persistent=False)

    def network(self, opinion: str) -> nn.Module:
        """Return the network of an opinion, by its name."""
        row = next(row for row in self.opinions if row.name == opinion)
        return self.get_submodule(row.at or row.name)

    def expert_tokens(self, name: str, streams: Mapping[str, Tensor]) -> Tensor:
        """Return the tokens (N, L, D) of one expert, all of whose streams (N, L, ...) are given."""
        inputs = (normalise(stream, streams[stream]) for stream in self.reads[name])
        tokens: Tensor = self.experts[name](*inputs)
        return self.adapters[name](tokens) if name in self.adapters else tokens

    def tokens(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return, by name, the tokens (N, L, D) of every expert whose streams (N, L, ...) exist.

        With lips and voice, `lag` is their similarity (N, L, 2 * reach + 1) at each lag. Every
        opinion that reads streams adds what `ask` returns under its name.
        """
        tokens = {
            name: self.expert_tokens(name, streams)
            for name, inputs in self.reads.items()
            if set(inputs) <= streams.keys()
        }
        if "lips" in tokens and "voice" in tokens:
            tokens["lag"] = self.lag(tokens["lips"], tokens["voice"], mask)
        for opinion in self.opinions:
            if opinion.source == "streams" and opinion.applies(streams):
                tokens[opinion.name] = self.ask(opinion, streams, mask)
        return tokens

    def ask(self, opinion: Opinion, given: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return the step logits (N, L) of an opinion on the streams or tokens that it reads.

        A localizer's outputs are (N, L, C), see `StepOutputs.packed`.
        """
        inputs = [given[name] for name in opinion.reads]
        found = self.network(opinion.name)(*inputs, mask)
        logits: Tensor = found.packed() if isinstance(found, StepOutputs) else found
        return logits[:, None].expand(mask.shape) if logits.dim() == 1 else logits

    def fuse(self, tokens: Mapping[str, Tensor], mask: Tensor) -> DetectorOutputs:
        """Return every opinion on tokens (N, L, D), and the segment proposals."""
        inputs = dict(tokens)
        if "lag" in inputs:
            inputs["lag"] = self.lag_token(inputs["lag"])
        out = self.head(self.fusion(inputs, mask), mask)
        proposals, reach = out.proposal_logits, out.reach
        logits = []
        for opinion, columns in zip(self.opinions, self.localizes > 0, strict=True):
            found = tokens.get(opinion.name) if opinion.source == "streams" else None
            if opinion.source == "tokens" and opinion.applies(tokens):
                found = self.ask(opinion, tokens, mask)
            elif opinion.source == "fusion":
                found = out.logits[..., MODALITIES.index(opinion.modality)]
            if opinion.localizes and found is not None:
                own = StepOutputs.unpacked(found, 1)
                proposals = torch.where(columns, own.proposal_logits, proposals)
                reach = torch.where(columns[:, None], own.reach, reach)
                found = own.logits[..., 0]
            if found is None:
                found = torch.full_like(out.logits[..., 0], ABSENT if opinion.localizes else 0.0)
            logits.append(found)
        return DetectorOutputs(torch.stack(logits, dim=-1), proposals, reach)

    def forward(self, streams: Mapping[str, Tensor], mask: Tensor) -> DetectorOutputs:
        """Return the outputs for streams (N, L, ...); mask (N, L): the valid steps."""
        return self.fuse(self.tokens(streams, mask), mask)

    def speaks(self, modality: str, streams: Collection[str]) -> bool:
        """Return whether an opinion of non-zero clip weight in a modality reads these streams."""
        return any(
            opinion.modality == modality
            and bool(weights.any())
            and (opinion.source != "streams" or opinion.applies({*streams, "size"}))
            for opinion, weights in zip(self.opinions, self.clip_weights, strict=True)
        )

    def step_logits(self, opinions: Tensor, mask: Tensor) -> Tensor:
        """Return step logits (N, T, 3) of opinions (N, T, J) on a clip, its steps in mask (N, T).

        The clip's mean and a step's deviation from it are weighted separately: some opinions are
        evidence of the one, some of the other.
        """
        mean = clip_means(opinions, mask)[:, None]
        whole, local = self.step_weights.T
        summed = (mean * whole + (opinions - mean) * local) @ self.belongs + self.biases[1]
        return self._with_localizers(summed, opinions, self.step_weights)

    def clip_logits(self, opinions: Tensor, mask: Tensor) -> Tensor:
        """Return clip logits (N, 3) of opinions (N, T, J) over the steps in mask (N, T).

        A clip forged throughout raises the mean, a short forgery the peak.
        """
        mean = clip_means(opinions, mask)
        whole, local = self.clip_weights.T
        peak = clip_peaks(opinions, mask, self.config.peak_steps)
        summed = (mean * whole + (peak - mean) * local) @ self.belongs + self.biases[0]
        stretch = clip_peaks(opinions, mask, self.config.localized_steps)
        return self._with_localizers(summed, stretch, self.clip_weights)

    def _with_localizers(self, summed: Tensor, opinions: Tensor, weights: Tensor) -> Tensor:
        """Return logits (..., 3) that either the summed opinions (..., 3) or a localizer is right.

        opinions: (..., J), of which those of localizers are scaled and shifted by weights (J, 2).
        """
        logits = opinions * weights[:, 0] + weights[:, 1]
        columns = []
        for column, modality in enumerate(MODALITIES):
            joined = summed[..., column]
            rows = [
                i for i, o in enumerate(self.opinions) if o.localizes and o.modality == modality
            ]
            if rows:
                joined = any_logit(torch.cat([joined[..., None], logits[..., rows]], dim=-1))
            columns.append(joined)
        return torch.stack(columns, dim=-1)

    def calibrated(self, clip_logits: Tensor) -> Tensor:
        """Return P(fake) (4,) for visual, audio, sync and any; NaN clip logits (3,): not judged.

        A clip is real if its picture and its sound are (noisy-or). The prior of each modality's
        own score is even odds, as is that of a whole file with picture and sound, or of sound
        alone. So the log odds of picture and sound in a video are each lowered to `two_tracks`,
        also where the sound is missing, since then only one track can be forged. Sync takes no
        part: lips and sound fit badly in many real clips too.
        """
        own = self.calibration[:, 0] * clip_logits + self.calibration[:, 1]
        visual, audio, _ = own
        alone = torch.stack([visual, audio])
        both = alone + self.config.two_tracks
        overall = any_logit(torch.where(visual.isnan(), alone, both)[None])
        return torch.cat([own, overall]).sigmoid()


def save_detector(path: Path, detector: Detector, facts: Mapping[str, object]) -> None:
    """Write weights, config and facts (on training and accuracy) to one file."""
    metadata = {
        "config": json.dumps(to_dict(detector.config)),
        "facts": json.dumps(dict(facts)),
    }
    state = {
        name: t.half() if name.startswith(HALVED) and t.dim() > 1 else t
        for name, t in detector.state_dict().items()
    }
    save_weights(path, state, FORMAT, metadata)


def load_detector(path: Path, device: str = "cpu") -> Detector:
    """Return the detector of a weights file, in evaluation mode.

    Raises:
        WeightsError: there is no such file, or it is no detector of this format.
        ConfigError: its settings are not those of a detector.
        InputError: there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("cuda: there is no CUDA device that PyTorch can use here")
    state, metadata = load_weights(path, FORMAT)
    config = from_dict(DetectorConfig, json.loads(metadata["config"]), str(path))
    try:
        detector = Detector(config)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    load_into(detector, path, state)
    return detector.to(device).eval()
