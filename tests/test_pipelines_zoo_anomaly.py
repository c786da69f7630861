"""An anomaly map by planted tokens, and by noise on half a crop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from extractors.encoder_file import load_encoder
from extractors.encoder_store import encoder_sha256
from extractors.streams import Streams
from pipelines.config import ConfigError, load_config
from pipelines.data.samples import Sample
from pipelines.detection.starter import ENCODER
from pipelines.storage.weights import WeightsError, save_weights
from pipelines.train.clips import TrainClip
from pipelines.zoo.anomaly import (
    AnomalyConfig,
    AnomalyLocator,
    load_anomaly,
    measured_anomaly,
)
from pipelines.zoo.head_clips import kind_of
from pipelines.zoo.maps import MapChunk
from temporal.zoo import anomaly_map
from temporal.zoo.anomaly_map import AnomalyMap, adapted, odds, unit

ROOT = Path(__file__).resolve().parents[1]
YAML = ROOT / "configs" / "heads" / "untrained" / "anomaly.yaml"
DIM, SIDE = 24, 7


def tokens(seed: int, steps: int = 2) -> Tensor:
    """Tokens (L, 49, 24) about one direction."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.linspace(-2, 2, DIM)
    return middle + 0.5 * torch.randn(steps, SIDE**2, DIM, generator=generator)


def odd(seed: int) -> Tensor:
    return tokens(seed) + 3 * torch.linspace(-1, 1, DIM).square()


@pytest.fixture(params=[True, False], ids=["adapted", "as they are"])
def head(request: pytest.FixtureRequest) -> AnomalyMap:
    made = AnomalyMap(DIM, adapt=request.param)
    made.settle(unit(tokens(0)).flatten(0, 1), unit(odd(1)).flatten(0, 1))
    return made


def test_prototypes_are_mean_directions(head: AnomalyMap) -> None:
    assert head.prototypes.norm(dim=1).tolist() == pytest.approx([1.0, 1.0])
    mean = unit(tokens(0)).mean(dim=(0, 1))
    assert torch.allclose(head.prototypes[0], mean / mean.norm(), atol=1e-6)


def test_a_planted_patch_is_the_brightest_of_the_map(head: AnomalyMap) -> None:
    seen = tokens(2)
    place = 2 * SIDE + 5  # third row, sixth column
    seen[:, place] = odd(3)[:, place]
    cells = head(seen)
    assert cells.shape == (2, 28, 28)
    assert 0 <= float(cells.min()) <= float(cells.max()) <= 1
    brightest = torch.nn.functional.avg_pool2d(cells[:, None], 4)[0].argmax()
    assert divmod(int(brightest), SIDE)[0] in (1, 2, 3)
    assert divmod(int(brightest), SIDE)[1] in (4, 5, 6)


def test_identical_tokens_get_identical_cells(head: AnomalyMap) -> None:
    same = tokens(4)[:1, :1].expand(2, SIDE**2, DIM)
    cells = head(same)
    assert float(cells.max() - cells.min()) < 1e-5


def test_an_adapter_begins_anew_with_every_clip(head: AnomalyMap) -> None:
    first, second = tokens(5), odd(6)
    alone = head(second)
    head(first)
    assert torch.equal(head(second), alone)
    with torch.inference_mode():
        assert torch.allclose(head(second), alone)


def test_an_adapter_without_epochs_changes_no_odds_and_with_them_it_does(
    monkeypatch: pytest.MonkeyPatch, head: AnomalyMap
) -> None:
    seen, poles = unit(tokens(7)), head.prototypes
    monkeypatch.setattr(anomaly_map, "EPOCHS", 0)
    assert torch.allclose(odds(adapted(seen, poles), poles), odds(seen, poles), atol=1e-4)
    monkeypatch.setattr(anomaly_map, "EPOCHS", 5)
    assert not torch.allclose(odds(adapted(seen, poles), poles), odds(seen, poles), atol=1e-4)


def faces(count: int, seed: int) -> Tensor:
    """Smooth crops (N, 3, 112, 112) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator) * 90 + 70
    return torch.nn.functional.interpolate(coarse, (112, 112), mode="bicubic").byte()


@pytest.fixture(scope="module")
def locator() -> AnomalyLocator:
    """The package's encoder, and prototypes of smooth faces."""
    made = AnomalyLocator(load_encoder(ENCODER, 6), AnomalyMap(768), first=3)
    depth = torch.ones(4, 1, 56, 56).half()
    sample = Sample(Path("x"), "calibration", "real", "made", "p", (), None, None)
    clips = [
        TrainClip(sample, Streams(0, 0, face_size=112.0, appearance=faces(4, s), depth=depth), None)
        for s in range(2)
    ]
    made.learn(clips, AnomalyConfig("t", "anomaly", crops=2), 0)
    return made


def test_noise_on_half_a_crop_is_brighter_than_the_rest(locator: AnomalyLocator) -> None:
    crops = faces(1, 99).float()
    noise = 15 * torch.randn(crops.shape, generator=torch.Generator().manual_seed(5))
    crops[..., 56:] = (crops + noise).clamp(0, 255)[..., 56:]
    truth = torch.zeros(1, 28, 28)
    truth[..., 14:] = 1
    row = measured_anomaly(locator, [MapChunk(crops.byte(), torch.ones(1, 28, 28), truth)])
    assert row["clips"] == 1
    assert row["AUC of cells"][0] > 0.95


def test_the_file_of_a_map_is_of_the_packages_encoder(tmp_path: Path) -> None:
    config = load_config(AnomalyConfig, YAML)
    assert kind_of(YAML) == "anomaly"
    path = tmp_path / "a.safetensors"
    state = AnomalyMap(768).state_dict()
    facts = {"config": '{"title": "t", "kind": "anomaly", "last": 1, "first": 0}'}
    save_weights(path, state, "avdetect anomaly 1", {**facts, "encoder": encoder_sha256(ENCODER)})
    assert load_anomaly(path)[0].encoder.config.layers == 1
    save_weights(path, state, "avdetect anomaly 1", {**facts, "encoder": "another"})
    with pytest.raises(WeightsError, match="another picture encoder"):
        load_anomaly(path)
    with pytest.raises(ConfigError, match="first must lie"):
        load_config(AnomalyConfig, YAML, ["first=6"])
    assert config.last == 6


def test_prototypes_need_clips(locator: AnomalyLocator) -> None:
    with pytest.raises(ConfigError, match="no genuine clips"):
        locator.learn([], AnomalyConfig("t", "anomaly"), 0)
