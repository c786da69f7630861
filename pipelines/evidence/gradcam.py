"""3D Grad-CAM (Selvaraju et al. 2017): where in picture and sound the experts' evidence lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.detection.detector import Detector
from temporal.segment import MODALITIES

# Each expert's layer whose activations are weighted, and whether its input or its output is meant.
# Appearance: the output of its stem, since the block behind it halves the picture to 4 x 4.
LAYERS = {
    "appearance": ("changes", "input"),
    "lips": ("crops.stages", "output"),
    "flow": ("stages", "output"),
    "depth": ("stages", "output"),
    "mel": ("stages", "output"),
}


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the signed map (T, ...) of activations (C, T, ...) and the score's gradients by them.

    Each channel's weight is its mean gradient. For a network that ends in a global mean and a
    linear layer the map's sum is the logit minus its bias; Grad-CAM shows its positive part.
    """
    weights = gradients.flatten(1).mean(dim=1)  # (C,)
    return torch.einsum("c,c...->...", weights, activations)


def expert_maps(
    detector: Detector,
    streams: Mapping[str, Tensor],
    modality: str,
    steps: slice,
    precision: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Return a heat map for every expert that the logit depends on, see `maps_of`.

    Args:
        detector: whose experts are explained.
        streams: (L, ...) of a short stretch.
        modality: whose step logits are explained.
        steps: those of the L steps whose mean logit is explained.
        precision: of the experts.
    """
    device = detector.calibration.device
    inputs = {name: stream[None].to(device) for name, stream in streams.items()}
    mask = torch.ones(1, len(next(iter(streams.values()))), dtype=torch.bool, device=device)

    def mean_logit() -> Tensor:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            out = detector(inputs, mask)
        logits = detector.step_logits(out.opinions.float(), mask)  # (1, L, 3)
        return logits[0, steps, MODALITIES.index(modality)].mean()

    return maps_of(detector, mean_logit)


def maps_of(detector: Detector, asked: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Return a heat map in [0, 1] for every expert that a score depends on.

    Each is scaled to its maximum, and zero throughout if nothing is evidence of a manipulation.
    Picture experts give (L, h, w), sound gives (1, bands, columns).

    Args:
        detector: whose experts are explained.
        asked: runs the detector on one clip and returns the score that is explained.
    """
    with torch.set_grad_enabled(True), _watched(detector) as activations:
        score = asked()
        names = list(activations)
        inputs = [activations[name] for name in names]
        all_gradients = torch.autograd.grad(score, inputs, allow_unused=True)
    maps = {}
    for name, gradients in zip(names, all_gradients, strict=True):
        if gradients is not None:
            signed = grad_cam(activations[name][0].detach().float(), gradients[0].float())
            positive = functional.relu(signed)
            scaled = positive / positive.max().clamp(min=1e-12)
            maps[name] = (scaled[None] if scaled.ndim == 2 else scaled).cpu()
    return maps


@contextmanager
def _watched(detector: Detector) -> Iterator[dict[str, Tensor]]:
    """Yield the activations (1, C, L, h, w) by expert, filled in while the detector runs.

    They are detached from the layers before, so that backpropagation stops there.
    """
    recorded: dict[str, Tensor] = {}
    hooks = []

    def leaf(name: str, activations: Tensor) -> Tensor:
        recorded[name] = activations.detach().requires_grad_()
        return recorded[name]

    for name, (layer, side) in LAYERS.items():
        module: nn.Module = detector.experts[name].get_submodule(layer)
        if side == "input":

            def before(_: nn.Module, args: Any, name: str = name) -> Any:
                return (leaf(name, args[0]), *args[1:])

            hooks.append(module.register_forward_pre_hook(before))
        else:

            def after(_: nn.Module, args: Any, out: Tensor, name: str = name) -> Tensor:
                return leaf(name, out)

            hooks.append(module.register_forward_hook(after))
    wanted = [p for p in detector.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()
        for parameter in wanted:
            parameter.requires_grad_()
