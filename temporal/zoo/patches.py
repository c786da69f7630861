"""Random patches of a clip's frames, which break up what the frames show."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 32  # pixels of a patch
BLUR = 5  # pixels a side of the widest blur's kernel


def clip_seeds(group: Tensor) -> list[int]:
    """Return a seed (B) for each clip's frames (B, F, 3, H, W), by their pixels alone.

    What is drawn by it is the same in any batch, process or order.
    """
    pixels = group.flatten(1).long()
    weights = torch.arange(pixels.shape[1], device=group.device) % 65_521 + 1
    seeds: list[int] = (pixels * weights).sum(dim=1).tolist()
    return seeds


def random_patches(group: Tensor, count: int, anew: bool) -> Tensor:
    """Return patches (B, K, 3, 32, 32) of groups of frames (B, F, 3, H, W), frame by frame in turn.

    anew: draw new places at each call; else each clip always has the same.
    """
    frames, (height, width) = group.shape[1], group.shape[-2:]
    seeds = [int(torch.randint(2**31, ()))] * len(group) if anew else clip_seeds(group)
    places = torch.stack([_places(count, height, width, seed) for seed in seeds]).to(group.device)
    windows = group.unfold(3, SIDE, 1).unfold(4, SIDE, 1)  # (B, F, 3, H - 31, W - 31, 32, 32)
    clips = torch.arange(len(group), device=group.device)[:, None]
    turn = torch.arange(count, device=group.device) % frames
    return windows[clips, turn, :, places[..., 0], places[..., 1]]


def _places(count: int, height: int, width: int, seed: int) -> Tensor:
    """Return the rows and columns (K, 2) at which patches begin."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(length - SIDE + 1, (count,), generator=generator)
             for length in (height, width)]  # fmt: skip
    return torch.stack(drawn, dim=1)


def degraded(frames: Tensor, share: float) -> Tensor:
    """Return frames (F, 3, H', W') as a JPEG, blurred or made smaller, each with odds of `share`.

    PatchCraft's augmentations: JPEG of quality 70 to 100, Gaussian blur of up to 1 pixel, and
    between a quarter and half of the size, but no smaller than a patch. All frames are treated
    alike.
    """
    # a page measures patches and never trains on them: torchvision takes a second
    from torchvision.io import decode_jpeg, encode_jpeg
    from torchvision.transforms.functional import gaussian_blur

    one, two, three = (torch.rand(3) < share).tolist()
    if one:
        quality = int(torch.randint(70, 101, ()))
        levels = frames.round().clamp(0, 255).byte().cpu()
        frames = torch.stack([decode_jpeg(encode_jpeg(f, quality)) for f in levels]).to(frames)
    if two:
        frames = gaussian_blur(frames.float(), BLUR, max(float(torch.rand(())), 1e-3))
    if three:
        ratio = float(torch.empty(()).uniform_(0.25, 0.5))
        size = [max(round(ratio * length), SIDE) for length in frames.shape[-2:]]
        frames = functional.interpolate(frames.float(), size, mode="bilinear", antialias=True)
    return frames
