"""A package of somebody else adds to avdetect, and a broken one takes nothing away."""

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
from avdetect.commands.zoo import trainer_of
from avdetect.example import example_waveform
from extractors.added_streams import AddedStreamError, AddedStreams, made_of, plugged_streams
from extractors.media import write_clip
from extractors.streams import StreamConfig
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
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.calibrated import leave_whole_to_calibrated
from pipelines.train.clips import TrainClip, train_clip
from pipelines.train.fit import Run
from pipelines.train.opinions import train_opinions
from pipelines.train.recipe import TrainConfig
from pipelines.train.stage import StageConfig
from pipelines.zoo.parts import build_part, plugged_parts, read_parts, train_part
from temporal.added_experts import plugged_experts
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
    forget_plugins()

    def install(module: str, code: str, points: str) -> None:
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{module}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(points)

    yield install
    forget_plugins()
    for name in set(sys.modules) - before:
        if name.startswith(("avdetect_flatness", "stranger")):
            del sys.modules[name]


def forget_plugins() -> None:
    for plugged in (plugged_opinions, plugged_streams, plugged_experts, plugged_parts):
        plugged.cache_clear()


def install_toy(install: Install, without: str = "") -> None:
    """Install the package of examples/, by what its pyproject.toml says; one group may lack."""
    project = tomllib.loads((TOY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in rows.items())])
        for group, rows in project["entry-points"].items()
        if group != without
    ]
    code = (TOY / "avdetect_flatness.py").read_text(encoding="utf-8")
    install("avdetect_flatness", code, "\n".join(points))


def speech(seed: int) -> np.ndarray:
    """Three seconds of a drawn voice; with an odd seed there is a hiss in it."""
    rng = np.random.default_rng(seed)
    hiss = 0.01 * rng.standard_normal(48_000) * (seed % 2)
    voice = example_waveform(3.0) * rng.uniform(0.5, 1.0)
    return (voice + hiss).astype(np.float32)


def drawn_sample(path: Path, seed: int) -> Sample:
    audio = WHOLE if seed % 2 else ()
    return Sample(path, "train", "hiss", f"{seed % 3}", "", None, audio, None)


def drawn_clip(seed: int) -> TrainClip:
    waveform = torch.from_numpy((speech(seed) * 32767).clip(-32768, 32767).astype(np.int16))
    return TrainClip(drawn_sample(Path(f"{seed}.wav"), seed), None, waveform)


def test_the_toy_package_s_opinion_is_in_the_table_trained_kept_and_part_of_a_result(
    install: Install, tmp_path: Path
) -> None:
    install_toy(install)
    opinions_of(DetectorConfig())
    assert "avdetect_flatness" not in sys.modules, "nothing named it so far"
    assert list(known_opinions())[-2:] == ["flatness", "flux"]
    assert streams_behind("flatness") == {"mel"}
    assert doctor_checks.check_plugins() == ", ".join(
        f"{what} of avdetect_flatness 0.1"
        for what in ("stream flux", "expert flux", "opinion flatness", "opinion flux", "part flat")
    )

    config = DetectorConfig(experts=TINY, opinions=("flatness",), whole=("flatness",))
    detector = Detector(config).eval()
    recipe = TrainConfig(detector=config)
    assert "flatness" in recipe.stages
    run = Run(tmp_path / "run", 0, "cpu", "float32")
    train_opinions(detector, {"train": [drawn_clip(i) for i in range(8)]}, recipe, run, True)
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
    forget_plugins()
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
    install("stranger", made + code + "\n", f"[{GROUP}]\nodd = stranger:ROW\n")
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
    install("stranger", code, f"[{GROUP}]\nflatness = stranger:FLATNESS\n")
    plugged = plugged_opinions()
    assert plugged.origins == dict.fromkeys(("flatness", "flux"), "avdetect_flatness 0.1")
    assert "avdetect_flatness 0.1 has one of this name as well" in plugged.broken[0]


def test_the_toy_package_s_stream_is_extracted_and_its_expert_trained_and_part_of_a_result(
    install: Install, tmp_path: Path
) -> None:
    install_toy(install)
    config = DetectorConfig(experts=TINY, opinions=("flux",))
    stage = StageConfig(updates=80, batch=4, length=25, rate=0.02, evaluate_every=80, average=0.5)
    recipe = TrainConfig(detector=config, opinions={"flux": stage})
    cache = StreamCache(tmp_path / "cache", recipe.streams)
    clips = []
    for seed in range(10):
        path = tmp_path / f"{seed}.wav"
        write_clip(path, None, speech(seed))
        clip = train_clip(drawn_sample(path, seed), cache.get(path), 40.0)
        assert clip is not None
        assert clip.names == {"mel", "flux"}
        clips.append(clip)
    (block,) = cache.get(tmp_path / "0.wav").blocks  # read from the disk again
    columns = block.mel.permute(0, 2, 1).reshape(-1, 80).numpy()
    jumps = np.sqrt((np.diff(columns, axis=0) ** 2).mean(axis=1))
    assert block.added["flux"].shape == (75, 4)
    assert np.allclose(block.added["flux"].flatten()[1:].numpy(), jumps, atol=1e-5)
    assert not StreamCache(tmp_path / "cache").has(tmp_path / "0.wav"), "kept without flux"

    detector = Detector(config)
    run = Run(tmp_path / "run", 0, "cpu", "float32")
    train_opinions(detector, {"train": clips[:6], "val": clips[6:8]}, recipe, run, False)
    save_detector(tmp_path / "toy.safetensors", detector.eval(), {})
    session = load(tmp_path / "toy.safetensors")
    scores = [session.detect(tmp_path / f"{seed}.wav").audio_score for seed in (8, 9)]
    assert None not in scores
    assert scores[0] + 0.2 < scores[1]
    assert made_of({"mel"}, {"mel", "flux"}) == {"mel", "flux"}, "hidden with the sound"


def test_an_expert_whose_stream_no_package_makes_is_missed_in_one_sentence(
    install: Install,
) -> None:
    install_toy(install, without="avdetect.streams")
    with pytest.raises(ValueError, match=r"got \['flux'\].*it cannot read \['flux'\]") as error:
        opinions_of(DetectorConfig(opinions=("flux",)))
    assert "\n" not in str(error.value)
    with pytest.raises(AddedStreamError, match=r"no installed plug-in .* makes \['flux'\]"):
        AddedStreams(StreamConfig(added=("flux",)))


def test_the_toy_package_s_part_stands_beside_those_of_the_project(install: Install) -> None:
    install_toy(install)
    parts = read_parts()
    assert {"flat", "npr"} <= parts.keys()
    assert trainer_of(Path("flat")) is train_part
    part = build_part(Path("flat"), parts["flat"])
    part.linear.weight.data.fill_(1.0)
    part.linear.bias.data.zero_()
    white = part({"mel": torch.full((1, 2, 80, 4), -3.0)})
    assert torch.allclose(white, torch.zeros(1, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("group", "plugged", "row", "why"),
    [
        ("streams", plugged_streams, "AddedStream('odd', ('smell',), None)", "cannot read"),
        ("streams", plugged_streams, "AddedStream('mel', ('mel',), None)", "must be named 'odd'"),
        ("experts", plugged_experts, "AddedExpert('odd', ('smell',), None)", "cannot read"),
        ("experts", plugged_experts, "5", "it is no AddedExpert"),
        ("parts", plugged_parts, "5", "it is no PartConfig"),
    ],
)
def test_a_broken_stream_expert_or_part_is_left_out(
    group: str, plugged: Callable[[], object], row: str, why: str, install: Install
) -> None:
    made = (
        "from extractors.added_streams import AddedStream\n"
        "from temporal.added_experts import AddedExpert\n"
    )
    install("stranger", f"{made}ROW = {row}\n", f"[avdetect.{group}]\nodd = stranger:ROW\n")
    found = plugged()
    assert found.found == {}
    assert found.broken[0].startswith(f"stranger 0.1: its plug-in odd (avdetect.{group}) is left")
    assert why in found.broken[0]


def test_a_stream_that_has_not_its_block_s_length_is_refused(install: Install) -> None:
    code = (
        "from extractors.added_streams import AddedStream\n"
        "ROW = AddedStream('short', ('mel',), lambda config: lambda start, mel: mel[1:])\n"
    )
    install("stranger", code, "[avdetect.streams]\nshort = stranger:ROW\n")
    make = AddedStreams(StreamConfig(added=("short",)))
    with pytest.raises(AddedStreamError, match="short must have 5 steps"):
        make({"mel": torch.zeros(5, 80, 4)}, 0)
