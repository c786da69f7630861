"""Grad-CAM on known answers: the evidence of an expert that has learnt lies where the cue is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extractors.faces import track_faces
from pipelines.cues.drawn_clips import mesh_at_rest, streams_of
from pipelines.cues.isolation import MEANT, taught
from pipelines.cues.maps import MOST, STEPS, Inside, artefact_tube, evidence_inside, forged_clips
from pipelines.detection.detector import Detector, load_detector
from pipelines.detection.starter import STARTER
from pipelines.train.expert_probe import ExpertProbe

CLIPS = 12
PICTURES_AND_SOUND = ("appearance", "flow", "depth", "mel")
UNMAPPED = ("flicker",)  # found by a branch that reads no map of features: docs/cue_isolation.md
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def mesh(face_frames: Array) -> Array:
    return mesh_at_rest(track_faces(face_frames[:5])[0].landmarks[0])


@pytest.mark.parametrize(
    ("expert", "artefact"), [("flow", "blend"), ("depth", "depth"), ("mel", "vocoder")]
)
def test_a_tube_holds_all_that_an_artefact_changes_and_little_else(
    expert: str, artefact: str, mesh: Array
) -> None:
    (pair,) = forged_clips(artefact, mesh, 1, seed=3)
    forged, unforged = (streams_of(clip) for clip in pair)
    tube = artefact_tube(expert, pair[0], forged, unforged)
    assert 0 < tube.mean() <= MOST + 0.05
    start, stop = pair[0].interval
    if expert == "mel":
        columns = torch.arange(4 * STEPS)[tube[0].any(dim=0)]
        assert columns.min() >= 4 * start - 1
        assert columns.max() <= 4 * stop + 8
    else:
        steps = torch.arange(STEPS)[tube.flatten(1).any(dim=1)]
        assert steps.min() >= start
        assert steps.max() < stop


def test_evidence_is_measured_in_shares(mesh: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    ((forged, unforged),) = forged_clips("depth", mesh, 1, seed=3)
    forged_streams, streams = streams_of(forged), streams_of(unforged)
    tube = artefact_tube("depth", forged, forged_streams, streams)
    detector = Detector(load_detector(STARTER).config).eval()

    def found(heat: torch.Tensor) -> Inside:
        monkeypatch.setattr("pipelines.cues.maps.maps_of", lambda *_: {"depth": heat})
        return evidence_inside(detector, ExpertProbe("depth", detector), "depth", forged, unforged)

    within, without, everywhere = found(tube), found(1 - tube), found(torch.ones_like(tube))
    assert (within.mass, without.mass) == (1.0, 0.0)
    assert everywhere.mass == pytest.approx(everywhere.share)
    assert within.off_face == 0.0  # the mesh swings in depth within its outline
    assert everywhere.off_face == pytest.approx(everywhere.off_area, abs=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("expert", PICTURES_AND_SOUND)
def test_the_evidence_of_an_expert_lies_in_the_artefact_that_it_has_learnt(
    expert: str, mesh: Array, tmp_path: Path
) -> None:
    detector, module = taught(expert, mesh, tmp_path)
    for artefact in placed(expert):
        found = [
            evidence_inside(detector.eval(), module.eval(), expert, *pair)
            for pair in forged_clips(artefact, mesh, CLIPS, seed=1)
        ]
        print(row(expert, artefact, found))
        if artefact not in UNMAPPED:
            assert mean(found, "mass") >= 3 * mean(found, "share")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("expert", PICTURES_AND_SOUND)
def test_the_shipped_experts_do_not_point_at_what_is_drawn(expert: str, mesh: Array) -> None:
    detector = load_detector(STARTER)
    probe = ExpertProbe(expert, detector).eval()
    for artefact in placed(expert):
        found = [
            evidence_inside(detector, probe, expert, *pair)
            for pair in forged_clips(artefact, mesh, CLIPS, seed=1)
        ]
        print(row(expert, artefact, found))
        assert mean(found, "mass") < 3 * mean(found, "share")  # docs/cue_isolation.md


def placed(expert: str) -> list[str]:
    """The artefacts that an expert is meant for and that have a place: `full` is everywhere."""
    return [name for name in MEANT[expert] if name != "full"]


def mean(found: list[Inside], name: str) -> float:
    values = [getattr(inside, name) for inside in found]
    return float("nan") if None in values else float(np.mean(values))


def row(expert: str, artefact: str, found: list[Inside]) -> str:
    cells = [f"{mean(found, name):.2f}" for name in ("share", "mass", "off_area", "off_face")]
    ratio = mean(found, "mass") / mean(found, "share")
    return f"\n| {expert} | {artefact} | {' | '.join(cells)} | {ratio:.1f} |"
