"""The jobs of mutual scoring (MuSc): the tokens of a file, and the scores of a group.

The workers of a scan run them, so that a crash over one file stops no other.
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
from pipelines.detection.detector import load_detector
from pipelines.detection.judge_config import JudgeConfig
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
    """A job that keeps the tokens of files' first seconds in a folder, named by content."""

    def __init__(self, weights: Path, modality: ComparedModality, folder: Path) -> None:
        self.model = model_of(weights)
        self._modality, self._folder = modality, folder
        self._detector = load_detector(weights)
        fold_norms(self._detector.experts)
        self._extractor, self._min_face = StreamExtractor(), JudgeConfig().min_face

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Write a file's tokens into the folder, unless they are there already.

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
    """A job that compares the files of a group; the scores are kept beside its list."""

    model = {"name": "mutual", "version": "1"}  # noqa: RUF012  every job has one

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Score the token files of a list (.json), unless there are scores already."""
        if score_file(path).exists():
            return {"status": "ok"}
        names = json.loads(path.read_text())
        kept = [load_file(name) for name in names]
        mutual = mutual_scores([t["tokens"] for t in kept], on_step=on_step)
        seconds = [
            (int(t["start"]) + int(curve.argmax())) / STEP_RATE
            for t, curve in zip(kept, mutual.curves, strict=True)
        ]
        columns = {
            "score": mutual.scores.tolist(), "second": seconds, "peers": mutual.peers.tolist(),
            "common": mutual.common.tolist(),
        }  # fmt: skip
        write_whole(score_file(path), json.dumps(columns).encode())
        return {"status": "ok"}


@dataclass(frozen=True)
class TokenJob:
    """A picklable loader of a `TokenTaker`."""

    weights: Path
    modality: ComparedModality
    folder: Path

    def __call__(self) -> TokenTaker:
        """Return the job of taking tokens, in a process with one thread."""
        torch.set_num_threads(1)
        return TokenTaker(self.weights, self.modality, self.folder)


def scorer() -> GroupScorer:
    """Return the job of comparing a group, in a process with one thread."""
    torch.set_num_threads(1)
    return GroupScorer()


def model_of(weights: Path) -> dict[str, str]:
    """Return the identity of the tokens: the digest of the weights.

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
