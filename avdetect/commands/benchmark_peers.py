"""`avdetect benchmark`: the steps of two common kinds of detectors, on the same clip.

Steps alone, with weights that are not theirs: what is compared is the time. Both decode plainly, in
this process, and look at every frame, as their authors' code does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from extractors.clip import Array, Frames
from extractors.decoding.picture import plain_frames
from extractors.decoding.sound import plain_waveform
from extractors.faces import FaceFinder
from extractors.media import SAMPLE_RATE

SIDE = 224  # pixels of a crop
BATCH = 16  # crops


def lip_sync_steps(clip: Path) -> tuple[int, int]:
    """Return how many crops and columns of MFCC a lip-sync network would be given.

    The preprocessing of SyncNet (Chung and Zisserman 2016): a face in every frame, its crop, and
    13 coefficients of the sound's cepstrum 100 times a second.
    """
    from torchaudio.transforms import MFCC

    shape = {"n_fft": 400, "hop_length": 160, "n_mels": 26}
    cepstrum = MFCC(SAMPLE_RATE, n_mfcc=13, melkwargs=shape)(torch.from_numpy(plain_waveform(clip)))
    return sum(1 for _ in _faces(clip)), cepstrum.shape[-1]


@torch.inference_mode()
def frame_network_steps(clip: Path) -> int:
    """Return how many frames a network on single faces has judged.

    A face in every frame and EfficientNet-B0 (Tan and Le 2019) on it: the smallest of the family
    that most such detectors have been built on since the Deepfake Detection Challenge.
    """
    from torchvision.models import efficientnet_b0

    network = efficientnet_b0(weights=None, num_classes=1).eval()
    crops, judged = _faces(clip), 0
    while batch := list(islice(crops, BATCH)):
        pictures = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        logits: Tensor = network(pictures.float() / 255)
        judged += len(logits)
    return judged


PEERS: dict[str, Callable[[Path], object]] = {
    "lip-sync preprocessing": lip_sync_steps,
    "EfficientNet-B0 a frame": frame_network_steps,
}


def _faces(clip: Path) -> Iterator[Frames]:
    """Yield the crop (224, 224, 3) of the first face in each frame, the middle where none is."""
    finder = FaceFinder()
    for frame in plain_frames(clip):
        yield _crop(frame, finder(frame))
    finder.close()


def _crop(frame: Frames, boxes: Array) -> Frames:
    height, width = frame.shape[:2]
    if len(boxes):
        left, top, right, bottom = boxes[0].clip(0, (width, height, width, height)).astype(int)
        frame = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    crop: Frames = cv2.resize(frame, (SIDE, SIDE)).astype(np.uint8, copy=False)
    return crop
