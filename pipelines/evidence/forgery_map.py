"""The locator of forged pixels: a forgery map on the package's appearance expert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from extractors.media import file_sha256
from pipelines.detection.detector import Detector
from pipelines.detection.starter import STARTER, check_experts
from pipelines.storage.weights import WeightsError, load_into, load_weights
from temporal.forgery_map import ForgeryMap, seen_by

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession

FORMAT = "avdetect map 1"
MAP = STARTER.parent / "zoo" / "map.safetensors"


class Locator:
    """The first layers of a detector's appearance expert, and the map that reads them."""

    def __init__(self, stem: nn.Sequential, decoder: ForgeryMap) -> None:
        self.stem, self.decoder = stem.eval(), decoder.eval()

    @torch.inference_mode()
    def __call__(self, crops: Tensor, face: Tensor) -> Tensor:
        """Return how much of each cell seems forged (L, 28, 28), 0 to 1.

        Args:
            crops: (L, 3, 112, 112) uint8.
            face: (L, 28, 28) its cells, see `face_cells`.
        """
        device = self.decoder.threshold.device
        features = seen_by(self.stem, crops.to(device))
        maps: Tensor = self.decoder(features, face.to(device)).sigmoid()
        return maps.float().cpu()


def stem_of(detector: Detector) -> nn.Sequential:
    """Return the 2D layers of a detector's appearance expert, which run on each picture alone."""
    stem = detector.experts.get_submodule("appearance.stem")
    if not isinstance(stem, nn.Sequential):
        raise TypeError(f"expected a chain of layers, got {type(stem).__name__}")
    return stem.eval()


def locator_of(session: DetectorSession) -> Locator | None:
    """Return the package's locator for a session; None: the session has other weights."""
    if session.model["sha256"] != file_sha256(STARTER):
        return None
    try:
        return Locator(stem_of(session.detector), load_map(MAP)[0])
    except WeightsError:  # newer weights than the map's: the page goes without it
        return None


def load_map(weights: Path) -> tuple[ForgeryMap, dict[str, Any]]:
    """Return a map in evaluation mode, and the plain values of its `MapConfig`.

    Raises:
        WeightsError: the file holds no map, or one for other experts than the detector's.
    """
    state, facts = load_weights(weights, FORMAT)
    check_experts(weights, facts)
    try:
        config: dict[str, Any] = json.loads(facts["config"])
        decoder = ForgeryMap(**config["settings"])
    except (TypeError, KeyError, ValueError) as error:
        raise WeightsError(f"{weights}: not the settings of a map: {error}") from error
    load_into(decoder, weights, state)
    return decoder.eval(), config
