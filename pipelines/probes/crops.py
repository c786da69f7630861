"""Experts on single crops of a face, as functions that an attack can follow backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from extractors.appearance import SIDE
from pipelines.data.samples import Sample
from pipelines.probes.panel import Panel
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.stress.poison import coded_face, decoded_face
from pipelines.train.expert_probe import ExpertProbe

APPEARANCE = "appearance"
CropExpert = Callable[[Tensor], Tensor]  # crops (N, 3, H, W) of 0 to 255 -> logits (N,)


def crop_experts(panel: Panel) -> dict[str, CropExpert]:
    """Return the experts of a panel that judge crops one by one and have gradients, by name."""
    modules: dict[str, nn.Module] = {
        APPEARANCE: ExpertProbe(APPEARANCE, panel.session.detector).eval()
    }
    modules |= {n: part for n, (c, part) in panel.parts.items() if c.streams == (APPEARANCE,)}
    experts = {name: partial(_logits, module) for name, module in modules.items()}
    return {name: expert for name, expert in experts.items() if _has_gradient(expert)}


def _logits(module: nn.Module, crops: Tensor) -> Tensor:
    device = next(module.parameters()).device
    # each crop is a clip of one step
    logits: Tensor = module({APPEARANCE: crops[:, None].to(device)})
    return logits[:, 0].cpu()


def _has_gradient(expert: CropExpert) -> bool:
    """Return whether the crop itself is followed: a network that rounds it has gradients too."""
    crop = torch.full((1, 3, SIDE, SIDE), 128.0, requires_grad=True)
    logits = expert(crop)
    if not logits.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(logits.sum(), crop, allow_unused=True)
    return gradient is not None


def face_crops_of(
    samples: Sequence[Sample], panel: Panel, rows: KeptRows, on_step: OnStep
) -> list[tuple[Sample, Tensor]]:
    """Return the clips that show a face, each with one aligned crop (3, 112, 112) uint8.

    Args:
        samples: the clips.
        panel: whose session extracts the crops.
        rows: kept under the key (path,).
        on_step: called with the number of clips done and the total.
    """
    found = []
    for done, sample in enumerate(samples, 1):
        coded = rows.row((str(sample.path),), partial(coded_face, sample, panel.session))["face"]
        if coded is not None:
            found.append((sample, torch.from_numpy(decoded_face(coded)).permute(2, 0, 1)))
        on_step(done, len(samples))
    return found
