"""Windows of streams in, logits out: experts, fusion and localization as one network.

`save_detector` and `load_detector` keep its weights, config and calibration in one safetensors
file, which needs nothing else to be used.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from extractors.errors import InputError
from fusion.transformer import CrossModalTransformer, FusionConfig, LagProbe, LagProfile
from pipelines.config import from_dict, to_dict
from temporal.experts import CONTEXT, EXPERTS, ExpertConfig, build_experts, normalise
from temporal.localization import LocalizationConfig, LocalizationHead
from temporal.opinions.sharpness import SharpnessJudge
from temporal.opinions.speech import SpeechJudge
from temporal.opinions.steadiness import SteadinessJudge
from temporal.opinions.whisper import WhisperJudge
from temporal.segment import MODALITIES

# The experts that judge by themselves as well, and the modality that each judges.
PROBES = {"appearance": "visual", "flow": "visual", "depth": "visual", "mel": "audio"}
# Whose opinions make a modality's logits, and which modality that is: the experts by themselves,
# lips against voice, how sharp the face is, how steadily it moves, how the voice varies in the
# sound expert's tokens and in Whisper's, and what fusion says of all.
JUDGES = (
    *PROBES.items(), ("lag", "sync"), ("sharpness", "visual"), ("steadiness", "visual"),
    ("speech", "audio"), ("whisper", "audio"), *((f"fusion of {m}", m) for m in MODALITIES),
)  # fmt: skip
TWO_TRACKS = log(2**0.5 - 1)  # log odds of each of two tracks, of which one is forged at even odds
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


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the detector says of each step of a window."""

    opinions: Tensor  # (N, L, J) step logits of each of JUDGES; 0 of those with nothing to judge
    proposal_logits: Tensor  # (N, L, K, 3): see `StepOutputs`
    reach: Tensor  # (N, L, K, 3, 2)


class Detector(nn.Module):
    """Opinions and segment proposals from any subset of the streams, and what they add up to."""

    # Weights and biases of the opinions, fitted afterwards on clips that taught none of them.
    clip_weights: Tensor  # (J, 2) of a judge's mean over the clip, and of its peak above the mean
    step_weights: Tensor  # (J, 2) of its mean over the clip, and of a step's departure from it
    biases: Tensor  # (2, 3) of the clip's and the steps' logits
    # (scale, shift) of each modality's clip logit, fitted at last
    calibration: Tensor  # (3, 2)
    belongs: Tensor  # (J, 3) 1 where a judge speaks of a modality

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        dim, fusion = config.experts.dim, config.fusion
        self.experts = build_experts(config.experts)
        self.lag = LagProfile(dim, fusion.reach, fusion.lag_span, CONTEXT["lips"])
        self.lag_probe = LagProbe()
        self.lag_token = nn.Linear(2 * fusion.reach + 1, dim)
        self.sharpness = SharpnessJudge()
        self.steadiness = SteadinessJudge(dim)
        self.speech = SpeechJudge(dim)
        self.whisper = WhisperJudge()
        self.fusion = CrossModalTransformer((*EXPERTS, "lag"), dim, fusion)
        self.probes = nn.ModuleDict({name: nn.Linear(dim, 1) for name in PROBES})
        self.head = LocalizationHead(dim, config.localization)
        for parameter in self.head.steps[-1].parameters():
            nn.init.zeros_(parameter)  # fusion begins at what the experts say by themselves
        # at first a modality's experts share, and fusion corrects
        counts = Counter(PROBES.values())
        shares = torch.tensor([1 / counts[m] if name in PROBES else 1.0 for name, m in JUDGES])
        self.register_buffer("clip_weights", torch.stack([shares, shares / 2], dim=1))
        self.register_buffer("step_weights", torch.stack([shares, shares], dim=1))
        self.register_buffer("biases", torch.zeros(2, len(MODALITIES)))
        self.register_buffer("calibration", torch.tensor([[1.0, 0.0]] * len(MODALITIES)))
        belongs = [[float(m == modality) for modality in MODALITIES] for _, m in JUDGES]
        self.register_buffer("belongs", torch.tensor(belongs), persistent=False)

    def tokens(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return tokens (N, L, D) of every expert whose streams (N, L, ...) are there.

        Where lips and voice are, `lag` holds their similarity (N, L, 2 * reach + 1) as well, and
        where a face is, `sharpness` an opinion (N, L, 1). Of sound alone, by which sound is judged,
        `whisper` is another.
        """
        tokens = {}
        for name, inputs in EXPERTS.items():
            if all(stream in streams for stream in inputs):
                given = [normalise(stream, streams[stream]) for stream in inputs]
                tokens[name] = self.experts[name](*given)
        if "lips" in tokens and "voice" in tokens:
            tokens["lag"] = self.lag(tokens["lips"], tokens["voice"], mask)
        if "appearance" in streams and "size" in streams:
            tokens["sharpness"] = self.sharpness(streams["appearance"], streams["size"])
        if streams.keys() == {"mel"}:
            tokens["whisper"] = self.whisper(streams["mel"], mask)[..., None]
        return tokens

    def fuse(self, tokens: Mapping[str, Tensor], mask: Tensor) -> Outputs:
        """Return what each judge says of tokens (N, L, D), and the segments that are proposed."""
        given = dict(tokens)
        if "lag" in given:
            given["lag"] = self.lag_token(given["lag"])
        out = self.head(self.fusion(given, mask), mask)
        said = {name: self.probes[name](tokens[name])[..., 0] for name in PROBES if name in tokens}
        if "lag" in tokens:
            said["lag"] = self.lag_probe(tokens["lag"])
        said |= {name: tokens[name][..., 0] for name in ("sharpness", "whisper") if name in tokens}
        if "flow" in tokens:
            said["steadiness"] = self.steadiness(tokens["flow"], mask)
        if "mel" in tokens:
            said["speech"] = self.speech(tokens["mel"], mask)
        said |= {f"fusion of {m}": out.logits[..., i] for i, m in enumerate(MODALITIES)}
        nothing = torch.zeros_like(out.logits[..., 0])
        opinions = torch.stack([said.get(name, nothing) for name, _ in JUDGES], dim=-1)
        return Outputs(opinions, out.proposal_logits, out.reach)

    def forward(self, streams: Mapping[str, Tensor], mask: Tensor) -> Outputs:
        """Return what is said of streams (N, L, ...); mask (N, L) of valid steps."""
        return self.fuse(self.tokens(streams, mask), mask)

    def step_logits(self, opinions: Tensor, mask: Tensor) -> Tensor:
        """Return step logits (N, T, 3) of opinions (N, T, J) on a clip, its steps in mask (N, T).

        How suspect a clip is as a whole and how a step stands out in it are different evidence:
        some judges know the one, some the other.
        """
        mean = clip_means(opinions, mask)[:, None]
        whole, local = self.step_weights.T
        return (mean * whole + (opinions - mean) * local) @ self.belongs + self.biases[1]

    def clip_logits(self, opinions: Tensor, mask: Tensor) -> Tensor:
        """Return clip logits (N, 3) of opinions (N, T, J), judged where mask (N, T) is True.

        A clip forged throughout shows in the mean, a short forgery in the peak.
        """
        mean = clip_means(opinions, mask)
        whole, local = self.clip_weights.T
        peak = clip_peaks(opinions, mask)
        return (mean * whole + (peak - mean) * local) @ self.belongs + self.biases[0]

    def calibrated(self, clip_logits: Tensor) -> Tensor:
        """Return probabilities (4,): visual, audio, sync, any. NaN logits (3,) were not judged.

        A clip is genuine if picture and sound are (a noisy-or). By itself each of them begins at
        even odds, and so does a sound file. A video with both does too: each then begins at
        `TWO_TRACKS`, and one without sound begins lower, since nothing else can be forged. Sync has
        no part in it: where lips and sound hardly fit, so they do in many a genuine clip.
        """
        own = self.calibration[:, 0] * clip_logits + self.calibration[:, 1]
        visual, audio, _ = own
        alone = torch.stack([visual, audio])
        overall = any_logit(torch.where(visual.isnan(), alone, alone + TWO_TRACKS)[None])
        return torch.cat([own, overall]).sigmoid()


def clip_means(opinions: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (N, J) of opinions (N, T, J) over the steps in mask (N, T); 0 of none."""
    weight = mask[..., None].to(opinions.dtype)
    return (opinions * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def clip_peaks(opinions: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (N, J) of the highest second of opinions (N, T, J), its steps in a mask."""
    count = min(PEAK_STEPS, opinions.shape[1])
    ranked = opinions.masked_fill(~mask[..., None], -1e4).topk(count, dim=1).values  # (N, k, J)
    there = (ranked > -1e3).to(opinions.dtype)
    return (ranked * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


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
        "format": "avdetect detector 7",
        "config": json.dumps(to_dict(detector.config)),
        "facts": json.dumps(dict(facts)),
    }
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()
    }
    # as they are published
    state |= {name: state[name].half() for name in state if name.startswith("whisper.stem.")}
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata=metadata)
    partial.replace(path)


def experts_sha256(path: Path) -> str:
    """Return the digest of the experts' weights in a detector's file.

    Fusion and calibration may change: what others learned from the experts stays right.
    """
    digest = hashlib.sha256()
    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys()):
            if name.startswith(("experts.", "probes.", "lag.", "lag_probe.")):
                digest.update(name.encode() + file.get_tensor(name).numpy().tobytes())
    return digest.hexdigest()


def load_detector(path: Path, device: str = "cpu") -> Detector:
    """Return the detector that a file holds, ready to judge.

    Raises:
        InputError: the file is no detector of this format.
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("cuda: there is no CUDA device that PyTorch can use here")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file: {error}") from error
    if metadata.get("format") != "avdetect detector 7":
        raise InputError(f"{path}: not the weights of an avdetect detector")
    config = from_dict(DetectorConfig, json.loads(metadata["config"]), str(path))
    detector = Detector(config)
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: weights and config do not fit: {error}") from error
    return detector.to(device).eval()
