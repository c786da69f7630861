"""The localizers: each step is judged against the whole of its clip."""

from __future__ import annotations

import torch

from temporal.experts import ExpertConfig
from temporal.localization import LocalizationConfig, StepOutputs
from temporal.localizer import (
    ClipContext,
    Hearing,
    LocalizerConfig,
    PictureLocalizer,
    SoundLocalizer,
)
from temporal.opinions.utterance import UtteranceOpinion
from temporal.opinions.whisper_stem import WIDTH

CONFIG = LocalizerConfig(hidden=6)
EXPERTS = ExpertConfig(dim=8, mel=(4, 4, 4, 4))
SCALES = len(LocalizationConfig().dilations)


def sound(seed: int = 0) -> SoundLocalizer:
    torch.manual_seed(seed)
    network = SoundLocalizer(EXPERTS, CONFIG, LocalizationConfig())
    network.listen_by(UtteranceOpinion(10))
    return network.eval()


def every(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def test_a_step_of_sound_is_judged_once_for_each_scale() -> None:
    with torch.inference_mode():
        out = sound()(torch.randn(2, 30, 80, 4), every(2, 30))
    assert out.logits.shape == (2, 30, 1)
    assert out.proposal_logits.shape == (2, 30, SCALES, 1)
    assert out.reach.shape == (2, 30, SCALES, 1, 2)
    assert bool((out.reach >= 0).all())


def test_the_first_step_hears_the_last_one() -> None:
    mel = torch.randn(1, 100, 80, 4)
    changed = mel.clone()
    changed[:, -5:] += 3 * torch.randn(1, 5, 80, 4)
    with torch.inference_mode():
        before, after = (sound()(x, every(1, 100)).logits[0, 0, 0] for x in (mel, changed))
    assert float(before) != float(after)


def test_the_level_and_the_colour_of_a_recording_say_nothing() -> None:
    mel = torch.randn(1, 50, 80, 4)
    louder = mel + 2.0
    coloured = mel + torch.linspace(-2, 2, 80)[:, None]
    with torch.inference_mode():
        heard = [sound()(x, every(1, 50)).logits for x in (mel, louder, coloured)]
    torch.testing.assert_close(heard[0], heard[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(heard[0], heard[2], atol=1e-4, rtol=0)


def test_a_change_of_what_whisper_hears_shows_in_the_step_where_it_happens() -> None:
    torch.manual_seed(0)
    hearing = Hearing(CONFIG).eval()
    layers = torch.randn(1, 1, WIDTH).repeat(1, 40, 1), torch.randn(1, 1, WIDTH).repeat(1, 40, 1)
    still = hearing(layers)
    torch.testing.assert_close(still, still[:, :1].expand_as(still))
    layers[1][:, 20:] += torch.randn(WIDTH)  # the first token of step 10
    moved = hearing(layers)
    assert torch.equal(moved[:, :10], still[:, :10])
    ahead, at, after = (moved[0, step] for step in (9, 10, 11))
    assert not torch.allclose(at, ahead)
    assert not torch.allclose(at, after)
    torch.testing.assert_close(moved[:, 11:], moved[:, 11:12].expand(-1, 9, -1))


def test_the_layers_of_whisper_stay_the_weights_of_the_opinion_that_lends_them() -> None:
    network = sound()
    assert not [name for name in network.state_dict() if name.startswith("listener")]
    mel, mask = torch.randn(1, 30, 80, 4), every(1, 30)
    with torch.inference_mode():
        before = network(mel, mask).logits
        for parameter in network.listener.stem.parameters():
            parameter.zero_()
        assert not torch.equal(before, network(mel, mask).logits)


def test_what_all_steps_of_a_clip_share_says_nothing() -> None:
    torch.manual_seed(0)
    context = ClipContext((8,), CONFIG, LocalizationConfig()).eval()
    context.norms[0] = torch.nn.Identity()
    tokens = torch.randn(1, 40, 8)
    with torch.inference_mode():
        here = context(tokens, every(1, 40)).logits
        there = context(tokens + torch.randn(8), every(1, 40)).logits
    torch.testing.assert_close(here, there, atol=1e-5, rtol=0)


def test_steps_outside_the_mask_do_not_count_to_the_mean_of_a_clip() -> None:
    torch.manual_seed(0)
    context = ClipContext((8,), CONFIG, LocalizationConfig()).eval()
    tokens = torch.randn(1, 40, 8)
    mask = every(1, 40)
    mask[:, 30:] = False
    other = tokens.clone()
    other[:, 30:] = 100 * torch.randn(1, 10, 8)
    with torch.inference_mode():
        here, there = (context(x, mask).logits[:, :30] for x in (tokens, other))
    torch.testing.assert_close(here, there)


def test_the_picture_is_judged_from_tokens_of_experts() -> None:
    torch.manual_seed(0)
    network = PictureLocalizer(3, 8, CONFIG, LocalizationConfig()).eval()
    tokens = [torch.randn(2, 25, 8) for _ in range(3)]
    with torch.inference_mode():
        out = network(*tokens, every(2, 25))
        scaled = network(*(5 * x for x in tokens), every(2, 25))
    assert out.logits.shape == (2, 25, 1)
    torch.testing.assert_close(out.logits, scaled.logits, atol=1e-4, rtol=0)


def test_outputs_survive_being_packed() -> None:
    out = StepOutputs(torch.randn(2, 7, 1), torch.randn(2, 7, 5, 1), torch.rand(2, 7, 5, 1, 2))
    again = StepOutputs.unpacked(out.packed(), 1)
    for name in ("logits", "proposal_logits", "reach"):
        assert torch.equal(getattr(out, name), getattr(again, name))
