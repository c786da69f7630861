"""A package of somebody else adds an opinion, and a broken one takes nothing away."""

from __future__ import annotations

import logging
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.commands import doctor_checks
from avdetect.example import example_waveform
from extractors.media import write_clip
from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import (
    GROUP,
    known_opinions,
    opinions_of,
    plugged_opinions,
    streams_behind,
)
from pipelines.detection.session import load
from pipelines.storage.weights import WeightsError
from pipelines.train.calibrated import leave_whole_to_calibrated
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.opinions import train_opinions
from pipelines.train.recipe import TrainConfig
from temporal.experts import ExpertConfig

TOY = Path(__file__).parents[1] / "examples" / "plugin"
TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)
Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A function that installs a module as pip does: its file, and a dist-info beside it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)
    plugged_opinions.cache_clear()

    def install(module: str, code: str, points: str) -> None:
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{module}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")

    yield install
    plugged_opinions.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith(("avdetect_flatness", "stranger")):
            del sys.modules[name]


def install_toy(install: Install) -> None:
    """Install the package of examples/, by what its pyproject.toml says."""
    project = tomllib.loads((TOY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, value),) = project["entry-points"][GROUP].items()
    code = (TOY / "avdetect_flatness.py").read_text(encoding="utf-8")
    install("avdetect_flatness", code, f"{name} = {value}")


def speech(seed: int) -> np.ndarray:
    """Three seconds of a drawn voice; with an odd seed there is a hiss in it."""
    rng = np.random.default_rng(seed)
    hiss = 0.01 * rng.standard_normal(48_000) * (seed % 2)
    voice = example_waveform(3.0) * rng.uniform(0.5, 1.0)
    return (voice + hiss).astype(np.float32)


def train_clip(seed: int) -> TrainClip:
    waveform = torch.from_numpy((speech(seed) * 32767).clip(-32768, 32767).astype(np.int16))
    audio = WHOLE if seed % 2 else ()
    sample = Sample(Path(f"{seed}.wav"), "train", "hiss", f"{seed % 3}", "", None, audio, None)
    return TrainClip(sample, None, waveform)


def test_the_toy_package_s_opinion_is_in_the_table_trained_kept_and_part_of_a_result(
    install: Install, tmp_path: Path
) -> None:
    install_toy(install)
    opinions_of(DetectorConfig())
    assert "avdetect_flatness" not in sys.modules, "nothing named it so far"
    assert list(known_opinions())[-1] == "flatness"
    assert streams_behind("flatness") == {"mel"}
    assert doctor_checks.check_plugins() == "flatness of avdetect_flatness 0.1"

    config = DetectorConfig(experts=TINY, opinions=("flatness",), whole=("flatness",))
    detector = Detector(config).eval()
    recipe = TrainConfig(detector=config)
    assert "flatness" in recipe.stages
    run = Run(tmp_path / "run", 0, "cpu", "float32")
    train_opinions(detector, {"train": [train_clip(i) for i in range(8)]}, recipe, run, True)
    leave_whole_to_calibrated(detector, "audio")  # as the stage `calibrate` ends
    save_detector(tmp_path / "toy.safetensors", detector, {})

    session = load(tmp_path / "toy.safetensors")
    scores = []
    for seed in (10, 11):
        path = tmp_path / f"{seed}.wav"
        write_clip(path, None, speech(seed))
        scores.append(session.detect(path).audio_score)
    assert None not in scores
    assert scores[0] < 0.3 < 0.7 < scores[1]


def test_weights_that_need_a_missing_plug_in_say_so_in_one_sentence(
    install: Install, tmp_path: Path
) -> None:
    install_toy(install)
    path = tmp_path / "toy.safetensors"
    opinions = (*DetectorConfig().opinions, "flatness")
    save_detector(path, Detector(DetectorConfig(experts=TINY, opinions=opinions)), {})
    assert load_detector(path).opinions[-1].name == "flatness"
    for file in (tmp_path / "site").glob("*.dist-info/entry_points.txt"):
        file.unlink()
    plugged_opinions.cache_clear()
    with pytest.raises(
        WeightsError, match=r"installed plug-in .*: none\), got \['flatness'\]"
    ) as e:
        load_detector(path)
    assert str(e.value).startswith(str(path))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import a_library_that_is_not_there", "No module named 'a_library_that_is_not_there'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "has no attribute 'ROW'"),
        ("ROW = 5", "it is no Opinion with a network"),
        ("ROW = made('mel')", "its row must be named 'odd'"),
        ("ROW = made('odd', reads=('smell',))", r"it cannot read \['smell'\] of streams on audio"),
    ],
)
def test_a_broken_plug_in_is_one_sentence_and_left_out(
    code: str, why: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install_toy(install)
    made = (
        "from pipelines.detection.opinions import Opinion\n"
        "def made(name, reads=('mel',)):\n"
        "    return Opinion(name, 'audio', 'clip', 'streams', reads, network=lambda config: None)\n"
    )
    install("stranger", made + code + "\n", "odd = stranger:ROW")
    with caplog.at_level(logging.WARNING):
        assert "flatness" in known_opinions()
        known_opinions()
    assert "odd" not in known_opinions()
    (sentence,) = caplog.messages
    assert sentence.startswith(f"stranger 0.1: its plug-in odd ({GROUP}) is left out: ")
    with pytest.raises(ValueError, match=rf"got \['odd'\]; stranger 0\.1: .*{why}"):
        opinions_of(DetectorConfig(opinions=("odd",)))
    with pytest.raises(doctor_checks.UnexpectedError, match=r"stranger 0\.1"):
        doctor_checks.check_plugins()


def test_of_two_plug_ins_of_one_name_the_first_stays(install: Install) -> None:
    install_toy(install)
    code = (TOY / "avdetect_flatness.py").read_text(encoding="utf-8")
    install("stranger", code, "flatness = stranger:FLATNESS")
    plugged = plugged_opinions()
    assert plugged.origins == {"flatness": "avdetect_flatness 0.1"}
    assert "avdetect_flatness 0.1 has one of this name as well" in plugged.broken[0]
