"""Flow: planted shifts, and a network of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft_large, raft_small

from extractors.flow import FlowExtractor, dis_flow, raft_flow


def test_flow_of_a_known_shift_is_that_shift_in_crop_widths_a_second() -> None:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (160, 160, 3), dtype=np.uint8)
    texture = np.asarray(np.kron(texture[::4, ::4], np.ones((4, 4, 1))), np.uint8)
    crops = np.stack([texture[20:132, 20 - 2 * t : 132 - 2 * t] for t in range(3)])
    flow = FlowExtractor(dis_flow())(crops)  # each crop moves right by two pixels
    assert flow.shape == (3, 2, 56, 56)
    assert np.all(flow[0] == 0)
    inner = flow[1:, :, 10:-10, 10:-10]
    assert np.median(inner[:, 0]) == pytest.approx(2 / 112 * 25, rel=0.1)
    assert np.median(inner[:, 1]) == pytest.approx(0, abs=0.03)


def test_flow_turns_its_sign_when_time_runs_backwards() -> None:
    rng = np.random.default_rng(0)
    texture = np.asarray(np.kron(rng.integers(0, 255, (40, 40, 3)), np.ones((4, 4, 1))), np.uint8)
    crops = np.stack([texture[20:132, 20 - 2 * t : 132 - 2 * t] for t in range(2)])
    forward = FlowExtractor(dis_flow())(crops)[1, 0, 10:-10, 10:-10]
    backward = FlowExtractor(dis_flow())(crops[::-1].copy())[1, 0, 10:-10, 10:-10]
    assert np.median(forward) == pytest.approx(-np.median(backward), rel=0.1)


def test_raft_gives_flow_in_the_streams_shape_and_unit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "raft.safetensors"
    save_file(raft_small(weights=None).state_dict(), path)
    crops = np.random.default_rng(0).integers(0, 255, (2, 112, 112, 3), dtype=np.uint8)
    pair_flow = raft_flow(path, "cpu")
    flow = FlowExtractor(pair_flow)(crops)
    assert flow.shape == (2, 2, 56, 56)
    assert np.abs(flow[0]).max() == pytest.approx(
        np.abs(pair_flow(crops[0], crops[0])).max() * 25 / 112, rel=0.5
    )
    assert np.isfinite(flow).all()


@pytest.mark.parametrize("build", [raft_small, raft_large])
def test_raft_s_flow_is_that_of_the_library(build: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(weights=None).eval()
    path = tmp_path / "raft.safetensors"
    save_file(network.state_dict(), path)
    first, second = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), dtype=np.uint8)
    pair = [torch.from_numpy(x).permute(2, 0, 1)[None] / 127.5 - 1 for x in (first, second)]
    with torch.inference_mode():
        theirs = network(*pair)[-1][0].numpy()
    np.testing.assert_allclose(raft_flow(path, "cpu")(first, second), theirs, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("build", [raft_small, raft_large])
def test_raft_gives_the_same_flow_on_a_gpu(build: Any, tmp_path: Path) -> None:
    path = tmp_path / "raft.safetensors"
    save_file(build(weights=None).state_dict(), path)
    crops = np.random.default_rng(0).integers(0, 255, (2, 112, 112, 3), dtype=np.uint8)
    here, there = (raft_flow(path, device)(*crops) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there, here, atol=0.05 * np.abs(here).max())


def test_a_file_that_is_no_raft_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raft.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"raft\.safetensors: not the weights"):
        raft_flow(path, "cpu")
