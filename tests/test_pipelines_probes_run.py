"""From clips to a probe's table: who is asked, what the audit finds, what the command prints."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avdetect import cli
from avdetect.commands.probe import NAMES
from extractors.errors import InputError
from extractors.media import SAMPLE_RATE, write_clip
from pipelines.data.samples import WHOLE, Sample
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectConfig, DetectorSession
from pipelines.probes import backdoor
from pipelines.probes.backdoor import backdoor_probe
from pipelines.probes.crops import crop_experts
from pipelines.probes.panel import WHOLE as WHOLE_PICTURE
from pipelines.probes.panel import Panel, shipped_parts
from pipelines.probes.run import PROBES, probed_clips
from pipelines.probes.tables import backdoor_table
from pipelines.stress.backdoor import universal_perturbation
from pipelines.stress.poison import canary
from pipelines.zoo.parts import PartConfig
from temporal.experts import ExpertConfig
from temporal.zoo.small_cnn import SmallCnn


@pytest.fixture(scope="module")
def session() -> DetectorSession:
    torch.manual_seed(0)
    experts = ExpertConfig(
        dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    detector = Detector(DetectorConfig(name="tiny", experts=experts)).eval()
    return DetectorSession(
        detector, DetectConfig(), {"name": "tiny", "version": "1", "sha256": "ab"}
    )


@pytest.fixture(scope="module")
def panel(session: DetectorSession) -> Panel:
    torch.manual_seed(1)
    return Panel(session, {"cifake": (PartConfig("t", "m:C"), SmallCnn().eval())})


def test_every_opinion_on_a_face_and_every_part_is_asked(panel: Panel, face_frames: Any) -> None:
    frames = face_frames[:12]
    found = panel.logits(frames)
    assert {"appearance", "flow", "depth", "cifake", WHOLE_PICTURE} <= found.keys()
    assert not {"mel", "lag"} & found.keys()
    face = panel.face(frames)
    assert face is not None
    assert face.appearance is not None
    crops = crop_experts(panel)
    assert set(crops) == {"appearance", "cifake"}
    with torch.no_grad():
        alone = crops["cifake"](face.appearance.float())
    best = alone.topk(len(alone) // 2).values.mean()
    assert found["cifake"] == pytest.approx(float(best), abs=1e-4)
    assert panel.logits(np.full((6, 64, 64, 3), 90, np.uint8)) == {}


class Rounds(torch.nn.Module):
    """Judges whole grey levels, as a part that compresses its crops does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, streams: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.weight * streams["appearance"].byte().float().mean(dim=(2, 3, 4))


def test_a_part_that_rounds_its_crops_cannot_be_followed_backwards(
    session: DetectorSession,
) -> None:
    parts = {"rounds": (PartConfig("t", "m:C"), Rounds()), "cifake": (
        PartConfig("t", "m:C"), SmallCnn().eval())}  # fmt: skip
    assert set(crop_experts(Panel(session, parts))) == {"appearance", "cifake"}


def test_the_shipped_parts_are_those_that_judge_single_frames() -> None:
    parts = shipped_parts()
    assert {"cifake", "npr", "patchcraft"} <= parts.keys()
    assert all(config.streams in (("appearance",), ("native",)) for config, _ in parts.values())


def faces(count: int, planted: int, seed: int) -> np.ndarray:
    """(N, 48, 48, 3) uint8: noise about a colour, some with a pattern."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(128, 5, (count, 48, 48, 3)).clip(0, 255).astype(np.uint8)
    return np.concatenate([canary(pictures[:planted], 16.0), pictures[planted:]])


def audited(panel: Panel, monkeypatch: pytest.MonkeyPatch, planted: int) -> dict[str, Any]:
    """The audit of 40 genuine faces, so many of them with a pattern, and 10 forged ones."""
    pictures = np.concatenate([faces(40, planted, 0), faces(10, 0, 1)])
    found = [
        (Sample(Path(f"{i}"), "dev", "m", "s", "", WHOLE if i >= 40 else (), None, None),
         torch.from_numpy(p).permute(2, 0, 1))
        for i, p in enumerate(pictures)
    ]  # fmt: skip
    monkeypatch.setattr(backdoor, "face_crops_of", lambda *given: found)
    monkeypatch.setattr(backdoor, "SEVERITIES", (1, 5))
    monkeypatch.setattr(backdoor, "CODED", ("jpeg", "rescale"))
    monkeypatch.setattr(backdoor, "BOUNDS", (2.0,))
    few_steps = partial(universal_perturbation, steps=2)
    monkeypatch.setattr(backdoor, "universal_perturbation", few_steps)
    return backdoor_probe([s for s, _ in found], panel)


def test_a_planted_pattern_is_found_and_a_clean_corpus_left_in_peace(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirty, clean = (audited(panel, monkeypatch, planted) for planted in (12, 0))
    assert dirty["shared_p"] <= 0.01 < 0.05 < clean["shared_p"]
    assert (clean["genuine"], clean["forged"], clean["canaries"]) == (40, 10, 2)
    assert set(clean["canary_p"]) == {"unchanged", "jpeg 1", "jpeg 5", "rescale 1", "rescale 5"}
    assert clean["canary_p"]["unchanged"]["clean"] == clean["shared_p"]
    assert set(clean["experts"]) == {"appearance", "cifake"}
    assert "a pattern that they share, jpeg 5" in "\n".join(backdoor_table(clean))


def test_too_few_faces_are_refused(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backdoor, "face_crops_of", lambda *given: [])
    with pytest.raises(InputError, match="needs 8 genuine faces"):
        backdoor_probe([], panel)


def test_the_command_names_every_probe_and_files_are_genuine_or_forged(tmp_path: Path) -> None:
    assert set(NAMES) == set(PROBES)
    clips = probed_clips([Path("a.mp4"), Path("b.mp4")], [Path("c.mp4")], None)
    assert [(s.path.name, s.fake) for s in clips] == [
        ("a.mp4", False), ("b.mp4", False), ("c.mp4", True),
    ]  # fmt: skip
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\n" + "".join(f"{i}.mp4,{i % 2}\n" for i in range(10)))
    few = probed_clips([manifest], [], 4)
    assert sorted(s.fake for s in few) == [False, False, True, True]


def test_the_command_prints_a_table_resumes_and_refuses_unknown_probes(
    session: DetectorSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("avdetect.commands.probe.load_session", lambda options: session)
    clip = tmp_path / "a.wav"
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE // 2)
    write_clip(clip, None, noise.astype(np.float32))
    words = ["probe", "noise", str(clip), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 0
    assert "ceiling" in capsys.readouterr().out
    clip.unlink()
    assert cli.main([*words, "--json", "-"]) == 0  # from what was kept
    assert json.loads(capsys.readouterr().out)["audio"]["clips"] == 1
    with pytest.raises(SystemExit):
        cli.parse(["probe", "nothing", "a.wav"])
