"""The floating-point precision of the networks."""

from __future__ import annotations

import torch

PRECISIONS = ("auto", "bfloat16", "float32")


def precision_of(name: str, device: torch.device) -> torch.dtype:
    """Return the precision of a configuration's name; auto: bfloat16 where the device has it."""
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else torch.cpu._is_avx512_bf16_supported()
    )
    return torch.bfloat16 if name == "bfloat16" or (name == "auto" and native) else torch.float32
