"""An expert with the layer that its tokens are judged by, as it is trained."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from pipelines.detection.detector import Detector
from temporal.experts import normalise


class ExpertProbe(nn.Module):
    """An expert with a linear layer on its tokens: step logits (B, L) of one modality."""

    def __init__(self, name: str, detector: Detector) -> None:
        super().__init__()
        self.name, self.reads = name, detector.reads[name]
        self.expert = detector.experts[name]
        self.linear = detector.network(name)
        self.adapter = detector.adapters[name] if name in detector.adapters else None  # noqa: SIM401
        self.dim = detector.config.experts.dim

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L)."""
        logits: Tensor = self.linear(self.tokens(streams))
        return logits

    def tokens(self, streams: Mapping[str, Tensor], domain: Tensor | None = None) -> Tensor:
        """Return the expert's tokens (B, L, D); an adapter heeds the embedding of a domain."""
        inputs = [normalise(stream, streams[stream]) for stream in self.reads]
        tokens: Tensor = self.expert(*inputs)
        return tokens if self.adapter is None else self.adapter(tokens, domain)

    def pictures(self, streams: Mapping[str, Tensor], side: int) -> Tensor:
        """Return the expert's input as pictures (B, L, C, h, w) of at most `side` pixels a side.

        Sound is a picture of a channel, bands high and as wide as a step has columns.
        """
        (stream,) = self.reads
        x = normalise(stream, streams[stream])
        x = x if x.dim() == 5 else x[:, :, None]
        size = (min(x.shape[-2], side), min(x.shape[-1], side))
        small = functional.adaptive_avg_pool2d(x.flatten(0, 1), size)
        return small.reshape(*x.shape[:2], *small.shape[1:])
