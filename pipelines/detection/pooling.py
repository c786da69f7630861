"""From the logits of steps, tracks or opinions to one logit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def clip_means(opinions: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (N, J) of opinions (N, T, J) over the steps in mask (N, T); 0 if none."""
    weight = mask[..., None].to(opinions.dtype)
    return (opinions * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def clip_peaks(opinions: Tensor, mask: Tensor, steps: int) -> Tensor:
    """Return the mean (N, J) of the `steps` highest values of opinions (N, T, J) in mask (N, T)."""
    count = min(steps, opinions.shape[1])
    ranked = opinions.masked_fill(~mask[..., None], -1e4).topk(count, dim=1).values  # (N, k, J)
    valid = (ranked > -1e3).to(opinions.dtype)
    return (ranked * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


def any_logit(logits: Tensor) -> Tensor:
    """Return the logit (...) that any of K independent events happens, by their logits (..., K).

    NaN events are left out; a row of NaN gives NaN.
    """
    none = -functional.softplus(logits).nan_to_num(0.0).sum(dim=-1)  # log-probability
    some = torch.log(-torch.expm1(none).clamp(max=-1e-7))
    return torch.where(logits.isnan().all(dim=-1), torch.nan, some - none)
