"""The reference: what a change costs on it is the length of the change, and it survives a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.adapt.clip_table import Calibration, WeightChange, all_logits
from pipelines.adapt.clip_tracks import JudgedFile, JudgedTrack
from pipelines.adapt.reference import (
    FEWEST,
    Reference,
    load_reference,
    reference_of,
    save_reference,
)
from pipelines.data.samples import Sample
from pipelines.detection.opinions import ABSENT
from pipelines.storage.weights import WeightsError

FEATURES = 50
CALIBRATION = Calibration((1.0, 1.0), (0.0, 0.0), -0.9)


def judged(count: int, seed: int = 0) -> Reference:
    """Faces whose features have very different variances, and as many sounds without features."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(1, -1, FEATURES)
    samples, files = [], []
    for index in range(count):
        features = 3 + scales * torch.randn(FEATURES, generator=generator)
        files.append(
            JudgedFile(
                [
                    JudgedTrack(0, index / count, ABSENT, 1.0, 1.0, features),
                    JudgedTrack(1, -1.0, ABSENT, 1.0, 1.0, None),
                ],
                1.0,
            )
        )
        samples.append(Sample(Path(f"{index}.mp4"), "dev", "m", "s", "p", (), (), None))
    return reference_of(samples, files, "digest", f"{count} drawn faces")


def test_a_changes_length_is_what_it_moves_in_the_root_mean_square() -> None:
    reference = judged(80)
    size = reference.size
    assert size == FEATURES
    direction = torch.randn(size, generator=torch.Generator().manual_seed(1)).double()
    change = WeightChange(torch.stack([direction, 0 * direction]), torch.zeros(2).double())
    logits = [
        all_logits(reference.table, c, CALIBRATION)[:, 0] for c in (WeightChange.none(size), change)
    ]
    moved = float((logits[1] - logits[0]).square().mean().sqrt())
    assert moved == pytest.approx(float(direction.norm()) / size**0.5, rel=0.02)


def test_points_are_of_the_features_and_the_subspace() -> None:
    reference = judged(40)
    space = reference.subspaces["visual"]
    assert "audio" not in reference.subspaces
    row = int(torch.nonzero(reference.table.column == 1)[0])
    assert not reference.table.points[row].any()
    assert space.points(space.centre.float()).abs().max() == 0.0


def test_too_few_clips_make_no_subspace() -> None:
    reference = judged(FEWEST - 1)
    assert reference.size == 0
    assert not reference.subspaces


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    reference = judged(40)
    save_reference(tmp_path / "r.safetensors", reference)
    again = load_reference(tmp_path / "r.safetensors")
    assert (again.model, again.what, again.size) == ("digest", "40 drawn faces", reference.size)
    change = WeightChange(torch.ones(2, reference.size).double(), torch.ones(2).double())
    logits = [all_logits(r.table, change, CALIBRATION) for r in (reference, again)]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-3, rtol=1e-3)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"r\.safetensors"):
        load_reference(tmp_path / "r.safetensors")
