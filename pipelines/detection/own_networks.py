"""The networks of one's own that make streams, and the checks that weights belong to them.

Weights hold the digests of such networks, not the networks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from extractors.encoder_store import encoder_sha256
from extractors.lip_encoder import load_lip_encoder
from extractors.media import file_sha256
from extractors.speech_encoder import load_speech_encoder
from extractors.streams import StreamConfig
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import added_streams_of
from pipelines.detection.starter import on_encoder, with_portrait
from pipelines.storage.weights import WeightsError

SPEECH, LIPS = "speech_features", "lip_features"


def with_own(
    streams: StreamConfig, detector: DetectorConfig, portraits: bool = True
) -> StreamConfig:
    """Return the settings of the extractors with the portraits and added streams that are read.

    Raises:
        WeightsError: a network is missing, or not the one that the weights were trained on.
        ValueError: the config names unknown opinions.
        InputError: a network cannot be read.
    """
    added = added_streams_of(detector)
    _check(streams.flow_weights, detector.flow_network, "experts know the flow", "flow_weights")
    _check(streams.depth_weights, detector.depth_network, "experts know depth", "depth_weights")
    if SPEECH in added:
        what = "opinion on speech features is"
        _check(streams.speech_encoder, detector.speech_encoder, what, "speech_encoder")
    if LIPS in added:
        what = "opinion on lip features is"
        _check(streams.lip_encoder, detector.lip_encoder, what, "lip_encoder")
    streams = replace(
        streams, added=added, speech_layers=detector.speech_layers, lip_layers=detector.lip_layers
    )
    return with_portrait(streams, detector) if portraits else streams


def _check(path: str | None, sha256: str, what: str, setting: str) -> None:
    """Raise WeightsError unless a file is that of a digest; "": any will do."""
    if sha256 and (path is None or network_sha256(path) != sha256):
        raise WeightsError(
            f"{path or 'no network'}: the detector's {what} of another; "
            f"--set streams.{setting}=PATH names it"
        )


def network_sha256(path: str) -> str:
    """Return the digest of a network's file or folder.

    Raises:
        InputError, MediaError: it cannot be read.
    """
    return file_sha256(path) if path.endswith(".onnx") else encoder_sha256(path)


def on_own(detector: DetectorConfig, streams: StreamConfig) -> DetectorConfig:
    """Return the settings of a detector that is to be trained on the networks of a config.

    Raises:
        InputError: one cannot be read, or has not all the features that the detector names.
    """
    detector = on_encoder(detector, streams.encoder)
    if streams.flow_weights:
        detector = replace(detector, flow_network=network_sha256(streams.flow_weights))
    if streams.depth_weights:
        detector = replace(detector, depth_network=network_sha256(streams.depth_weights))
    if streams.speech_encoder and SPEECH in detector.opinions:
        width = load_speech_encoder(Path(streams.speech_encoder), detector.speech_layers).width
        digest = encoder_sha256(streams.speech_encoder)
        detector = replace(detector, speech_width=width, speech_encoder=digest)
    if streams.lip_encoder and LIPS in detector.opinions:
        width = load_lip_encoder(Path(streams.lip_encoder), detector.lip_layers).width
        digest = encoder_sha256(streams.lip_encoder)
        detector = replace(detector, lip_width=width, lip_encoder=digest)
    return detector
