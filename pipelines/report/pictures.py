"""Suspicious moments in, pictures for a page out: five frames, and where evidence lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from extractors.clip import Frames
from pipelines.evidence.moments import Moment
from pipelines.report.lanes import data_uri

TILE = 112  # pixels
STREAM = {"appearance": "appearance", "lips": "mouth", "flow": "flow", "depth": "depth"}
SEEN = {
    "appearance": "the face close up",
    "lips": "the mouth",
    "flow": "movement (hue: direction, brightness: speed)",
    "depth": "the face's shape in depth",
    "mel": "the sound's spectrum",
    "forged": "how much seems painted over, by a weak network (black: nothing, white: all)",
}
FAINT = 0.2  # of 1: a map of what seems forged that reaches no further shows nothing


def moment_pictures(moment: Moment, maps: dict[str, Tensor]) -> list[dict[str, str]]:
    """Return the pictures of a moment: what is seen, its text alternative, and a data URI."""
    if moment.modality == "audio":
        heard = "mel" in maps and bool(maps["mel"].any())
        return [_sound_picture(moment, maps["mel"][0])] if heard else []
    steps = moment.shown
    rows = []
    for expert, stream in STREAM.items():
        if expert in maps and maps[expert].any():
            tiles = _tiles(stream, moment.streams[stream][steps])
            heat = functional.interpolate(
                maps[expert][steps][:, None], tiles.shape[1:3], mode="bilinear", align_corners=False
            )[:, 0].numpy()
            words = f"its evidence is strongest {place(maps[expert][steps])}"
            rows.append(_picture(SEEN[expert], words, [tiles, overlaid(tiles, heat)]))
    if "forged" in maps and maps["forged"].max() >= FAINT:
        rows.append(_forged_picture(moment.streams["appearance"][steps], maps["forged"]))
    return rows


def _forged_picture(crops: Tensor, shares: Tensor) -> dict[str, str]:
    """Return five crops (N, 3, h, w), and below them how much seems forged (N, 28, 28) in grey."""
    tiles = _tiles("appearance", crops)
    scaled = functional.interpolate(
        shares[:, None], tiles.shape[1:3], mode="bilinear", align_corners=False
    )
    grey = (scaled * 255).round().byte().permute(0, 2, 3, 1).expand(*tiles.shape).numpy()
    words = f"at most {float(shares.max()):.2f} of 1, most of it {place(shares)}"
    return _picture(SEEN["forged"], words, [tiles, grey])


def _tiles(name: str, stream: Tensor) -> Frames:
    """Return a stream's steps (N, ...) as pictures (N, h, w, 3)."""
    import cv2

    if name == "appearance":
        return stream.permute(0, 2, 3, 1).numpy()
    if name == "flow":
        grey = _flow_colours(stream.float().numpy())
    elif name == "depth":
        depth = stream[:, 0].float().numpy()
        reach = max(float(np.abs(depth).max()), 1e-6)
        grey = np.repeat(((depth / reach + 1) * 127.5).astype(np.uint8)[..., None], 3, axis=-1)
    else:
        grey = np.repeat(stream[:, 0].numpy()[..., None], 3, axis=-1)
    height = round(TILE * grey.shape[1] / grey.shape[2])
    scaled = [cv2.resize(g, (TILE, height), interpolation=cv2.INTER_NEAREST) for g in grey]
    return np.stack(scaled).astype(np.uint8)


def _flow_colours(flow: npt.NDArray[np.float32]) -> Frames:
    """Return flow (N, 2, h, w) as colours: the hue is the direction, the brightness the speed."""
    import cv2

    speed, angle = np.hypot(flow[:, 0], flow[:, 1]), np.arctan2(flow[:, 1], flow[:, 0])
    hsv = np.empty((*speed.shape, 3), np.uint8)
    hsv[..., 0] = ((angle + np.pi) / (2 * np.pi) * 179).astype(np.uint8)
    hsv[..., 1] = 200
    hsv[..., 2] = (speed / max(float(speed.max()), 1e-6) * 255).astype(np.uint8)
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_HSV2RGB) for frame in hsv]).astype(np.uint8)


def overlaid(tiles: Frames, heat: npt.NDArray[np.floating[Any]]) -> Frames:
    """Return pictures (N, h, w, 3) turned grey under a heat map (N, h, w) in [0, 1]."""
    from matplotlib import colormaps

    grey = tiles.mean(axis=-1, keepdims=True) * 0.8
    colour = colormaps["inferno"](heat.clip(0, 1))[..., :3] * 255
    weight = 0.75 * heat.clip(0, 1)[..., None]
    mixed: Frames = (grey * (1 - weight) + colour * weight).round().astype(np.uint8)
    return mixed


def _sound_picture(moment: Moment, heat: Tensor) -> dict[str, str]:
    """Return the spectrum (low sounds below) around a moment, and the same under its heat map."""
    import cv2

    columns = moment.streams["mel"].permute(1, 0, 2).flatten(1)  # (80, 4 L)
    low, high = float(columns.min()), float(columns.max())
    grey = ((columns - low) / max(high - low, 1e-6) * 255).flip(0).numpy().astype(np.uint8)
    size = (560, 160)
    picture = np.repeat(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)[..., None], 3, -1)
    spread: Any = cv2.resize(heat.flip(0).numpy(), size, interpolation=cv2.INTER_LINEAR)
    tiles = np.stack([picture]).astype(np.uint8)
    middle = (int(heat.sum(dim=0).argmax()) + 0.5) / heat.shape[1]
    at = (moment.first + middle * len(moment.streams["mel"])) / 25
    band = ("low", "middle", "high")[int(heat.sum(dim=1).argmax()) * 3 // heat.shape[0]]
    words = f"its evidence is strongest at {at:.2f} s, in the {band} frequencies"
    return _picture(SEEN["mel"], words, [tiles, overlaid(tiles, spread[None])])


def _picture(seen: str, words: str, rows: list[Frames]) -> dict[str, str]:
    """Return rows of tiles (N, h, w, 3) as one JPEG, with its texts."""
    import cv2

    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 82]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), quality)
    return {
        "seen": seen,
        "words": words,
        "uri": data_uri(content.tobytes(), "image/jpeg"),
        "width": str(sheet.shape[1]),
        "height": str(sheet.shape[0]),
    }


def place(maps: Tensor) -> str:
    """Return in words where maps (N, h, w) have most of their mass, as the viewer sees it."""
    total = maps.sum(dim=0)
    thirds = functional.adaptive_avg_pool2d(total[None, None], 3)[0, 0]
    row, column = divmod(int(thirds.argmax()), 3)
    if (row, column) == (1, 1):
        return "in the middle"
    side = ("left", "", "right")[column]
    if row == 1:
        return f"on the {side}"
    return f"at the {'top' if row == 0 else 'bottom'} {side}".rstrip()


def silent(moment: Moment, maps: dict[str, Tensor]) -> list[str]:
    """Return what was looked at in a moment without any evidence for a manipulation."""
    asked = ("mel",) if moment.modality == "audio" else tuple(STREAM)
    seen = [SEEN[name] for name in asked if name in maps and not maps[name].any()]
    faint = "forged" in maps and maps["forged"].max() < FAINT
    return [*seen, "the map of what seems painted over"] if faint else seen
