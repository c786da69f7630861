"""The opinion on a portrait: whether a frozen picture encoder's features are of a generated face.

Middle layers of an encoder that was trained on pictures and captions separate generated faces from
filmed ones better than networks trained on forgeries alone, and generalise to unseen sources (Ojha
et al., CVPR 2023; Yermakov et al. 2026). The rule on them is linear: with clips from a few hundred
sources, a larger one would learn the sources.
"""

from __future__ import annotations

from torch import Tensor

from temporal.opinions.paired import PairedRule


class PortraitOpinion(PairedRule):
    """A linear rule on the standardised features of each step's portrait."""

    def __init__(self, features: int, width: int) -> None:
        """Make an unfitted opinion on `features` feature vectors of `width` numbers: logits 0."""
        super().__init__(features * width)

    def describe(self, portrait: Tensor, mask: Tensor) -> Tensor:
        """Return each step's features (N, L, F * D), each vector with zero mean and unit variance.

        The overall response of a vector depends on brightness and contrast.
        """
        x = portrait.float()
        x = x - x.mean(dim=-1, keepdim=True)
        x = x / x.std(dim=-1, keepdim=True, correction=0).clamp(min=1e-6)
        return x.flatten(2)
