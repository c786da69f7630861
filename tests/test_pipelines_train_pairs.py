"""Pairs of genuine speech and its resynthesis: alike but for the vocoder, and ranked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.encoding import reencode_waveform
from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.forge.sound.neural_vocoder import Vocoder
from pipelines.train import pairs as train_pairs
from pipelines.train.clips import TrainClip
from pipelines.train.pairs import BIT_RATES, PAIRS, Pairs, halfway, ranking_loss


def clips(count: int, source: str, steps: int = 40) -> list[TrainClip]:
    rng = np.random.default_rng(count)
    made = []
    for index in range(count):
        sound = torch.from_numpy(rng.normal(0, 3000, steps * 640).astype(np.int16))
        name = f"{source}{index}.m4a"
        sample = Sample(Path(name), "train", "real", source, "someone", (), (), ())
        made.append(TrainClip(sample, None, sound))
    return made


def test_all_that_differs_in_a_pair_is_the_vocoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_pairs, "respeak", lambda vocoder, sound, rng: sound)
    chunks = Pairs(clips(3, "a"), Vocoder(), 25).chunks(np.random.default_rng(0))
    assert len(chunks) == 2 * PAIRS
    for (genuine, truth), (forged, lie) in zip(chunks[:PAIRS], chunks[PAIRS:], strict=True):
        assert torch.equal(genuine["mel"], forged["mel"])
        assert genuine["mel"].shape == (25, 80, 4)
        assert set(truth[:, 1].tolist()) == {0.0}
        assert set(lie[:, 1].tolist()) == {1.0}
        assert bool((truth[:, [0, 2]] == -1).all())  # of picture and sync nothing is said


def test_a_pair_is_made_once_of_the_clip_and_what_the_vocoder_says() -> None:
    torch.manual_seed(0)
    given = clips(1, "a")
    pairs = Pairs(given, Vocoder().eval(), 25)
    genuine, forged = pairs.pair(0)
    assert pairs.pair(0)[1] is forged
    assert genuine.waveform is not None
    assert forged.waveform is not None
    assert given[0].waveform is not None
    sound = given[0].waveform.numpy().astype(np.float32) / 32768
    heard = genuine.waveform.numpy().astype(np.float32) / 32767
    encoded = [reencode_waveform(sound, "aac", rate).clip(-1, 1) for rate in BIT_RATES]
    assert min(np.abs(heard - e).max() for e in encoded) < 1e-4
    assert len(forged.waveform) == len(genuine.waveform)
    apart = (forged.waveform.double() - genuine.waveform.double()).std()
    assert apart > 0.5 * genuine.waveform.double().std()
    assert (genuine.sample.audio, forged.sample.audio) == ((), WHOLE)
    assert forged.sample.source == genuine.sample.source


def test_sources_are_drawn_by_the_root_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Pairs(clips(36, "big") + clips(4, "small"), Vocoder(), 25)
    drawn: list[int] = []

    def pair(index: int) -> tuple[TrainClip, TrainClip]:
        drawn.append(index)
        return pairs.speech[index][0], pairs.speech[index][0]

    monkeypatch.setattr(pairs, "pair", pair)
    for seed in range(100):
        pairs.chunks(np.random.default_rng(seed))
    small = np.mean(np.array(drawn) >= 36)
    assert small == pytest.approx(0.25, abs=0.05)  # 2 of 6 + 2, not 4 of 40


def test_ranking_asks_for_a_margin_within_each_pair_and_ignores_padding() -> None:
    mask = torch.ones(4, 6, dtype=torch.bool)
    level = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    equal = torch.cat([level[:2], level[:2]])
    assert float(ranking_loss(equal, mask)) == pytest.approx(np.log1p(np.e))
    assert float(ranking_loss(equal + torch.tensor([0, 0, 30, 30])[:, None], mask)) < 1e-6
    shifted = equal + torch.tensor([5, -5, 5, -5])[:, None]  # a clip's own level does not count
    assert float(ranking_loss(shifted, mask)) == pytest.approx(np.log1p(np.e), rel=1e-5)
    mask[:, 4:] = False
    padded = equal.clone()
    padded[2:, 4:] = 100
    assert float(ranking_loss(padded, mask)) == pytest.approx(np.log1p(np.e), rel=1e-5)


def test_weights_end_halfway_between_what_they_were_and_what_they_became() -> None:
    module = torch.nn.BatchNorm1d(2)
    before = {name: t.clone() for name, t in module.state_dict().items()}
    with torch.no_grad():
        module.weight.add_(2.0)
    module.running_mean.sub_(1.0)
    module.num_batches_tracked.add_(7)
    halfway(module, before)
    assert module.weight.tolist() == [2.0, 2.0]
    assert module.running_mean.tolist() == [-0.5, -0.5]
    assert int(module.num_batches_tracked) == 7  # a count has no half
