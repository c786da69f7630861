"""Evaluation: every file counts, and so do those that could not be judged."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from extractors.media import read_chunks, write_clip
from pipelines.evaluation.evaluate import EvaluateConfig, evaluate
from pipelines.evaluation.segments import union
from pipelines.stress.sweep import Perturbing

MANIFEST = "file,label,modality,method,audio,split,person,repo,notes\n" + "".join(
    f"{name}.mp4,{label},{modality},{method},1,dev,{name},lab,\n"
    for name, label, modality, method in (
        ("r1", "real", "none", "none"), ("r2", "real", "none", "none"),
        ("r3", "real", "none", "none"), ("f1", "fake", "video", "Gen A"),
        ("f2", "fake", "video", "Gen A"), ("f3", "fake", "video", "Gen A"),
        ("f4", "fake", "audio", "Gen B"),
    )
)  # fmt: skip


def result(name: str, score: float | None, **scores: float | None) -> str:
    row = {
        "path": f"/somewhere/{name}.mp4", "status": "ok", "score": score,
        "visual_score": score, "audio_score": None, "sync_score": None,
        "segments": [], "media": {"duration": 4.0}, **scores,
    }  # fmt: skip
    return json.dumps(row)


def written(folder: Path, lines: list[str]) -> tuple[Path, Path]:
    (folder / "truth.csv").write_text(MANIFEST)
    (folder / "results.jsonl").write_text("\n".join(lines))
    return folder / "results.jsonl", folder / "truth.csv"


SCORED = [("r1", 0.1), ("r2", 0.3), ("r3", 0.6), ("f1", 0.9), ("f2", 0.5), ("f3", 0.7)]


def test_scores_are_compared_with_all_genuine_files_by_generator(tmp_path: Path) -> None:
    predictions, truth = written(tmp_path, [result(n, s) for n, s in SCORED])
    metrics = evaluate(predictions, truth, EvaluateConfig(out=tmp_path / "out"))
    visual = metrics["detection"]["visual_score"]
    assert (visual["given"], visual["scored"], visual["fake"], visual["real"]) == (7, 6, 3, 3)
    assert visual["auc"] == pytest.approx(8 / 9)
    assert visual["by_generator"]["Gen A"]["fakes"] == 3
    low, high = visual["auc_interval"]
    assert low <= 8 / 9 <= high
    assert "6 of 7" in (tmp_path / "out" / "report.md").read_text()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == json.loads(
        json.dumps(metrics)
    )


def test_a_file_without_a_score_counts_as_undecided(tmp_path: Path) -> None:
    predictions, truth = written(tmp_path, [result(n, s) for n, s in SCORED])
    overall = evaluate(predictions, truth)["detection"]["score"]
    assert overall["auc"] == pytest.approx(8 / 9)
    # the fake that was not judged counts 0.5: above two of the three genuine ones
    assert overall["auc_failures_as_half"] == pytest.approx((8 + 2) / 12)


def test_clips_of_one_class_give_no_auc_but_a_note(tmp_path: Path) -> None:
    predictions, truth = written(tmp_path, [result("r1", 0.2), result("r2", 0.4)])
    assert "both classes" in evaluate(predictions, truth)["detection"]["score"]["note"]


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    predictions, truth = written(tmp_path, [result("r1", 0.2), "{oops"])
    with pytest.raises(ValueError, match=r"results\.jsonl: line 2"):
        evaluate(predictions, truth)
    predictions, truth = written(tmp_path, [result("r1", 0.2), result("r1", 0.3)])
    with pytest.raises(ValueError, match="a second result for r1"):
        evaluate(predictions, truth)


@pytest.mark.parametrize("score", ["NaN", "1.5", '"high"', "-0.1"])
def test_a_score_that_is_no_probability_is_named(tmp_path: Path, score: str) -> None:
    predictions, truth = written(tmp_path, [result("r1", 0.2), result("f1", 0.75)])
    predictions.write_text(predictions.read_text().replace("0.75", score))
    with pytest.raises(ValueError, match=r"results\.jsonl: line 2: expected scores from 0 to 1"):
        evaluate(predictions, truth)


def test_segments_of_all_modalities_are_one_truth(tmp_path: Path) -> None:
    rows = [
        {
            "file": "f1.mp4", "original": None, "n_fakes": 1, "method": "x", "person": "p",
            "video_frames": 100, "audio_channels": 1, "visual_fake_segments": [[1.0, 2.0]],
            "audio_fake_segments": [[1.5, 3.0]], "sync_fake_segments": [],
        },
        {
            "file": "r1.mp4", "original": None, "n_fakes": 0, "method": "none", "person": "p",
            "video_frames": 100, "audio_channels": 1, "visual_fake_segments": [],
            "audio_fake_segments": [], "sync_fake_segments": [],
        },
    ]  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(rows))
    segments = [{"start": 1.0, "end": 3.0, "score": 0.9, "modality": "visual"}]
    lines = [result("f1", 0.9, segments=segments), result("r1", 0.2)]  # type: ignore[arg-type]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    place = evaluate(tmp_path / "results.jsonl", tmp_path / "truth.json")["localization"]
    assert place["judged"] == 2
    assert place["AP@0.95"] == pytest.approx(1.0)
    # what was too weak to be reported is ranked, and is no false alarm
    weak = {"start": 1.0, "end": 2.0, "score": 0.1, "modality": "audio"}
    lines = [
        result("f1", 0.9, segments=[], candidates=segments),  # type: ignore[arg-type]
        result("r1", 0.2, segments=[], candidates=[weak]),  # type: ignore[arg-type]
    ]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    place = evaluate(tmp_path / "results.jsonl", tmp_path / "truth.json")["localization"]
    assert (place["proposals"], place["false_per_minute"]) == (2, 0.0)
    assert place["AP@0.95"] == pytest.approx(1.0)


def test_a_forged_clip_that_failed_is_missed_and_one_without_known_seconds_left_out(
    tmp_path: Path,
) -> None:
    (tmp_path / "truth.csv").write_text(
        "path,label,visual_segments\n"
        'f1.mp4,fake,"[[1.0, 2.0]]"\nf2.mp4,fake,"[[1.0, 2.0]]"\nf3.mp4,fake,whole\n'
        "f4.mp4,fake,\nr1.mp4,real,[]\nr2.mp4,real,[]\n"
    )
    segments = [{"start": 1.0, "end": 2.0, "score": 0.9, "modality": "visual"}]
    broken = json.dumps({"path": "f2.mp4", "status": "error", "score": None})
    lines = [result("f1", 0.9, segments=segments), broken, result("f4", 0.9, segments=segments),  # type: ignore[arg-type]
             result("r1", 0.2)]  # fmt: skip
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    place = evaluate(tmp_path / "results.jsonl", tmp_path / "truth.csv")["localization"]
    assert (place["given"], place["judged"], place["segments"]) == (5, 2, 3)
    assert place["AP@0.5"] == pytest.approx(1 / 3)  # the clip of unknown seconds is no false alarm
    assert place["AR@1"] == pytest.approx(1 / 3)
    assert place["real_videos"] == 1
    assert place["false_per_minute"] == 0


def test_union_of_spans() -> None:
    assert union([]) == []
    assert union([(0.0, 1.0), (2.0, 3.0), (0.5, 2.0)]) == [(0.0, 3.0)]


def test_other_projects_files_are_measured_as_they_are(tmp_path: Path) -> None:
    metadata = [{"file": "test/1.mp4", "fake_periods": [[1, 2]]}, {"file": "2", "fake_periods": []}]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    frames = {"test/1.mp4": [[0.9, 25, 50]], "2": [[0.1, 0, 25]]}
    (tmp_path / "prediction.json").write_text(json.dumps(frames))
    paths = tmp_path / "prediction.json", tmp_path / "metadata.json"
    place = evaluate(*paths, EvaluateConfig("lavdf", out=tmp_path / "out"))["localization"]
    assert (place["given"], place["judged"], place["AR@10"]) == (2, 2, 1.0)
    assert "| AR@10 | 1.000 (1.000–1.000) |" in (tmp_path / "out" / "report.md").read_text()
    assert evaluate(*paths, EvaluateConfig("lavdf", fps=1))["localization"]["AR@10"] == 0.0
    (tmp_path / "list.txt").write_text("1 test/1.mp4 25 25 1 1 2 3\n0 2 0 0 0\n")
    seconds = {"test/1.mp4": [[0.9, 1, 2]]}
    (tmp_path / "prediction.json").write_text(json.dumps(seconds))
    place = evaluate(paths[0], tmp_path / "list.txt", EvaluateConfig("forgerynet", fps=25))[
        "localization"
    ]
    assert place["AP@0.5:0.95"] == 1.0


def test_verdicts_that_abstain_are_counted_and_what_that_is_worth(tmp_path: Path) -> None:
    verdicts = ["real", "inconclusive", "inconclusive", "fake", "inconclusive", "real"]
    lines = [
        result(name, score, verdict=verdict)  # type: ignore[arg-type]
        for (name, score), verdict in zip(SCORED, verdicts, strict=True)
    ]
    found = evaluate(*written(tmp_path, lines))["abstention"]
    assert (found["judged"], found["inconclusive"], found["inconclusive_share"]) == (6, 3, 0.5)
    assert found["accuracy_all"] == pytest.approx(5 / 6)  # r3 is taken for a fake
    assert found["accuracy_decided"] == pytest.approx(2 / 3)  # f3 was called real


def test_the_other_detectors_results_are_compared(tmp_path: Path) -> None:
    predictions, truth = written(tmp_path, [result(n, s) for n, s in SCORED])
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(result(n, 1 - s) for n, s in SCORED))
    metrics = evaluate(predictions, truth, EvaluateConfig(out=tmp_path / "out", against=other))
    assert metrics["comparison"]["imputed"] == metrics["comparison"]["imputed_against"] == 1
    assert metrics["comparison"]["difference"] > 0.5
    assert metrics["comparison"]["verdict"] == "not distinguishable"  # six clips say little
    assert "**not distinguishable**" in (tmp_path / "out" / "report.md").read_text()


def test_the_report_has_what_others_compare_with_and_plots(tmp_path: Path) -> None:
    model = {"name": "m", "version": "1", "sha256": "ab"}
    lines = [result(n, s, model=model) for n, s in SCORED]  # type: ignore[arg-type]
    out = tmp_path / "out"
    evaluate(*written(tmp_path, lines), EvaluateConfig(out=out, command="avdetect evaluate x"))
    short = json.loads((out / "report.json").read_text())
    assert (short["protocol"], short["version"]) == ("avdetect", "2")
    assert (short["n_given"], short["n_scored"]) == (7, 6)
    assert short["models"] == [model]
    assert short["command"] == "avdetect evaluate x"
    assert short["metrics"]["AUC"] == pytest.approx(8 / 9)
    assert {"AP@0.5", "AP@0.75", "AR@20"} <= set(short["metrics"])
    assert all(0 <= value <= 1 for value in short["metrics"].values())
    for name in ("roc", "det", "reliability", "ap_by_tiou"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_timelines_and_groups_are_measured_and_drawn(tmp_path: Path) -> None:
    steps = 2500
    spans = {f"f{i}": "[[1.0, 2.0]]" for i in range(8)} | {f"r{i}": "[]" for i in range(8)}
    head = "path,label,visual_segments,persons,gender\n"
    rows = [
        f'{n}.mp4,{"fake" if s != "[]" else "real"},"{s}",{n},{"male" if n > "f4" else "female"}\n'
        for n, s in spans.items()
    ]
    (tmp_path / "truth.csv").write_text(head + "".join(rows))
    lines = []
    for number, name in enumerate(spans):
        curve = [0.3 + 1e-5 * ((i * 16 + number) * 7919 % 20000) for i in range(steps)]
        if name.startswith("f"):
            curve[25:50] = [0.9] * 25
        timeline = {"rate": 25.0, "visual": curve, "audio": None, "sync": None}
        lines.append(result(name, 0.9 if name[0] == "f" else 0.1, timeline=timeline))  # type: ignore[arg-type]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out"
    found = evaluate(
        tmp_path / "results.jsonl",
        tmp_path / "truth.csv",
        EvaluateConfig(out=out, timelines=True),
    )
    assert found["aupimo"]["any"]["aupimo"] == found["aupimo"]["visual"]["aupimo"] == 1.0
    assert found["fairness"]["attributes"]["gender"]["groups"]["male"]["persons"] == 11
    text = (out / "report.md").read_text()
    assert "| any | 1.000 (1.000–1.000) | 0.000 | 8 | 20000 |" in text
    assert "Not compared: fewer than two groups of 30 persons or more." in text
    assert (out / "timelines.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="perturbing and probing need results"):
        evaluate(tmp_path / "p.json", tmp_path / "list.txt", EvaluateConfig(timelines=True))


class Loudness:
    """A model that takes a clip for fake as far as its sound is loud."""

    model: ClassVar[dict[str, str]] = {"name": "loud", "version": "1", "sha256": "cd"}

    def load(self) -> Loudness:
        return self

    def detect(self, path: str, change: Any = iter) -> SimpleNamespace:
        sounds = [c.waveform for c in change(read_chunks(path)) if c.waveform is not None]
        level = float(np.abs(np.concatenate(sounds)).mean())
        return SimpleNamespace(score=level, visual_score=None, audio_score=level, sync_score=None)


def test_perturbed_clips_are_judged_by_the_model_that_made_the_results(tmp_path: Path) -> None:
    head, rows, lines = "path,label,audio_segments,visual_segments\n", [], []
    for number in range(6):
        fake = number % 2
        waveform = np.full(8000, 0.1 + 0.2 * fake + 0.01 * number, np.float32)
        write_clip(tmp_path / f"{number}.wav", None, waveform)
        rows.append(f"{number}.wav,{'fake' if fake else 'real'},{'whole' if fake else '[]'},\n")
        path = str(tmp_path / f"{number}.wav")
        level = Loudness().detect(path).score
        lines.append(json.dumps({**json.loads(result("x", level, audio_score=level)), "path": path,
                                 "model": Loudness.model}))  # fmt: skip
    truth, predictions, out = (tmp_path / n for n in ("truth.csv", "r.jsonl", "out"))
    truth.write_text(head + "".join(rows))
    predictions.write_text("\n".join(lines))
    perturbing = Perturbing(("clipping", "jpeg"), (1, 5))
    kwargs: Any = {"perturbing": perturbing, "model": Loudness()}
    found = evaluate(predictions, truth, EvaluateConfig(out=out, **kwargs))["robustness"]["score"]
    assert found["operators"]["clipping"]["5"]["auc"] == 0.5  # all equally loud
    assert found["drop_by_operator"] == {"clipping": pytest.approx(0.25, abs=0.2), "jpeg": 0.0}
    text = (out / "report.md").read_text()
    assert "| clipping |" in text
    assert "**0.500**" in text
    assert (out / "perturbed.png").read_bytes().startswith(b"\x89PNG")
    assert len((out / "perturbed.jsonl").read_text().splitlines()) == 6 * 4
    with pytest.raises(ValueError, match="perturbing needs --out"):
        evaluate(predictions, truth, EvaluateConfig(**kwargs))
    predictions.write_text("\n".join(line.replace('"cd"', '"ef"') for line in lines))
    with pytest.raises(ValueError, match="not made by loud"):
        evaluate(predictions, truth, EvaluateConfig(out=out, **kwargs))
