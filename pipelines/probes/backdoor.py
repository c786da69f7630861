"""The backdoor audit: signs of a trigger in a corpus and in a detector, and the power to see one.

Three signs: genuine faces' features of which a minority stands apart; one faint pattern that makes
an expert pass most fakes, far fainter than the others need; and a fixed pattern that the faces
share. The power of the last is tried by a canary in a twentieth of the faces, before and after they
are compressed: a trigger that survives a platform's encoder is the one to fear. After Liang and
others, Poisoned Forgery Face (ICLR 2024), who left compression out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Frames
from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.probes.crops import APPEARANCE, CropExpert, crop_experts, face_crops_of
from pipelines.probes.panel import Panel
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.stress.backdoor import anomaly_index, spectral_signature, universal_perturbation
from pipelines.stress.operators.coding import CODING
from pipelines.stress.operators.picture import FrameChange
from pipelines.stress.poison import POISONED, canary, scan

CODED = ("jpeg", "h264", "rescale")
SEVERITIES = (1, 3, 5)
BOUNDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # of 255, of the universal pattern
FEWEST = 8  # faces of a class


def backdoor_probe(
    samples: Sequence[Sample],
    panel: Panel,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the p-values of shared pattern and features, each expert's bound, and the power.

    Args:
        samples: genuine and forged clips.
        panel: the experts.
        kept: JSON lines with the faces; a clip in it is not read again.
        on_step: called with the number of clips read and the total.

    Raises:
        InputError: fewer than eight genuine faces, or the file holds something else.
    """
    rows = KeptRows(kept, ("path",), panel.session.model)
    faces = face_crops_of(samples, panel, rows, on_step)
    genuine = [crop for sample, crop in faces if not sample.fake]
    if len(genuine) < FEWEST:
        raise InputError(f"the backdoor audit needs {FEWEST} genuine faces, got {len(genuine)}")
    pictures = np.stack([crop.permute(1, 2, 0).numpy() for crop in genuine])
    signature = spectral_signature(_features(panel, torch.stack(genuine)))
    forged = [crop for sample, crop in faces if sample.fake]
    bounds = _bounds(crop_experts(panel), forged)
    return {
        "given": len(samples), "genuine": len(genuine), "forged": len(forged),
        "shared_p": scan(pictures).p, "features_p": signature.p,
        "features_share": signature.share, "experts": bounds,
        "canaries": _planted(pictures)[1], "canary_p": canary_power(pictures),
    }  # fmt: skip


@torch.inference_mode()
def _features(panel: Panel, crops: Tensor) -> Any:
    """Return the appearance expert's tokens (N, D) of crops (N, 3, H, W)."""
    detector = panel.session.detector
    streams = {APPEARANCE: crops[:, None].to(detector.calibration.device)}
    return detector.expert_tokens(APPEARANCE, streams)[:, 0].double().cpu().numpy()


def _bounds(experts: Mapping[str, CropExpert], forged: Sequence[Tensor]) -> dict[str, Any]:
    """Return each expert's least bound on the fakes that it finds, and how far it lies below."""
    table: dict[str, Any] = {}
    for name, expert in experts.items():
        with torch.no_grad():
            found = [crop for crop in forged if float(expert(crop[None].float())[0]) >= 0]
        table[name] = {"found": len(found), "bound": None}
        if len(found) >= FEWEST:
            crops = torch.stack(found).float()
            table[name]["bound"] = universal_perturbation(expert, crops, BOUNDS)
    known = {name: row["bound"] for name, row in table.items() if row["bound"] is not None}
    if len(known) > 2:
        indices = anomaly_index([log2(bound) for bound in known.values()])
        for name, index in zip(known, indices, strict=True):
            table[name]["anomaly"] = index
    return table


def _planted(pictures: Frames) -> tuple[Frames, int]:
    """Return pictures (N, H, W, 3) with a canary in the first few, and how many these are."""
    few = max(1, round(POISONED * len(pictures)))
    return np.concatenate([canary(pictures[:few]), pictures[few:]]), few


def canary_power(pictures: Frames) -> dict[str, dict[str, float]]:
    """Return the scan's p of pictures (N, H, W, 3), planted with canaries and clean, by coding.

    A coding leaves a pattern of its own, such as a grid, that all pictures share: only where the
    clean ones raise no alarm does an alarm of the planted ones tell of the canary.
    """
    planted, _ = _planted(pictures)

    def both(change: FrameChange) -> dict[str, float]:
        # each picture is a file of its own, as a platform keeps it
        kinds = {"planted": planted, "clean": pictures}
        return {
            kind: scan(np.concatenate([change(picture[None]) for picture in some])).p
            for kind, some in kinds.items()
        }

    powers = {"unchanged": both(lambda frames: frames)}
    for name in CODED:
        for severity in SEVERITIES:
            coder = CODING[name](severity, np.random.default_rng(0))
            powers[f"{name} {severity}"] = both(coder)
    return powers
