"""Experts under changes: falls by another library, what is kept, and what the picture lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn_panel import DrawnPanel, drawn_samples
from sklearn.metrics import roc_auc_score

from extractors.media import MediaError
from pipelines.data.samples import Sample
from pipelines.evaluation.markdown import text
from pipelines.probes.great import GENERATED, great_probe
from pipelines.probes.limits import SIGMAS, limits_probe, noisy, pair_distance
from pipelines.probes.picture_loss import fine_power, picture_loss
from pipelines.probes.relight import LIGHT, relight_probe, relit
from pipelines.probes.removal import SHARES, removal_probe
from pipelines.probes.tables import falls_table, great_table, relight_table
from pipelines.probes.under_changes import CLEAN, falls, judged


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> Any:
    drawn = DrawnPanel()
    for module in ("under_changes", "removal", "limits"):
        monkeypatch.setattr(f"pipelines.probes.{module}.opening", drawn.opening)
    return drawn


def darker(name: str) -> Any:
    return lambda frames: (frames * 0.5).astype(np.uint8)


def test_falls_are_those_of_another_library_and_rates_are_at_logit_0(panel: Any) -> None:
    samples = drawn_samples(8)
    found = judged(samples, panel, {"darker": darker})
    table = falls(found, [CLEAN, "darker"])
    labels = [s.fake for s, _ in found]
    for change in (CLEAN, "darker"):
        for expert in ("light", "grain"):
            logits = [rows[change]["logits"][expert] for _, rows in found]
            row = table[change]["experts"][expert]
            assert row["auc"] == pytest.approx(roc_auc_score(labels, logits))
            alarms = [v >= 0 for v, fake in zip(logits, labels, strict=True) if not fake]
            assert row["fpr"] == pytest.approx(np.mean(alarms))
    before, after = (table[c]["experts"]["light"] for c in (CLEAN, "darker"))
    assert after["drop"] == pytest.approx(before["auc"] - after["auc"])
    assert (before["drop"], before["shift_real"]) == (0, 0)
    assert table[CLEAN]["picture"] == {"fine": 1.0, "psnr": 99.0, "ssim": pytest.approx(1.0)}


def test_what_is_kept_is_not_judged_again_and_broken_clips_are_counted(
    panel: Any, tmp_path: Path
) -> None:
    samples, kept = drawn_samples(4), tmp_path / "kept.jsonl"
    panel.broken = {samples[0].path}
    found = judged(samples, panel, {"darker": darker}, kept)
    assert [s.path for s, _ in found] == [s.path for s in samples[1:]]
    asked = panel.asked
    assert judged(samples, panel, {"darker": darker}, kept) == found
    assert panel.asked == asked


def test_of_one_class_rates_alone_are_told(panel: Any) -> None:
    genuine = [s for s in drawn_samples(4) if not s.fake]
    table = falls(judged(genuine, panel, {}), [CLEAN])
    row = table[CLEAN]["experts"]["light"]
    assert "auc" not in row
    assert "tpr" not in row
    assert f"{text(row['fpr'])} above 0" in "\n".join(
        falls_table({"changes": table, "judged": 2, "given": 2})
    )


def test_power_above_seven_tenths_of_nyquist_by_closed_form() -> None:
    rows = np.arange(64)
    for cycles, fine in ((8, 0.0), (20, 0.0), (24, 1.0), (30, 1.0)):  # of 32, the Nyquist frequency
        wave = np.cos(2 * np.pi * cycles * rows / 64)[None].repeat(64, 0)
        assert fine_power(wave) == pytest.approx(fine, abs=1e-9)
    noise = np.random.default_rng(0).normal(size=(128, 128))
    assert fine_power(noise) == pytest.approx(1 - np.pi * 0.7**2 / 4, abs=0.03)
    assert fine_power(np.ones((8, 8))) == 0.0


def test_the_loss_of_a_constant_error_is_its_ratio_in_decibels() -> None:
    frames = np.full((3, 32, 32, 3), 100, np.uint8)
    assert picture_loss(frames, frames + 10)["psnr"] == pytest.approx(20 * np.log10(25.5), abs=0.01)
    assert set(picture_loss(frames, frames[:, ::2])) == {"fine"}


def test_downscaling_takes_the_grain_leaves_the_light_and_stands_beside_the_rebuilt(
    panel: Any, tmp_path: Path
) -> None:
    samples = drawn_samples(8)
    found = removal_probe(samples, panel, tmp_path / "r.jsonl", latents=(2,), updates=3)
    smaller = found["changes"][f"downscaled to {SHARES[1]:g}"]
    clean = found["changes"][CLEAN]["experts"]
    assert clean["grain"]["auc"] == clean["light"]["auc"] == 1.0
    assert smaller["experts"]["grain"]["tpr"] == 0.0  # the trace of the fakes is gone
    assert smaller["experts"]["light"]["auc"] == 1.0
    assert smaller["picture"]["fine"] < 0.5
    names = [name for name in found["changes"] if name.startswith("rebuilt from 2 channels")]
    assert len(names) == 2  # with the pooling's places, and without
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    again = removal_probe(samples, panel, tmp_path / "r.jsonl", latents=(2,), updates=3)
    assert again == found
    assert "rebuilt from 2 channels" in "\n".join(falls_table(found))


def test_noise_takes_what_fakes_differ_by_and_pairs_have_a_ceiling(panel: Any) -> None:
    found = limits_probe(drawn_samples(12), panel, latents=(2,), updates=2)
    areas = [found["changes"][f"noise of {s:g}"]["experts"]["grain"]["tpr"] for s in SIGMAS]
    assert found["pairs"] == 6
    assert found["changes"][f"noise of {SIGMAS[-1]:g}"]["ceiling"] > 0.99  # they differ by much
    assert areas[-1] == 1.0  # noise is grain: everything looks forged
    assert found["changes"][f"noise of {SIGMAS[-1]:g}"]["experts"]["grain"]["fpr"] == 1.0


def test_noise_has_its_deviation_and_the_same_draws_for_a_clip() -> None:
    frames = np.full((4, 64, 64, 3), 128, np.uint8)
    first, again, other = (
        noisy(0.05, "a")(frames),
        noisy(0.05, "a")(frames),
        noisy(0.05, "b")(frames),
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.astype(float).std() == pytest.approx(0.05 * 255, rel=0.02)


def test_the_distance_of_a_pair_is_that_of_its_frames(panel: Any) -> None:
    fake = next(s for s in drawn_samples(2) if s.fake)
    one, other = (panel.frames(path) for path in (fake.path, fake.pair))
    expected = np.sqrt(((one / 255.0 - other / 255.0) ** 2).sum())
    assert pair_distance(fake, panel) == pytest.approx(expected, rel=1e-4)
    alone = Sample(fake.path, "dev", "m", "s", "", fake.visual, None, None)
    assert pair_distance(alone, panel) is None


def test_an_expert_of_light_accuses_by_light_and_one_of_grain_does_not(
    panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drawn faces fill the left half of each frame."""

    def halves(frames: Any) -> Any:
        masks = np.zeros(frames.shape[:3], np.float32)
        masks[:, :, : frames.shape[2] // 2] = 1
        return masks

    monkeypatch.setattr("pipelines.probes.relight.face_masks", halves)
    found = relight_probe(drawn_samples(8), panel)
    assert found["gaps"]["light"]["fpr_gap"] >= 0.5
    brighter = found["changes"]["light 1.5 times"]["experts"]["light"]
    assert (
        brighter["shift_real"]
        > 0
        > found["changes"]["skin half as light"]["experts"]["light"]["shift_real"]
    )
    assert "skin half as light" in "\n".join(relight_table(found))


def test_half_the_light_is_half_the_power_of_the_grey_levels() -> None:
    frames = np.full((1, 2, 2, 3), 200, np.uint8)
    out = relit(frames, np.full((1, 2, 2), LIGHT["light half as strong"], np.float32))
    assert (out[0, 0, 0, 0] / 200) ** 2.2 == pytest.approx(0.5, abs=0.01)
    assert np.array_equal(relit(frames, np.ones((1, 2, 2), np.float32)), frames)


def test_great_scores_are_of_each_expert_and_family_with_generated_samples(panel: Any) -> None:
    found = great_probe(drawn_samples(8), panel, latent=2, updates=2)
    families = found["experts"]["grain"]
    assert set(families) == {"genuine", "swap", GENERATED}
    assert families["swap"]["clips"] == families["genuine"]["clips"] == 4
    logit = panel.logits(panel.frames(Path("0.mp4")))["grain"]
    margin = max(1 - 2 / (1 + np.exp(-logit)), 0)
    assert families["genuine"]["score"] == pytest.approx(np.sqrt(np.pi / 2) * margin, rel=0.2)
    assert "1159 clips" in "\n".join(great_table(found))


def test_a_file_that_cannot_be_read_is_no_pair() -> None:
    def refuse(path: Path, session: Any) -> Any:
        raise MediaError(f"{path}: no")

    fake = next(s for s in drawn_samples(2) if s.fake)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.probes.limits.opening", refuse)
        assert pair_distance(fake, SimpleNamespace(session=None)) is None  # type: ignore[arg-type]
