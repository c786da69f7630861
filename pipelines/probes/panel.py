"""The panel: every expert on the picture, asked about the same few frames of a face.

Experts are the opinions of the detector, its whole picture score, and the parts of the zoo that
look at single frames. A probe changes the frames before anything is extracted of them, so that
motion, depth and the encoder's features are those of the changed frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from extractors.clip import Frames
from extractors.media import Clip, open_media
from extractors.native import SHOWN, native_crop
from extractors.streams import Streams
from pipelines.detection.session import DetectorSession
from pipelines.train.experts import suspicion
from pipelines.zoo.native_clips import NATIVE
from pipelines.zoo.parts import PARTS, SHIPPED, PartConfig, load_part, read_parts
from temporal.segment import MODALITIES

STEPS = 32  # of a clip, from its beginning
WHOLE = "whole picture"
VISUAL = MODALITIES.index("visual")
READ = ({"appearance"}, {NATIVE})  # inputs of the parts that are asked

Parts = Mapping[str, tuple[PartConfig, nn.Module]]


def shipped_parts() -> dict[str, tuple[PartConfig, nn.Module]]:
    """Return the zoo's parts with shipped weights that judge single frames, by name."""
    parts = {}
    for name, config in read_parts().items():
        weights = SHIPPED / f"{name}.safetensors"
        if set(config.streams) in READ and config.stage is not None and weights.exists():
            parts[name] = config, load_part(PARTS / f"{name}.yaml", config, weights)
    return parts


def opening(path: Path, session: DetectorSession) -> Clip | None:
    """Return the first steps of a file's picture and no sound; None if it has no picture.

    Raises:
        MediaError: the file cannot be read.
    """
    with open_media(path, session.config.media) as reader:
        first = next(iter(reader), None)
    if first is None or first.frames is None or not len(first.frames):
        return None
    return Clip(first.start, first.frames[:STEPS], None)


class Panel:
    """The experts on the picture of a session's detector and of parts of the zoo."""

    def __init__(self, session: DetectorSession, parts: Parts) -> None:
        self.session, self.parts = session, parts

    def logits(self, frames: Frames) -> dict[str, float]:
        """Return the logit of each expert, above 0 for fake, on frames (T, H, W, 3) of one clip.

        Empty where they show no face: then nothing is judged but what reads native crops.
        """
        face = self.face(frames)
        found = {} if face is None else self._opinions(face)
        for name, (config, part) in self.parts.items():
            pictures = self._native(frames) if NATIVE in config.streams else None
            if face is not None and NATIVE not in config.streams:
                pictures = face.appearance
            if pictures is not None:
                with torch.inference_mode():
                    found[name] = suspicion(part({config.streams[0]: pictures[None]})[0].float())
        return found

    def face(self, frames: Frames) -> Streams | None:
        """Return the streams of the first face in frames (T, H, W, 3)."""
        clip = Clip(0, frames, None)
        faces = (b for b in self.session.extractor(iter([clip])) if b.mouth is not None)
        return next(faces, None)

    @torch.inference_mode()
    def _opinions(self, face: Streams) -> dict[str, float]:
        detector = self.session.detector
        device = detector.calibration.device
        streams = {name: stream[None].to(device) for name, stream in face.given().items()}
        mask = torch.ones(1, face.steps, dtype=torch.bool, device=device)
        tokens = detector.tokens(streams, mask)
        opinions = detector.fuse(tokens, mask).opinions
        found = {
            opinion.name: float(opinions[0, :, column].mean())
            for column, opinion in enumerate(detector.opinions)
            if opinion.modality == "visual"
            and (opinion.source == "fusion" or opinion.name in tokens or opinion.applies(tokens))
        }
        scale, shift = detector.calibration[VISUAL]
        found[WHOLE] = float(scale * detector.clip_logits(opinions, mask)[0, VISUAL] + shift)
        return found

    @staticmethod
    def _native(frames: Frames) -> Tensor | None:
        """Return crops (K, 3, 160, 160) at the frames' own size; None if they are too small."""
        chosen = frames[:: max(len(frames) // SHOWN, 1)][:SHOWN]
        crops = [crop for frame in chosen if (crop := native_crop(frame)) is not None]
        if not crops:
            return None
        pictures = torch.stack([torch.from_numpy(crop.copy()) for crop in crops])
        return pictures.permute(0, 3, 1, 2)
