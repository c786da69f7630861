"""Frames to videos: each detector's own rule, and the names of its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.commands.evaluate import POOLS as OFFERED
from pipelines.evaluation.evaluate import EvaluateConfig, evaluate
from pipelines.evaluation.frames import POOLS, pooled, read_frame_scores
from pipelines.metrics.classification import auc


def frames(count: int, seed: int = 0) -> torch.Tensor:
    """P(fake) of so many frames."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(0.01, 0.99, count))


def test_the_command_line_offers_every_rule() -> None:
    assert tuple(POOLS) == OFFERED
    with pytest.raises(ValueError, match="expected a rule of deepfakebench"):
        pooled(np.array([0.5]), "median")


@pytest.mark.parametrize("count", [1, 24, 25, 60, 110, 400])
def test_mean_logits_of_whole_clips_of_25_frames_of_the_first_110(count: int) -> None:
    given = frames(count)
    clips = [c for c in given[:110].split(25) if len(c) == 25] or [given]
    logits = torch.stack([clip.logit().mean() for clip in clips])
    assert pooled(given.numpy(), "lipforensics") == pytest.approx(float(logits.mean().sigmoid()))


@pytest.mark.parametrize("count", [1, 15, 29, 31, 400])
def test_every_fifteenth_of_a_video_is_averaged(count: int) -> None:
    given = frames(count).tolist()
    step = max(1, count // 15)
    chosen = [score for number, score in enumerate(given) if number % step == 0]
    assert pooled(np.array(given), "genconvit") == pytest.approx(sum(chosen) / len(chosen))


def test_mean_highest_and_summed_odds() -> None:
    given = frames(40)
    assert pooled(given.numpy(), "deepfakebench") == pytest.approx(float(given.mean()))
    assert pooled(given.numpy(), "av1m") == float(given.max())
    expected = torch.logsumexp(given.logit(), dim=0).sigmoid()
    assert pooled(given.numpy(), "avh-align") == pytest.approx(float(expected))


def test_only_rules_that_pick_frames_depend_on_their_order() -> None:
    given = frames(200).numpy()
    changed = {n for n in POOLS if pooled(given, n) != pytest.approx(pooled(given[::-1], n))}
    assert changed == {"lipforensics", "genconvit"}


def test_summed_odds_rank_videos_as_the_log_sums_do() -> None:
    videos = [frames(300, seed).numpy() ** (1 + seed / 20) for seed in range(40)]
    videos += [np.ones(10_000), np.zeros(10_000)]
    labels = np.arange(42) % 2
    sums = [float(torch.from_numpy(v).clip(1e-7, 1 - 1e-7).logit().logsumexp(0)) for v in videos]
    ours = [pooled(v, "avh-align") for v in videos]
    assert len(set(ours)) == 42
    assert auc(labels, ours) == pytest.approx(auc(labels, sums))


def test_deepfakebenchs_folders_of_frames_are_the_videos_of_the_data_set(tmp_path: Path) -> None:
    rows, lines = ["path,label,visual_segments,method"], ["frame,score"]
    for number in range(3):
        for folder, label, high in (
            ("original_sequences/youtube", "real", 0.3),
            ("manipulated_sequences/Deepfakes", "fake", 0.4),
            ("manipulated_sequences/Face2Face", "fake", 0.4),
        ):
            spans = "whole" if label == "fake" else "[]"
            method = folder.rpartition("/")[2]
            rows.append(f"{folder}/c23/videos/{number:03}.mp4,{label},{spans},{method}")
            for frame in range(4):
                score = high + 0.1 * number + 0.15 * (frame == 3)
                lines.append(f"/x/FF++/{folder}/c23/frames/{number:03}/{frame:03}.png,{score:.3f}")
    rows.append("manipulated_sequences/Deepfakes/c23/videos/009.mp4,fake,whole,Deepfakes")
    (tmp_path / "truth.csv").write_text("\n".join(rows))
    (tmp_path / "frames.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    found = evaluate(
        tmp_path / "frames.csv", tmp_path / "truth.csv", EvaluateConfig(out=out, pool="av1m")
    )
    score = found["detection"]["score"]
    assert (score["given"], score["scored"], score["fake"]) == (10, 9, 6)
    assert score["auc"] == pytest.approx((1.5 + 2.5 + 3) / 9)  # two equal scores count half
    again = evaluate(tmp_path / "frames.csv", tmp_path / "truth.csv")
    assert (
        again["detection"]["visual_score"]["auc"] == again["frames"]["auc_by_rule"]["deepfakebench"]
    )
    frame_level = found["frames"]
    assert (frame_level["frames"], frame_level["videos"], frame_level["rule"]) == (36, 9, "av1m")
    assert frame_level["auc_by_rule"]["av1m"] == score["auc"]
    text = (out / "report.md").read_text()
    assert "36 frames of 9 videos, pooled as av1m does." in text
    short = json.loads((out / "report.json").read_text())
    assert (short["n_given"], short["n_scored"]) == (10, 9)
    assert not any(name.startswith(("AP@", "AR@")) for name in short["metrics"])
    with pytest.raises(ValueError, match="need results and a manifest"):
        evaluate(tmp_path / "frames.csv", tmp_path / "truth.csv", EvaluateConfig(audited=True))


def test_folders_may_have_dots_and_paths_backslashes(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(
        "path,label,visual_segments\nv1.0_a.mp4,fake,whole\nv1.0_b.mp4,real,[]\n"
    )
    lines = ["frame,score", r"x\frames\v1.0_a\1.png,0.9", r"x\frames\v1.0_b\1.png,0.1"]
    (tmp_path / "frames.csv").write_text("\n".join(lines))
    found = evaluate(tmp_path / "frames.csv", tmp_path / "truth.csv")
    assert (found["detection"]["score"]["scored"], found["frames"]["auc"]) == (2, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video,score\na,1.5\n", "line 2: expected a score from 0 to 1, got '1.5'"),
        ("video,score\na,0.5\na,nan\n", "line 3: expected a score from 0 to 1, got 'nan'"),
        ("video,score\na\n", "line 2: expected a score from 0 to 1, got None"),
        ("name,score\na,1\n", "expected columns score and video or frame, got"),
        ("video,score\n", "has no frame"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"f\.csv.*{words}"):
        read_frame_scores(tmp_path / "f.csv")
