"""Aspects: recall of each, raters by hand and by another library, and order that frames lack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from extractors.errors import InputError
from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.protocols.aspects import (
    agreement,
    aspects_table,
    by_aspect,
    coherence_of,
    read_agreement,
    temporal_coherence,
)
from pipelines.evaluation.protocols.visual_quality import picture_statistics
from pipelines.metrics.sampling_error import wilson_interval


def clip(name: str, aspect: str, fake: bool = True) -> Sample:
    groups = (("aspect", aspect),) if aspect else ()
    return Sample(Path(name), "dev", "m", "s", "", WHOLE if fake else (), None, None, groups=groups)


def test_recall_is_of_each_aspects_fakes_and_time_alone_is_told_from_frames() -> None:
    samples = [clip(f"a{i}", "sequential action") for i in range(4)]
    samples += [
        clip("b0", "public figures"),
        clip("b1", "public figures", fake=False),
        clip("c", ""),
    ]
    flagged = {"a0", "a1", "a2", "b1"}
    results = {str(s.path): {"score": 0.9 if str(s.path) in flagged else 0.2} for s in samples}
    frames = {str(s.path): np.array([0.1, 0.2]) for s in samples}
    frames["a0"], frames["a3"] = np.array([0.1, 0.8]), np.array([0.6, 0.1])
    found = by_aspect(samples, results, frames)["aspects"]
    action, figures = found["sequential action"], found["public figures"]
    assert action["recall"] == 0.75
    assert action["recall_interval"] == wilson_interval(3, 4)
    assert (action["clip_alone"], action["frames_alone"], action["with_frames"]) == (2, 1, 4)
    assert (figures["recall"], figures["false_alarms"]) == (0.0, 1.0)
    assert found["not told"]["fakes"] == 1
    assert "sequential action | 4 | 0.750" in "\n".join(aspects_table({"aspects": found}))


def test_raters_agree_as_another_library_says() -> None:
    generator = np.random.default_rng(0)
    first = generator.choice(np.arange(0, 101, 20), 60)
    second = np.clip(first + generator.choice([-20, 0, 20, 40], 60), 0, 100)
    found = agreement(first, second)
    assert found["rho"] == pytest.approx(spearmanr(first, second).statistic)
    assert found["kappa"] == pytest.approx(cohen_kappa_score(first >= 50, second >= 50))


def test_agreement_by_hand_and_where_it_is_undefined() -> None:
    """Yes, yes, no, no against yes, no, no, no: 3 of 4 alike, 1 / 2 by chance."""
    assert agreement([100, 60, 40, 0], [80, 20, 20, 20])["kappa"] == pytest.approx(0.5)
    alike = agreement([100, 80], [60, 60])
    assert (alike["kappa"], alike["rho"], alike["same_answer"]) == (None, None, 1.0)
    with pytest.raises(InputError, match="on two clips or more"):
        agreement([50], [50])


def test_a_table_of_answers_is_read_and_a_word_in_it_named(tmp_path: Path) -> None:
    table = tmp_path / "raters.csv"
    table.write_text("path,automatic,manual\na,100,80\nb,60,20\nc,40,20\nd,0,20\n")
    assert read_agreement(table)["kappa"] == pytest.approx(0.5)
    table.write_text("path,automatic,manual\na,yes,80\n")
    with pytest.raises(InputError, match=r"raters\.csv: line 2"):
        read_agreement(table)
    table.write_text("path,automatic,manual\n")
    with pytest.raises(InputError, match=r"raters\.csv: expected two raters"):
        read_agreement(table)


def waves(shuffled: bool) -> np.ndarray:
    """(60, 24, 24, 3) uint8: a bright bar that moves on from frame to frame."""
    frames = np.full((60, 24, 24, 3), 60, np.uint8)
    for step, frame in enumerate(frames):
        frame[:, step * 24 // 60 : step * 24 // 60 + 6] = 200
    return np.random.default_rng(0).permutation(frames) if shuffled else frames


def test_shuffled_frames_lose_their_coherence_and_no_statistic_of_a_frame() -> None:
    ordered, shuffled = waves(False), waves(True)
    assert temporal_coherence(ordered) > 0.8
    assert temporal_coherence(shuffled) == pytest.approx(0, abs=0.15)
    tables = [
        np.sort([picture_statistics(f) for f in frames], axis=0) for frames in (ordered, shuffled)
    ]
    assert np.array_equal(*tables)
    drawn = [  # 0 is what any order of frames has by chance
        temporal_coherence(np.random.default_rng(seed).permutation(ordered)) for seed in range(40)
    ]
    assert np.mean(drawn) == pytest.approx(0, abs=0.03)
    assert temporal_coherence(ordered[:1].repeat(5, 0)) == 0.0


def test_coherence_is_read_of_each_clip_once(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    movie, broken = make_clip("movie.mp4", seconds=0.8, sound=False), tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    samples = [clip(str(movie), "action"), clip(str(broken), "action")]
    found = coherence_of(samples, tmp_path / "kept.jsonl")
    assert found.keys() == {str(movie)}
    assert found[str(movie)] > 0.5
    movie.unlink()
    assert coherence_of(samples, tmp_path / "kept.jsonl") == found
    rows = by_aspect(samples, {str(movie): {"score": 0.9}}, coherence=found)["aspects"]
    assert rows["action"]["coherence"] == found[str(movie)]
