"""The detector: one network of any streams, in one file that needs nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.starter import experts_sha256
from pipelines.storage.weights import WeightsError
from pipelines.train.calibrate import fit_platt
from temporal.experts import ExpertConfig
from temporal.localizer import LocalizerConfig

EXPERTS = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)
CONFIG = DetectorConfig(name="tiny", experts=EXPERTS)


def streams(steps: int) -> dict[str, Tensor]:
    return {
        "appearance": torch.randint(0, 255, (1, steps, 3, 112, 112), dtype=torch.uint8),
        "mouth": torch.randint(0, 255, (1, steps, 1, 48, 96), dtype=torch.uint8),
        "landmarks": torch.randn(1, steps, 40, 3),
        "flow": torch.randn(1, steps, 2, 56, 56).half(),
        "depth": torch.randn(1, steps, 1, 56, 56).half(),
        "size": torch.full((1, steps, 1), 150.0),
        "mel": torch.randn(1, steps, 80, 4),
    }


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(CONFIG).eval()


@pytest.mark.parametrize("given", [("mel",), ("appearance", "flow"), tuple(streams(1))])
def test_any_streams_give_logits_and_proposals(detector: Detector, given: tuple[str, ...]) -> None:
    made = streams(40)
    mask = torch.ones(1, 40, dtype=torch.bool)
    out = detector({name: made[name] for name in given}, mask)
    scales = len(CONFIG.localization.dilations)
    assert out.opinions.shape == (1, 40, len(DetectorConfig().opinions))
    assert detector.step_logits(out.opinions, mask).shape == (1, 40, 3)
    assert out.proposal_logits.shape == (1, 40, scales, 3)
    assert out.reach.shape == (1, 40, scales, 3, 2)
    assert torch.all(out.reach >= 0)


def test_saved_weights_judge_the_same(detector: Detector, tmp_path: Path) -> None:
    save_detector(tmp_path / "w.safetensors", detector, {"note": "a test"})
    again = load_detector(tmp_path / "w.safetensors")
    assert again.config == CONFIG
    made, mask = streams(20), torch.ones(1, 20, dtype=torch.bool)
    judged = again(made, mask).opinions
    torch.testing.assert_close(judged, detector(made, mask).opinions, atol=5e-3, rtol=5e-3)


def test_files_that_are_no_detector_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        load_detector(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.safetensors: not a safetensors file"):
        load_detector(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: not the weights of an avdetect"):
        load_detector(tmp_path / "other.safetensors")
    metadata = {"format": "avdetect detector 8", "config": json.dumps({"nonsense": 1})}
    save_file({"a": torch.zeros(1)}, tmp_path / "key.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=r"key\.safetensors: unknown key \['nonsense'\]"):
        load_detector(tmp_path / "key.safetensors")


def test_judges_without_their_stream_say_nothing(detector: Detector) -> None:
    made, mask = streams(20), torch.ones(1, 20, dtype=torch.bool)
    opinions = detector({"mel": made["mel"]}, mask).opinions
    said = {name: bool(opinions[..., i].any()) for i, name in enumerate(DetectorConfig().opinions)}
    assert said["mel"]
    assert not said["flow"]
    assert not said["lag"]


@pytest.mark.parametrize(
    ("judge", "modality", "stream"), [("speech", "audio", "mel"), ("steadiness", "visual", "flow")]
)
def test_what_an_expert_sees_or_hears_is_judged_once_more(
    detector: Detector, judge: str, modality: str, stream: str
) -> None:
    made, mask = streams(20), torch.ones(1, 20, dtype=torch.bool)
    index = DetectorConfig().opinions.index(judge)
    assert not detector(made, mask).opinions[..., index].any()  # untrained
    bias = detector.get_buffer(f"{judge}.bias")
    bias.fill_(1.5)
    try:
        given = detector(made, mask).opinions[..., index]
        without = {name: s for name, s in made.items() if name != stream}
        assert given.tolist() == [[1.5] * 20]
        assert not detector(without, mask).opinions[..., index].any()
    finally:
        bias.zero_()


def test_sharpness_is_judged_of_faces_alone(detector: Detector) -> None:
    made, mask = streams(20), torch.ones(1, 20, dtype=torch.bool)
    face = detector.tokens(made, mask)
    scene = detector.tokens({n: s for n, s in made.items() if n != "size"}, mask)
    assert face["sharpness"].shape == (1, 20)
    assert "sharpness" not in scene


FUSION_OF_VISUAL = DetectorConfig().opinions.index("fusion of visual")


def test_the_clip_logit_is_the_mean_and_the_peak_second(detector: Detector) -> None:
    opinions = torch.zeros(1, 100, len(DetectorConfig().opinions))
    opinions[0, :, FUSION_OF_VISUAL] = -2.0
    opinions[0, 10:35, FUSION_OF_VISUAL] = 6.0  # one second
    mask = torch.ones(1, 100, dtype=torch.bool)
    expected = 0.5 * (-2 * 75 + 6 * 25) / 100 + 0.5 * 6
    assert float(detector.clip_logits(opinions, mask)[0, 0]) == pytest.approx(expected, abs=1e-5)
    mask[0, 10:35] = False
    assert float(detector.clip_logits(opinions, mask)[0, 0]) == pytest.approx(-2.0, abs=1e-5)


def test_a_step_logit_is_the_clip_and_what_stands_out_in_it() -> None:
    detector = Detector(CONFIG)
    opinions = torch.zeros(1, 4, len(DetectorConfig().opinions))
    opinions[0, :, FUSION_OF_VISUAL] = torch.tensor([1.0, 1.0, 1.0, 5.0])  # mean 2
    detector.step_weights[FUSION_OF_VISUAL] = torch.tensor([0.5, 10.0])
    detector.biases[1, 0] = 3.0
    logits = detector.step_logits(opinions, torch.ones(1, 4, dtype=torch.bool))
    assert logits[0, :, 0].tolist() == [-6.0, -6.0, -6.0, 34.0]
    assert logits[0, :, 1:].abs().max() == 0


def test_a_modality_that_was_not_judged_has_no_probability(detector: Detector) -> None:
    probabilities = detector.calibrated(torch.tensor([float("nan"), 2.0, float("nan")]))
    assert probabilities.isnan().tolist() == [True, False, True, False]
    assert float(probabilities[3]) == pytest.approx(float(torch.tensor(2.0).sigmoid()))
    nothing = detector.calibrated(torch.full((3,), float("nan")))
    assert nothing.isnan().all()


def test_a_clip_is_genuine_if_picture_and_sound_are(detector: Detector) -> None:
    logits = torch.tensor([-3.0, 2.5, 5.0])
    odds = logits[:2].exp() * (2**0.5 - 1)
    genuine = float((1 / (1 + odds)).prod())
    assert float(detector.calibrated(logits)[3]) == pytest.approx(1 - genuine, abs=1e-6)


def test_a_file_of_which_nothing_is_said_begins_at_even_odds(detector: Detector) -> None:
    nothing, unjudged = 0.0, torch.nan
    video, sound, silent = (
        float(detector.calibrated(torch.tensor(logits))[3])
        for logits in ([nothing] * 3, [unjudged, nothing, unjudged], [nothing, unjudged, unjudged])
    )
    assert (video, sound) == (pytest.approx(0.5), pytest.approx(0.5))
    assert silent == pytest.approx(1 - 0.5**0.5)  # of a silent video only half can be forged


def test_what_was_not_judged_has_no_part_in_the_score(detector: Detector) -> None:
    probabilities = detector.calibrated(torch.tensor([torch.nan, 1.5, torch.nan]))
    assert float(probabilities[3]) == pytest.approx(float(probabilities[1]))
    assert detector.calibrated(torch.full((3,), torch.nan)).isnan().all()


def test_platt_scaling_recovers_a_known_scale_and_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    true_logits = torch.randn(20000, generator=generator) * 2
    labels = (torch.rand(20000, generator=generator) < true_logits.sigmoid()).float()
    scale, shift = fit_platt((true_logits - 1.0) / 2.5, labels)
    balance = float(torch.log(labels.sum() / (1 - labels).sum()))
    assert scale == pytest.approx(2.5, rel=0.06)
    assert shift == pytest.approx(1.0 - balance, abs=0.08)


def test_experts_are_known_by_their_weights_alone(detector: Detector, tmp_path: Path) -> None:
    save_detector(tmp_path / "one.safetensors", detector, {})
    other = Detector(CONFIG)
    other.load_state_dict(detector.state_dict())
    other.calibration += 1.0
    save_detector(tmp_path / "calibrated.safetensors", other, {"clips": 3})
    with torch.no_grad():
        other.get_parameter("probes.mel.bias").add_(1.0)
    save_detector(tmp_path / "taught.safetensors", other, {})
    names = ("one", "calibrated", "taught")
    one, calibrated, taught = (experts_sha256(tmp_path / f"{n}.safetensors") for n in names)
    assert one == calibrated != taught


LOCALIZING = replace(
    CONFIG,
    opinions=("mel", "flow", "localizer of sound", "localizer of picture", "utterance"),
    localizer=LocalizerConfig(hidden=6),
)


@pytest.fixture(scope="module")
def localizing() -> Detector:
    torch.manual_seed(0)
    return Detector(LOCALIZING).eval()


def test_localizers_propose_the_segments_of_their_modality(localizing: Detector) -> None:
    made, mask = {"mel": torch.randn(1, 40, 80, 4)}, torch.ones(1, 40, dtype=torch.bool)
    with torch.inference_mode():
        out = localizing(made, mask)
        heard = localizing.network("localizer of sound")(made["mel"], mask)
    torch.testing.assert_close(out.opinions[..., 2], heard.logits[..., 0])
    torch.testing.assert_close(out.proposal_logits[..., 1], heard.proposal_logits[..., 0])
    torch.testing.assert_close(out.reach[..., 1, :], heard.reach[..., 0, :])


def test_a_localizer_is_joined_with_the_sum_of_the_others_by_noisy_or(
    localizing: Detector,
) -> None:
    opinions, mask = torch.zeros(1, 40, 5), torch.ones(1, 40, dtype=torch.bool)
    opinions[..., 0] = -2.0  # mel
    opinions[0, 10:18, 2] = 3.0  # a stretch that the localizer of sound finds
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, -1.0], [1.0, 0.0], [1.0, 0.0]])
    localizing.clip_weights.copy_(weights)
    localizing.step_weights.copy_(weights)

    def p(logit: float) -> float:
        return 1 / (1 + math.exp(-logit))

    clip = float(localizing.clip_logits(opinions, mask)[0, 1].sigmoid())
    assert clip == pytest.approx(1 - (1 - p(-2)) * (1 - p(2 * 3 - 1)), abs=1e-5)
    steps = localizing.step_logits(opinions, mask)[0, :, 1].sigmoid()
    assert float(steps[12]) == pytest.approx(1 - (1 - p(-2)) * (1 - p(2 * 3 - 1)), abs=1e-5)
    assert float(steps[30]) == pytest.approx(1 - (1 - p(-2)) * (1 - p(-1)), abs=1e-5)


def test_a_localizer_cannot_hear_by_an_opinion_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="hears by 'utterance', which opinions must name too"):
        Detector(replace(LOCALIZING, opinions=("mel", "localizer of sound")))


def test_a_localizer_without_its_input_changes_no_score(localizing: Detector) -> None:
    made, mask = {"mel": torch.randn(1, 40, 80, 4)}, torch.ones(1, 40, dtype=torch.bool)
    with torch.inference_mode():
        opinions = localizing(made, mask).opinions
    assert float(localizing.clip_logits(opinions, mask)[0, 0]) == pytest.approx(0.0, abs=1e-5)
