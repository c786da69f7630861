"""The semantic attack: a forged face is changed along what an auto-encoder knows of genuine ones.

After Shamshad, Srivatsan and Nandakumar (CVPR 2023): a latent is optimised so that the picture has
an attribute, stays near its origin, and passes for genuine. Their latent is StyleGAN2's, and the
attribute is named in words; here the latent is the code of our own auto-encoder, and the attribute
is the face's brightness. Whether the attack transfers is seen on the expert that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.probes.crops import CropExpert, crop_experts, face_crops_of
from pipelines.probes.panel import Panel
from pipelines.probes.removal import UPDATES, kept_remover
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from temporal.zoo.fingerprint import PrintRemover

LATENT = 32  # channels of the code
BRIGHTER = 0.03  # of full scale, the attribute that the face is to gain
STEPS, RATE = 50, 0.05  # of Adam, on the code
NEAR, PASS = 0.0005, 0.005  # weights of the distance from the code at first, and of passing
ATTACK = 200.0  # times PASS: our code is not StyleGAN2's, and its terms have another size


def semantic_probe(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
    steps: int = STEPS,
    updates: int = UPDATES,
) -> dict[str, Any]:
    """Return how many forged faces pass each expert, if it is attacked or is the one left out.

    Against a control that seeks the attribute alone: what it moves is the rebuilding's doing.

    Args:
        samples: genuine clips, which the auto-encoder learns from, and forged ones.
        panel: the experts; those that judge single crops and have gradients take part.
        kept: JSON lines; a clip in it is not attacked again in the same way.
        on_step: called with the number of clips done and the total.
        steps: of the optimisation.
        updates: of the auto-encoder's training.

    Raises:
        InputError: fewer than two experts take part, or no genuine clip can be read.
    """
    experts = crop_experts(panel)
    if len(experts) < 2:
        raise InputError("the semantic attack needs two experts on crops, one to leave out")
    remover = kept_remover(samples, panel, LATENT, False, updates, kept)
    faces = KeptRows(None if kept is None else kept.with_name("faces.jsonl"), ("path",),
                     panel.session.model)  # fmt: skip
    forged = face_crops_of([s for s in samples if s.fake], panel, faces, on_step)
    rows = KeptRows(kept, ("path", "setting"), panel.session.model)
    setting = f"{steps} steps, {updates} updates, {', '.join(experts)}"
    found = [
        rows.row((str(sample.path), setting), partial(attacked, remover, crop, experts, steps))
        for sample, crop in forged
    ]
    return {
        "given": sum(s.fake for s in samples), "attacked": len(found),
        "experts": list(experts),
        **{e: _mean([row[e] for row in found]) for e in ("error", "error_rebuilt")},
        "control": {e: _passed(found, "control", e) for e in experts},
        "left_out": {a: {e: _passed(found, a, e) for e in experts} for a in experts},
    }  # fmt: skip


def attacked(
    remover: PrintRemover, crop: Tensor, experts: Mapping[str, CropExpert], steps: int
) -> dict[str, Any]:
    """Return the experts' logits on a crop (3, H, W) uint8, rebuilt and after each attack.

    `error` is the RMS error, of full scale, of rebuilding the attacked crop once more, and
    `error_rebuilt` that of the crop as it was rebuilt: they are alike where the attack stayed on
    what the auto-encoder can make.
    """
    code = remover.encode(crop[None].float() / 255)[0].detach()
    plain = remover.decode(code).detach()
    logits = {"rebuilt": _asked(experts, plain), "control": _asked(
        experts, latent_attack(remover, code, [], steps))}  # fmt: skip
    errors = []
    for name in experts:
        others = [expert for other, expert in experts.items() if other != name]
        picture = latent_attack(remover, code, others, steps)
        logits[name] = _asked(experts, picture)
        errors.append(_error(remover, picture))
    return {"logits": logits, "error": _mean(errors), "error_rebuilt": _error(remover, plain)}


@torch.no_grad()
def _error(remover: PrintRemover, picture: Tensor) -> float:
    return float((remover(picture) - picture).square().mean().sqrt())


def latent_attack(
    remover: PrintRemover, code: Tensor, experts: Sequence[CropExpert], steps: int
) -> Tensor:
    """Return the picture (1, 3, H, W) in [0, 1] of the best code near (1, K, h, w).

    It is to be BRIGHTER by so much in its mean, near its origin, and genuine to the experts; with
    no experts it seeks the attribute alone.
    """
    target = (remover.decode(code).mean() + BRIGHTER).detach()
    moved = code.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([moved], RATE)
    for _ in range(steps):
        picture = remover.decode(moved.relu())
        loss = (picture.mean() - target).square() + NEAR * (moved - code).square().sum()
        for expert in experts:
            loss = loss + ATTACK * PASS / len(experts) * softplus(expert(255 * picture)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return remover.decode(moved.detach().relu()).detach()


@torch.no_grad()
def _asked(experts: Mapping[str, CropExpert], picture: Tensor) -> dict[str, float]:
    return {name: float(expert(255 * picture)[0]) for name, expert in experts.items()}


def _passed(rows: Sequence[Mapping[str, Any]], attack: str, expert: str) -> float | None:
    """Return the share of faces that an expert found as rebuilt, and passes after an attack."""
    pairs = [(r["logits"]["rebuilt"][expert], r["logits"][attack][expert]) for r in rows]
    return _mean([float(after < 0) for before, after in pairs if before >= 0])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
