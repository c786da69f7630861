"""The jobs of comparing a corpus with itself (MuSc): tokens of a file, scores of a group.

The workers of a scan do them, so that what befalls one of them stops no other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors.torch import load_file, save

from extractors.media import STEP_RATE, MediaError, file_sha256
from extractors.stream_extractor import StreamExtractor
from pipelines.detection.decide import JudgeConfig
from pipelines.detection.detector import load_detector
from pipelines.storage.files import write_whole
from pipelines.train.clips import main_face_of_opening
from pipelines.zoo.part_clips import expert_outputs
from temporal.experts import EXPERTS, fold_norms
from temporal.mutual import mutual_scores

if TYPE_CHECKING:
    from pipelines.progress import OnStep

ComparedModality = Literal["visual", "audio"]
# The experts whose tokens are compared.
COMPARED: dict[ComparedModality, tuple[str, ...]] = {
    "visual": ("appearance", "flow", "depth"), "audio": ("mel",),
}  # fmt: skip


class TokenTaker:
    """Keeps the tokens of files' first seconds in a folder, in files named by content."""

    def __init__(self, weights: Path, modality: ComparedModality, folder: Path) -> None:
        self.model = model_of(weights)
        self._modality, self._folder = modality, folder
        self._detector = load_detector(weights)
        fold_norms(self._detector.experts)
        self._extractor, self._min_face = StreamExtractor(), JudgeConfig().min_face

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Put a file's tokens into the folder, unless they are there.

        Raises:
            MediaError: the file cannot be decoded, or has no such track.
        """
        sha256 = file_sha256(path)
        kept = token_file(self._folder, sha256)
        if kept.exists():
            return {"status": "ok", "sha256": sha256}
        clip = main_face_of_opening(path, self._extractor, self._min_face)
        on_step(1, 2)
        places = [list(EXPERTS).index(name) for name in COMPARED[self._modality]]
        tokens = None if clip is None else expert_outputs(self._detector, clip)["tokens"][:, places]
        if clip is None or tokens is None or bool(tokens.isnan().any()):
            raise MediaError(f"{path}: there is no {self._modality} track to compare")
        start = torch.tensor(clip.start)
        write_whole(kept, save({"tokens": tokens.flatten(1).half(), "start": start}))
        return {"status": "ok", "sha256": sha256}


class GroupScorer:
    """Compares the files of a group with each other; what is found is kept beside its list."""

    model = {"name": "mutual", "version": "1"}  # noqa: RUF012  every job has one

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Score the token files that a list (.json) names, unless that was done."""
        if score_file(path).exists():
            return {"status": "ok"}
        names = json.loads(path.read_text())
        kept = [load_file(name) for name in names]
        found = mutual_scores([t["tokens"] for t in kept], on_step=on_step)
        seconds = [
            (int(t["start"]) + int(curve.argmax())) / STEP_RATE
            for t, curve in zip(kept, found.curves, strict=True)
        ]
        scores = {
            "score": found.scores.tolist(), "second": seconds, "peers": found.peers.tolist(),
            "common": found.common.tolist(),
        }  # fmt: skip
        write_whole(score_file(path), json.dumps(scores).encode())
        return {"status": "ok"}


@dataclass(frozen=True)
class TokenJob:
    """What a worker loads to take tokens; small enough to be sent anywhere."""

    weights: Path
    modality: ComparedModality
    folder: Path

    def __call__(self) -> TokenTaker:
        """Return what takes tokens, in a process that has one core to itself."""
        torch.set_num_threads(1)
        return TokenTaker(self.weights, self.modality, self.folder)


def scorer() -> GroupScorer:
    """Return what compares a group, in a process that has one core to itself."""
    torch.set_num_threads(1)
    return GroupScorer()


def model_of(weights: Path) -> dict[str, str]:
    """Return what the tokens depend on.

    Raises:
        FileNotFoundError: there are no such weights.
    """
    if not weights.is_file():
        raise FileNotFoundError(f"no weights at {weights}")
    return {"name": "tokens", "sha256": file_sha256(weights)}


def token_file(folder: Path, sha256: str) -> Path:
    """Return the file of a content's tokens."""
    return folder / f"{sha256}.safetensors"


def score_file(group: Path) -> Path:
    """Return the file of a group's scores."""
    return group.with_suffix(".scores")
