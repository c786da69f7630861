"""Weights that were trained on networks of one's own ask for these, and for no others."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_encoders import wav2vec2
from safetensors.torch import save_file

from avdetect.example import example_waveform
from extractors.errors import InputError
from extractors.media import write_clip
from extractors.streams import StreamConfig
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.own_networks import on_own, with_own
from pipelines.detection.session import load
from pipelines.storage.weights import WeightsError
from pipelines.train.run import train

SIZES = "{dim: 8, appearance: 4, " + ", ".join(
    f"{name}: [4, 4]" for name in ("lips", "flow", "depth", "mel", "voice")
) + "}"  # fmt: skip


def speech(seed: int) -> np.ndarray:
    """Two seconds of a drawn voice; with an odd seed there is a hiss in it."""
    rng = np.random.default_rng(seed)
    hiss = 0.02 * rng.standard_normal(32_000) * (seed % 2)
    return (example_waveform(2.0) * rng.uniform(0.5, 1.0) + hiss).astype(np.float32)


def written(folder: Path, encoder: Path) -> Path:
    """Write twelve recordings of three sources and how to fit speech features on them."""
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "method", "source", "split"])
        for seed in range(12):
            write_clip(folder / f"{seed}.wav", None, speech(seed))
            split, label = "train" if seed < 8 else "val", "fake" if seed % 2 else "real"
            rows.writerow([f"{seed}.wav", label, "hiss", seed % 3, split])
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"out: {folder / 'run'}\nthreads: 1\nprecision: float32\nspeech_encoder: {encoder}\n"
        f"data: {{sounds: {folder / 'manifest.csv'}, cache: {folder / 'cache'}, workers: 1}}\n"
        f"detector: {{name: tiny, experts: {SIZES}, opinions: [speech_features], "
        "whole: [speech_features], speech_layers: [1, 2]}\nstages: [speech_features]\n"
    )
    return recipe


def test_a_speech_encoder_is_fitted_saved_loaded_and_judges(tmp_path: Path) -> None:
    encoder = wav2vec2(tmp_path / "encoder")
    weights = train(written(tmp_path, encoder))
    with pytest.raises(
        WeightsError, match=r"opinion on speech features is of another; --set streams\.speech_enc"
    ):
        load(weights)
    session = load(weights, overrides=[f"streams.speech_encoder={encoder}"])
    assert session.detector.config.speech_width == 16
    scores = []
    for seed in (20, 21):
        path = tmp_path / f"{seed}.wav"
        write_clip(path, None, speech(seed))
        scores.append(session.detect(path).audio_score)
    assert None not in scores
    assert scores[0] + 0.3 < scores[1]


def test_another_encoder_than_the_one_of_the_training_is_refused(tmp_path: Path) -> None:
    detector = DetectorConfig(opinions=("speech_features",), speech_layers=(1,))
    own = StreamConfig(speech_encoder=str(wav2vec2(tmp_path / "own")))
    trained = on_own(detector, own)
    assert (trained.speech_width, len(trained.speech_encoder)) == (16, 64)
    found = with_own(own, trained)
    assert (found.added, found.speech_layers) == (("speech_features",), (1,))
    other = wav2vec2(tmp_path / "other", layer_norm_eps=1e-5)  # one more line in its settings
    with pytest.raises(WeightsError, match="other: the detector's opinion on speech features"):
        with_own(replace(own, speech_encoder=str(other)), trained)


def test_an_encoder_without_the_layers_of_the_recipe_is_refused(tmp_path: Path) -> None:
    detector = DetectorConfig(opinions=("speech_features",), speech_layers=(6,))
    with pytest.raises(InputError, match=r"has the layers 1 to 3, got \[6\]"):
        on_own(detector, StreamConfig(speech_encoder=str(wav2vec2(tmp_path))))


def test_experts_that_know_one_flow_are_not_given_another(tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, one)
    save_file({"x": torch.ones(1)}, other)
    detector = DetectorConfig(opinions=("flow",))
    trained = on_own(detector, StreamConfig(flow_weights=str(one)))
    assert with_own(StreamConfig(flow_weights=str(one)), trained).flow_weights == str(one)
    for path, named in ((str(other), "other"), (None, "no network")):
        with pytest.raises(WeightsError, match=f"{named}.*experts know the flow of another"):
            with_own(StreamConfig(flow_weights=path), trained)
    anything = with_own(StreamConfig(flow_weights=str(other)), detector)
    assert anything.flow_weights == str(other), "weights that say nothing take any"
