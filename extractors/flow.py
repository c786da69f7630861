"""The flow stream: optical flow (T, 2, 56, 56) between aligned crops, in crop widths a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.encoder_store import open_store
from extractors.media import STEP_RATE

SIDE = 56  # of the stream
RAFT_SIDE = 224  # RAFT's pyramid needs 128 pixels or more

PairFlow = Callable[[Frames, Frames], Array]  # two (H, W, 3) crops -> (2, H, W), pixels


class FlowExtractor:
    """Flow from one aligned crop to the next; keeps the last crop between calls."""

    def __init__(self, pair_flow: PairFlow) -> None:
        self._pair_flow = pair_flow
        self._last: Frames | None = None

    def __call__(self, crops: Frames) -> Array:
        """Return flow (T, 2, 56, 56) of crops (T, H, W, 3); a track's first step has none: 0."""
        flows = []
        for crop in crops:
            last = crop if self._last is None else self._last
            flow = self._pair_flow(last, crop) * (STEP_RATE / crop.shape[1])
            flows.append([cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in flow])
            self._last = crop
        return np.asarray(flows, np.float32)


def dis_flow() -> PairFlow:
    """Return OpenCV's dense inverse search (Kroeger et al. 2016), which needs no weights."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]

    def pair_flow(first: Frames, second: Frames) -> Array:
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)]
        flow: Array = dis.calc(grey[0], grey[1], None).transpose(2, 0, 1)
        return flow

    return pair_flow


def configured_flow(weights: str | None, device: str) -> PairFlow:
    """Return the flow of a network's file, or that of OpenCV where there is none."""
    return raft_flow(Path(weights), device) if weights else dis_flow()


def raft_flow(weights: Path, device: str) -> PairFlow:
    """Return torchvision's RAFT (Teed & Deng 2020), small or large, of a safetensors file.

    Raises:
        ValueError: the file does not hold such a network's weights.
    """
    import torch
    from torchvision.models.optical_flow import raft_large, raft_small

    store = open_store(weights)
    # the large one alone predicts how flow is scaled up
    name, build = ("raft_small", raft_small)
    if store.names("mask_predictor."):
        name, build = ("raft_large", raft_large)
    network = build(weights=None)
    try:
        network.load_state_dict({name: store[name] for name in store.places})
    except Exception as error:
        raise ValueError(f"{weights}: not the weights of torchvision's {name}: {error}") from error
    network = network.to(device).eval()

    def pair_flow(first: Frames, second: Frames) -> Array:
        pair = torch.from_numpy(np.stack([first, second])).to(device).permute(0, 3, 1, 2)
        scaled = torch.nn.functional.interpolate(
            pair.float() / 127.5 - 1, (RAFT_SIDE, RAFT_SIDE), mode="bilinear"
        )
        with torch.inference_mode():
            flow: Any = network(scaled[:1], scaled[1:])[-1][0]
        result: Array = flow.cpu().numpy() * (first.shape[1] / RAFT_SIDE)
        return result

    return pair_flow
