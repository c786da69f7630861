"""Windows of streams in, logits out: experts, fusion and localization as one network.

`save_detector` and `load_detector` keep its weights, config and calibration in one safetensors
file, which needs nothing else to be used.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from fusion.transformer import CrossModalTransformer, FusionConfig, LagProbe, LagProfile
from pipelines.config import from_dict, to_dict
from temporal.experts import CONTEXT, EXPERTS, ExpertConfig, build_experts, normalise
from temporal.localization import MODALITIES, LocalizationConfig, LocalizationHead, StepOutputs

# The experts that judge by themselves as well, and the modality that each judges.
PROBES = {"appearance": "visual", "flow": "visual", "depth": "visual", "mel": "audio"}
# Whose step logits add up to a modality's, and which modality that is: the experts by themselves,
# lips against voice, and what fusion corrects of it.
JUDGES = (
    *PROBES.items(), ("lag", "sync"), *((f"fusion of {m}", m) for m in MODALITIES),
)  # fmt: skip
PEAK_STEPS = 25  # the most suspicious second that the clip's logit listens to


@dataclass(frozen=True)
class DetectorConfig:
    """Everything that the weights depend on."""

    name: str = "starter"
    version: str = "1"
    scenes: bool = False  # trained for pictures without a face
    experts: ExpertConfig = field(default_factory=ExpertConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)


class Detector(nn.Module):
    """Step logits, segment proposals and clip logits of any subset of the streams."""

    trust: Tensor  # (len(JUDGES),)
    calibration: Tensor  # (2, 3, 2)

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        dim, fusion = config.experts.dim, config.fusion
        self.experts = build_experts(config.experts)
        self.lag = LagProfile(dim, fusion.reach, fusion.lag_span, CONTEXT["lips"])
        self.lag_probe = LagProbe()
        self.lag_token = nn.Linear(2 * fusion.reach + 1, dim)
        self.fusion = CrossModalTransformer((*EXPERTS, "lag"), dim, fusion)
        self.probes = nn.ModuleDict({name: nn.Linear(dim, 1) for name in PROBES})
        self.head = LocalizationHead(dim, config.localization)
        for parameter in self.head.steps[-1].parameters():
            nn.init.zeros_(parameter)  # fusion begins at what the experts say by themselves
        # clip logit = weights (mean step logit, mean of the peak steps) + bias, a row a modality
        self.pool = nn.Parameter(torch.tensor([[0.5, 0.5, 0.0]] * len(MODALITIES)))
        # factor on each judge's step logits, fitted afterwards; at first a modality's experts share
        counts = Counter(PROBES.values())
        shares = [1 / counts[m] if name in PROBES else 1.0 for name, m in JUDGES]
        self.register_buffer("trust", torch.tensor(shares))
        # (scale, shift) of each modality's clip logit, fitted afterwards: first for its own score,
        # then for its part in the clip's
        self.register_buffer("calibration", torch.tensor([[[1.0, 0.0]] * len(MODALITIES)] * 2))

    def tokens(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return tokens (N, L, D) of every expert whose streams (N, L, ...) are there.

        Where lips and voice are, `lag` holds their similarity (N, L, 2 * reach + 1) as well.
        """
        tokens = {}
        for name, inputs in EXPERTS.items():
            if all(stream in streams for stream in inputs):
                given = [normalise(stream, streams[stream]) for stream in inputs]
                tokens[name] = self.experts[name](*given)
        if "lips" in tokens and "voice" in tokens:
            tokens["lag"] = self.lag(tokens["lips"], tokens["voice"], mask)
        return tokens

    def fuse(self, tokens: Mapping[str, Tensor], mask: Tensor) -> StepOutputs:
        """Return what the experts say by themselves, corrected by what all say together."""
        out, said = self.opinions(tokens, mask)
        total = torch.zeros_like(out.logits)
        for trust, (name, modality) in zip(self.trust, JUDGES, strict=True):
            if name in said:
                total[..., MODALITIES.index(modality)] += trust * said[name]
        return replace(out, logits=total)

    def opinions(
        self, tokens: Mapping[str, Tensor], mask: Tensor
    ) -> tuple[StepOutputs, dict[str, Tensor]]:
        """Return the head's outputs, and the step logits (N, L) of every judge that can say."""
        given = dict(tokens)
        if "lag" in given:
            given["lag"] = self.lag_token(given["lag"])
        out: StepOutputs = self.head(self.fusion(given, mask), mask)
        said = {name: self.probes[name](tokens[name])[..., 0] for name in PROBES if name in tokens}
        if "lag" in tokens:
            said["lag"] = self.lag_probe(tokens["lag"])
        said |= {f"fusion of {m}": out.logits[..., i] for i, m in enumerate(MODALITIES)}
        return out, said

    def forward(self, streams: Mapping[str, Tensor], mask: Tensor) -> StepOutputs:
        """Return step logits and proposals of streams (N, L, ...); mask (N, L) of valid steps."""
        return self.fuse(self.tokens(streams, mask), mask)

    def clip_logits(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return clip logits (N, 3) of step logits (N, T, 3), judged where mask (N, T) is True.

        Mean and peak second: a clip forged throughout shows in the one, a short forgery in the
        other. Steps that are masked take no part; a row without any gives the bias alone.
        """
        weight = mask[..., None].to(logits.dtype)
        mean = (logits * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        count = min(PEAK_STEPS, logits.shape[1])
        ranked = logits.masked_fill(~mask[..., None], -1e4).topk(count, dim=1).values  # (N, k, 3)
        there = (ranked > -1e3).to(logits.dtype)
        peak = (ranked * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        return self.pool[:, 0] * mean + self.pool[:, 1] * peak + self.pool[:, 2]

    def calibrated(self, clip_logits: Tensor) -> Tensor:
        """Return probabilities (4,): visual, audio, sync, any. NaN logits (3,) were not judged.

        A clip is genuine if every modality of it is (a noisy-or).
        """
        own, shared = self.calibration[..., 0] * clip_logits + self.calibration[..., 1]
        overall = any_logit(shared[None])
        return torch.cat([own, overall]).sigmoid()


def any_logit(logits: Tensor) -> Tensor:
    """Return logits (N,) that any of independent events (N, K) happens; NaN events are left out.

    All of a row NaN give NaN.
    """
    none = -functional.softplus(logits).nan_to_num(0.0).sum(dim=1)  # log-probability
    some = torch.log(-torch.expm1(none).clamp(max=-1e-7))
    return torch.where(logits.isnan().all(dim=1), torch.nan, some - none)


def save_detector(path: Path, detector: Detector, facts: Mapping[str, object]) -> None:
    """Write weights, config and facts (how it was trained, what it reaches) to one file."""
    metadata = {
        "format": "avdetect detector 1",
        "config": json.dumps(to_dict(detector.config)),
        "facts": json.dumps(dict(facts)),
    }
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()
    }
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata=metadata)
    partial.replace(path)


def load_detector(path: Path, device: str = "cpu") -> Detector:
    """Return the detector that a file holds, ready to judge.

    Raises:
        ValueError: the file is no detector of this format.
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from error
    if metadata.get("format") != "avdetect detector 1":
        raise ValueError(f"{path}: not the weights of an avdetect detector")
    config = from_dict(DetectorConfig, json.loads(metadata["config"]), str(path))
    detector = Detector(config)
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: weights and config do not fit: {error}") from error
    return detector.to(device).eval()
