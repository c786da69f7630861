"""What is kept of a clip gives the scores of a detection, and so does the adapted weights file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avdetect.example import example_clip
from extractors.media import probe
from pipelines.adapt.adapted_file import Adaptation, calibration_of, save_adapted
from pipelines.adapt.clip_table import WeightChange, all_logits, table_of
from pipelines.adapt.clip_tracks import JudgedFile, judged_file, kept_info
from pipelines.adapt.measure import effect
from pipelines.adapt.reference import Subspace
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectorSession, load
from pipelines.storage.weights import load_weights
from pipelines.streams.stream_cache import StreamCache
from temporal.experts import ExpertConfig
from temporal.opinions.paired import PairedRule
from temporal.opinions.whisper_file import whisper_bands

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)
OPINIONS = ("mel", "portrait", "utterance", "localizer of sound")
CHANGE = WeightChange(
    torch.tensor([[0.5, -1.0, 0.3], [-0.7, 0.2, 1.1]]).double(), torch.tensor([-0.4, 0.6]).double()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn clip, and weights whose rules are drawn numbers."""
    folder = tmp_path_factory.mktemp("adapt")
    example_clip(folder / "clip.mp4", 2.4)
    torch.manual_seed(0)
    config = DetectorConfig("tiny", opinions=OPINIONS, whole=OPINIONS[1:3], experts=TINY)
    detector = Detector(config)
    for name in OPINIONS[1:3]:
        rule = detector.network(name)
        assert isinstance(rule, PairedRule)
        rule.rule.copy_(torch.randn(len(rule.rule)) / len(rule.rule) ** 0.5)
        rule.spread.fill_(2.0)
    detector.get_buffer("utterance.bands").copy_(whisper_bands())
    detector.clip_weights.copy_(torch.tensor([[0.3, 0.0], [0.9, 0.0], [1.1, 0.0], [0.5, -3.0]]))
    detector.calibration.copy_(torch.tensor([[0.9, 0.1], [1.1, -0.2], [1.0, 0.0]]))
    save_detector(folder / "tiny.safetensors", detector, {})
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> DetectorSession:
    return load(folder / "tiny.safetensors")


@pytest.fixture(scope="module")
def spaces(session: DetectorSession) -> dict[str, Subspace]:
    generator = torch.Generator().manual_seed(1)
    made = {}
    for modality, name in zip(("visual", "audio"), OPINIONS[1:3], strict=True):
        size = len(session.detector.get_buffer(f"{name}.rule"))
        directions = torch.randn(size, 3, generator=generator) / size**0.5
        made[modality] = Subspace(torch.randn(size, generator=generator), directions)
    return made


@pytest.fixture(scope="module")
def judged(folder: Path, session: DetectorSession, spaces: dict[str, Subspace]) -> JudgedFile:
    extract = StreamCache(folder / "cache", session.config.streams).get(folder / "clip.mp4")
    info = probe(folder / "clip.mp4")
    kept = [
        kept_info(folder / "clip.mp4", folder / "cache", session.config.media) for _ in range(2)
    ]
    assert kept == [info, info]
    return judged_file(info, extract, session, lambda modality, x: spaces[modality].points(x))


def scores(session: DetectorSession, file: JudgedFile, change: WeightChange) -> list[float]:
    sample = Sample(Path("clip.mp4"), "train", "real", "s", "p", (), (), None)
    table = table_of([sample], [file], 3)
    logits = all_logits(table, change, calibration_of(session.detector))
    return [float(x) for x in logits[0].sigmoid()]


def detected(session: DetectorSession, folder: Path) -> list[float]:
    verdict = session.detect(folder / "clip.mp4")
    found = verdict.visual_score, verdict.audio_score, verdict.score
    assert None not in found
    return [float(x) for x in found if x is not None]


def test_tracks_as_kept_give_the_scores_of_a_detection(
    folder: Path, session: DetectorSession, judged: JudgedFile
) -> None:
    assert [track.column for track in judged.tracks] == [0, 1]
    found = scores(session, judged, WeightChange.none(3))
    assert found == pytest.approx(detected(session, folder), abs=2e-3)


def test_the_adapted_file_judges_as_was_foretold_and_says_what_it_is(
    folder: Path, session: DetectorSession, judged: JudgedFile, spaces: dict[str, Subspace]
) -> None:
    sample = Sample(Path("clip.mp4"), "dev", "real", "s", "p", (), (), None)
    table = table_of([sample], [judged], 3)
    measured = effect(table, CHANGE, calibration_of(session.detector), (0.35, 0.64))
    adaptation: Adaptation = {
        "adapted_from": session.model, "manifests": ["own.csv"], "genuine_only": False,
        "taught": {"clips": 9, "genuine": 5, "fakes": 4, "groups": 6}, "left_out": {"x.mp4": "no"},
        "unnamed": 2, "what": "All of it.", "bound": None, "shifts": {"visual": 0.0, "audio": 0.0},
        "held_out": measured, "reference": None, "reference_what": "none is here.",
    }  # fmt: skip
    out = folder / "my.safetensors"
    save_adapted(out, folder / "tiny.safetensors", CHANGE, spaces, adaptation)
    mine = load(out)
    foretold = scores(session, judged, CHANGE)
    assert detected(mine, folder) == pytest.approx(foretold, abs=2e-3)
    assert max(abs(a - b) for a, b in zip(foretold, detected(session, folder), strict=True)) > 0.05
    assert (mine.model["name"], mine.model["version"]) == ("my", "1 adapted")
    facts = load_weights(out, None)[1]["facts"]
    assert session.model["sha256"] in facts
    card = (folder / "my.md").read_text()
    for words in (
        session.model["sha256"], "5 genuine and 4 forged clips of 6 persons", "All of it.",
        "2 clips name no person", "none is here.", "- x.mp4: no", "clips held out",
    ):  # fmt: skip
        assert words in card
