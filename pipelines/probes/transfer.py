"""Transfer of an attack on the public encoder: whoever reads it falls, whoever does not stays.

After the downstream transfer attack (DTA: Zheng and others, 2024, arXiv 2408.01705): the attacker
has the pre-trained encoder alone, not what was trained on it. It finds the blocks whose tokens a
trial attack moves furthest, by their mean cosine with the clean ones, and then attacks these
together. How the blocks are chosen and joined is ours: the abstract is all that was at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from extractors.clip import Array, Frames
from extractors.crops import crop_square
from extractors.encoder import VisionTransformer
from extractors.errors import InputError
from extractors.media import Clip
from extractors.portrait import SIDES
from pipelines.data.samples import Sample
from pipelines.metrics.security import pgd
from pipelines.probes.panel import Panel
from pipelines.probes.under_changes import CLEAN, MakeChange, judged
from pipelines.progress import OnStep

EPSILON = 8.0  # of 255, on the change of each value
STEPS, TRIAL = 10, 3  # gradient steps of the attack, and of the trial on each block
TOGETHER = 2  # blocks that are attacked
SHOWN = 2  # frames that the attack is computed on
READERS = ("portrait",)  # opinions that read the encoder


def transfer_probe(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
    epsilon: float = EPSILON,
    steps: int = STEPS,
) -> dict[str, Any]:
    """Return how often the attack changes the mind of each expert that was right.

    `success` is the share of those of its right answers that turn wrong; `error` its share of wrong
    answers before, which is what an attack within 0 has.

    Args:
        samples: genuine and forged clips.
        panel: the experts; those of READERS share the encoder.
        kept: JSON lines; a clip in it is not attacked again in the same way.
        on_step: called with the number of clips done and the total.
        epsilon: of 255, on the change of each value.
        steps: gradient steps.

    Raises:
        InputError: the session has no picture encoder, or the file holds something else.
    """
    portrait = panel.session.extractor.portrait_encoder()
    if portrait is None:
        raise InputError("this detector has no picture encoder, so there is nothing to transfer")
    name = f"encoder attacked within {epsilon:g}, {steps} steps"
    attack = partial(_attacked, portrait.encoder, panel, epsilon, steps)
    changes: dict[str, MakeChange] = {name: lambda clip: attack}
    experts: dict[str, list[tuple[bool, bool]]] = {}
    found = judged(samples, panel, changes, kept, on_step)
    for sample, rows in found:
        for expert, before in rows[CLEAN]["logits"].items():
            if (after := rows[name]["logits"].get(expert)) is not None:
                right = [(logit >= 0) == sample.fake for logit in (before, after)]
                experts.setdefault(expert, []).append((right[0], right[1]))
    return {
        "given": len(samples), "judged": len(found), "epsilon": epsilon, "steps": steps,
        "experts": {e: {"shares_encoder": e in READERS, **_success(r)} for e, r in experts.items()},
    }  # fmt: skip


def _success(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    right = [after for before, after in pairs if before]
    return {
        "clips": len(pairs), "right": len(right), "error": 1 - len(right) / len(pairs),
        "success": float(np.mean([not after for after in right])) if right else None,
    }  # fmt: skip


def _attacked(
    encoder: VisionTransformer, panel: Panel, epsilon: float, steps: int, frames: Frames
) -> Frames:
    """Return frames (T, H, W, 3) with a pattern on the face, the same in its coordinates."""
    squares = face_squares(panel, frames)
    if squares is None:
        return frames
    factor = np.array([1, 1, SIDES["face"] / panel.session.extractor.faces.margin, 1], np.float32)
    wider, side = squares * factor, encoder.config.image
    chosen = range(0, len(frames), max(len(frames) // SHOWN, 1))
    crops = np.stack([crop_square(frames[i], wider[i], (side, side)) for i in chosen])
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float().to(encoder.mean.device)
    pattern = attack_encoder(encoder, pictures, epsilon, steps)
    drawn = pattern.permute(1, 2, 0).cpu().numpy()
    return np.stack([pasted(f, drawn, s) for f, s in zip(frames, wider, strict=True)])


def face_squares(panel: Panel, frames: Frames) -> Array | None:
    """Return the crop squares (T, 4) of the first face that is in all frames; None: there is none.

    Where it is not seen in some frames at either end, its nearest square is taken.
    """
    seen: dict[int, tuple[int, Array]] = {}

    def on_face(track: int, first: int, squares: Array, landmarks: Array) -> None:
        start, before = seen.get(track, (first, squares[:0]))
        seen[track] = start, np.concatenate([before, squares])

    for _ in panel.session.extractor(iter([Clip(0, frames, None)]), on_face=on_face):
        pass
    if not seen:
        return None
    first, squares = seen[min(seen)]
    steps = np.clip(np.arange(len(frames)) - first, 0, len(squares) - 1)
    return squares[steps]


def attack_encoder(
    encoder: VisionTransformer, pictures: Tensor, epsilon: float, steps: int
) -> Tensor:
    """Return the pattern (3, S, S), within epsilon, that moves the tokens of pictures furthest.

    pictures: (N, 3, S, S) float, 0 to 255; the pattern keeps their values there.
    """
    blocks = range(1, len(encoder.blocks) + 1)
    moved = {
        block: token_shift(encoder, pictures, [block])(
            _pattern(encoder, pictures, [block], epsilon, TRIAL)
        )
        for block in blocks
    }
    furthest = sorted(blocks, key=lambda block: -float(moved[block].detach()))[:TOGETHER]
    return _pattern(encoder, pictures, sorted(furthest), epsilon, steps)


def _pattern(
    encoder: VisionTransformer, pictures: Tensor, blocks: Sequence[int], epsilon: float, steps: int
) -> Tensor:
    start = torch.randn(pictures[0].shape, generator=torch.Generator().manual_seed(0))
    # at no change at all the cosine has no gradient: it is at its maximum
    start = start.to(pictures.device).sign() * min(epsilon, 1.0) / 2
    shift = token_shift(encoder, pictures, blocks)
    pattern, _ = pgd(shift, start, max(epsilon - min(epsilon, 1.0) / 2, 0.0), steps)
    return pattern


def token_shift(
    encoder: VisionTransformer, pictures: Tensor, blocks: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """Return a function of a pattern (3, S, S): how far it moves the tokens of these blocks.

    The sum over blocks of 1 - cosine with the clean tokens, its mean over pictures and tokens.
    """
    with torch.no_grad():
        clean = encoder(pictures, list(blocks))

    def shift(pattern: Tensor) -> Tensor:
        tokens = encoder((pictures + pattern).clamp(0, 255), list(blocks))
        pairs = zip(tokens, clean, strict=True)
        return torch.stack([1 - cosine_similarity(a, b, dim=-1).mean() for a, b in pairs]).sum()

    return shift


def pasted(frame: Frames, pattern: Array, square: Array) -> Frames:
    """Return a frame (H, W, 3) with a pattern (S, S, 3) added where a square (x, y, side, roll) is.

    Between its values the pattern is linear, so that none exceeds its largest.
    """
    x, y, side, roll = (float(v) for v in square)
    scale, middle = side / len(pattern), (len(pattern) - 1) / 2
    cos, sin = np.cos(roll) * scale, np.sin(roll) * scale
    matrix = np.array([
        [cos, -sin, x - 0.5 - cos * middle + sin * middle],
        [sin, cos, y - 0.5 - sin * middle - cos * middle],
    ])  # fmt: skip
    size = frame.shape[1], frame.shape[0]
    added = cv2.warpAffine(pattern, matrix, size, flags=cv2.INTER_LINEAR)
    return np.rint(frame + added).clip(0, 255).astype(np.uint8)
