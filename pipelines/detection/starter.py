"""The weights in the package, and the checks that encoders, heads and maps belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open

from extractors.encoder_file import load_encoder
from extractors.encoder_store import encoder_sha256
from extractors.portrait import Feature, PortraitEncoder
from extractors.streams import StreamConfig
from pipelines.detection.detector_config import DetectorConfig
from pipelines.storage.weights import WeightsError

WEIGHTS = Path(__file__).resolve().parents[2] / "avdetect" / "weights"
STARTER = WEIGHTS / "starter.safetensors"
ENCODER = WEIGHTS / "encoder.safetensors"  # the picture encoder of portraits


def check_experts(weights: Path, facts: Mapping[str, str]) -> None:
    """Check that a head or map was trained on the experts of the package's own detector.

    Raises:
        WeightsError: it was trained on others.
    """
    if facts.get("experts") != experts_sha256(STARTER):
        raise WeightsError(
            f"{weights}: learned from other experts than the detector's; train it again: "
            f"avdetect zoo train configs/heads/{weights.stem}.yaml"
        )


def check_encoder(weights: Path, facts: Mapping[str, str]) -> None:
    """Check that a head or map was trained on the package's own picture encoder.

    Raises:
        WeightsError: it was trained on another.
    """
    if facts.get("encoder") != encoder_sha256(ENCODER):
        raise WeightsError(
            f"{weights}: learned from another picture encoder than the package's; train it again: "
            f"avdetect zoo train configs/heads/untrained/{weights.stem}.yaml"
        )


def experts_sha256(path: Path) -> str:
    """Return the digest of the experts' weights in a detector's file.

    Fusion and calibration are left out: heads and maps do not depend on them.
    """
    digest = hashlib.sha256()
    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys()):
            if name.startswith(("experts.", "probes.", "lag.", "lag_probe.")):
                digest.update(name.encode() + file.get_tensor(name).numpy().tobytes())
    return digest.hexdigest()


def with_portrait(streams: StreamConfig, detector: DetectorConfig) -> StreamConfig:
    """Return the settings of the extractors with the portrait that a detector has an opinion on.

    Raises:
        WeightsError: the encoder is not the one that the opinion was fitted on.
        InputError: the encoder cannot be read.
    """
    if "portrait" not in detector.opinions:
        return streams
    encoder = streams.encoder or str(ENCODER)
    if detector.portrait_encoder not in ("", encoder_sha256(encoder)):
        raise WeightsError(
            f"{encoder}: the detector's opinion on portraits is of another encoder; "
            "--set streams.encoder=PATH names it"
        )
    return replace(
        streams, encoder=encoder, portrait=detector.portrait,
        portrait_every=detector.portrait_every, portrait_image=detector.portrait_image,
    )  # fmt: skip


def on_encoder(detector: DetectorConfig, encoder: str | None) -> DetectorConfig:
    """Return the settings of a detector whose opinion on portraits is to be fitted on an encoder.

    encoder: its file or folder; None: the package's, for which the settings are as they are.

    Raises:
        InputError: the encoder cannot be read, or has not all the features of `detector.portrait`.
    """
    if encoder is None or "portrait" not in detector.opinions:
        return detector
    blocks = max(Feature.named(name).block for name in detector.portrait)
    network = load_encoder(Path(encoder), blocks, detector.portrait_image or None)
    PortraitEncoder(network, detector.portrait, detector.portrait_every)
    return replace(
        detector, portrait_width=network.config.width, portrait_encoder=encoder_sha256(encoder)
    )
