"""The table of opinions: a row is all that detector, calibration and training need to know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from extractors.added_streams import ADDED
from extractors.streams import STREAMS
from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import OPINIONS, Opinion, opinions_of, streams_behind
from pipelines.detection.starter import STARTER
from pipelines.train.calibrate import fit_weights
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.opinions import train_opinions
from pipelines.train.recipe import TrainConfig
from pipelines.train.stage import StageConfig
from pipelines.train.token_clips import judged_clips, token_clips
from temporal.experts import EXPERTS, ExpertConfig
from temporal.opinions.discriminant import Discriminant

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)


class Loudness(Discriminant):
    """How loud a step is: synthetic sound is louder here."""

    def __init__(self) -> None:
        super().__init__(1, shrinkage=0.1)

    def describe(self, mel: Tensor, mask: Tensor) -> Tensor:
        return mel.mean(dim=(2, 3))[..., None]


class WindowLoudness(nn.Module):
    """One logit a window, learned by gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.linear(mel.mean(dim=(1, 2, 3))[:, None] + 3.0)[:, 0]
        return logits


ROWS = {
    "loudness": Opinion(
        "loudness", "audio", "clip", "streams", ("mel",), network=lambda _: Loudness(),
        fit="in closed form",
    ),
    "window loudness": Opinion(
        "window loudness", "audio", "step", "streams", ("mel",), alone=True,
        network=lambda _: WindowLoudness(), fit="by gradient",
    ),
}  # fmt: skip


@pytest.fixture(params=list(ROWS))
def toy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an opinion that the table has for the length of a test."""
    name: str = request.param
    monkeypatch.setitem(OPINIONS, name, ROWS[name])
    return name


def config_with(name: str) -> DetectorConfig:
    return DetectorConfig(experts=TINY, opinions=(*DetectorConfig().opinions, name))


def noise(seed: int, split: str = "train") -> TrainClip:
    """Two seconds of noise: loud and fake if the seed is odd."""
    generator = torch.Generator().manual_seed(seed)
    level = (3_000 if seed % 2 else 300) * (1 + torch.rand((), generator=generator))
    sound = (level * torch.randn(50 * 640, generator=generator)).short()
    audio = WHOLE if seed % 2 else ()
    sample = Sample(Path(f"{seed}.wav"), split, "loud", f"source {seed % 3}", "", None, audio, None)
    return TrainClip(sample, None, sound)


def test_a_row_gets_an_opinion_into_outputs_training_and_calibration(
    toy: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    stage = StageConfig(updates=200, batch=8, length=20, rate=0.1, evaluate_every=100)
    config = TrainConfig(detector=config_with(toy), stages=(toy,), opinions={toy: stage})
    detector, run = Detector(config.detector).eval(), Run(tmp_path, 0, "cpu", "float32")
    clips = {"train": [noise(i) for i in range(24)], "val": [noise(i) for i in range(24, 34)]}
    for closed_form in (False, True):
        train_opinions(detector, clips, config, run, closed_form)

    held_out = [noise(i, "calibration") for i in range(100, 120)]
    row = [o.name for o in detector.opinions].index(toy)
    mask = torch.ones(1, 50, dtype=torch.bool)
    said = [
        float(detector({"mel": c.mel(0, 50, None)[None]}, mask).opinions[0, :, row].detach().mean())
        for c in held_out
    ]
    assert min(said[1::2]) > max(said[::2])

    detector.clip_weights[row] = 0.0
    fit_weights(detector, judged_clips(detector, token_clips(detector, held_out, run, 0), run), run)
    assert detector.clip_weights[row, 0] > 0

    save_detector(tmp_path / "w.safetensors", detector.eval(), {})
    again = load_detector(tmp_path / "w.safetensors")
    streams = {"mel": held_out[1].mel(0, 50, None)[None]}
    before, after = (d(streams, mask).opinions for d in (detector, again))
    torch.testing.assert_close(after, before, atol=5e-3, rtol=5e-3)  # matrices are kept halved


def test_a_finished_stage_of_an_opinion_is_not_taught_again(toy: str, tmp_path: Path) -> None:
    stage = StageConfig(updates=2, batch=2, length=20, evaluate_every=2)
    config = TrainConfig(detector=config_with(toy), stages=(toy,), opinions={toy: stage})
    clips = {"train": [noise(i) for i in range(8)], "val": [noise(i) for i in range(8, 12)]}
    states = []
    for _ in range(2):
        detector, run = Detector(config.detector), Run(tmp_path, 0, "cpu", "float32")
        train_opinions(detector, clips, config, run, ROWS[toy].fit == "in closed form")
        states.append(detector.network(toy).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert (tmp_path / f"{toy}.safetensors").exists()


def test_an_opinion_without_its_streams_says_nothing(toy: str) -> None:
    detector = Detector(config_with(toy)).eval()
    streams = {"appearance": torch.zeros(1, 12, 3, 112, 112, dtype=torch.uint8)}
    out = detector(streams, torch.ones(1, 12, dtype=torch.bool))
    assert not out.opinions[..., -1].any()


def test_shipped_weights_stay_as_they_are_when_the_table_grows(toy: str) -> None:
    detector = load_detector(STARTER)
    assert toy not in [o.name for o in detector.opinions]
    assert detector.clip_weights.shape == (len(detector.config.opinions), 2)


def test_an_opinion_can_be_left_out() -> None:
    names = tuple(n for n in DetectorConfig().opinions if n not in ("sharpness", "lag"))
    detector = Detector(DetectorConfig(experts=TINY, opinions=names)).eval()
    rng = np.random.default_rng(0)
    crops = torch.from_numpy(rng.integers(0, 255, (1, 12, 3, 112, 112), dtype=np.uint8))
    out = detector({"appearance": crops, "size": torch.full((1, 12, 1), 90.0)},
                   torch.ones(1, 12, dtype=torch.bool))  # fmt: skip
    assert out.opinions.shape == (1, 12, len(names))
    assert not any(key.startswith("sharpness.") for key in detector.state_dict())


def test_unknown_and_repeated_opinions_are_refused() -> None:
    for names, why in ((("flow", "hearsay"), r"got \['hearsay'\]"), (("flow",) * 2, "different")):
        with pytest.raises(ValueError, match=f"opinions must be .*{why}"):
            opinions_of(DetectorConfig(opinions=names))


def test_every_row_names_itself_and_reads_what_there_is() -> None:
    for name, opinion in OPINIONS.items():
        assert opinion.name == name
        given = {"streams": {*STREAMS, *ADDED, "size"},
                 "tokens": {*EXPERTS, "lag"}, "fusion": set()}[opinion.source]  # fmt: skip
        assert set(opinion.reads) <= given
        assert (opinion.source == "fusion") == (opinion.network is None)


def test_the_streams_behind_a_token_are_those_that_it_is_made_of() -> None:
    assert streams_behind("lag") == {"mouth", "landmarks", "mel"}
    assert streams_behind("sharpness") == {"appearance"}
    assert streams_behind("whisper") == streams_behind("voice") == {"mel"}


def test_a_row_may_only_hear_where_nothing_else_is() -> None:
    heard = replace(ROWS["loudness"], alone=True)
    assert heard.applies({"mel"})
    assert not heard.applies({"mel", "flow"})
    assert ROWS["loudness"].applies({"mel", "flow"})
