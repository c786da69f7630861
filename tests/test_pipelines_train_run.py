"""Training: stages that learn, resume and end in one file that judges."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import drawn_encoders as drawn
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avdetect.example import example_frames, example_waveform
from extractors.errors import InputError
from extractors.media import write_clip
from fusion.transformer import LagProfile
from pipelines.detection.detector import Detector
from pipelines.detection.session import load
from pipelines.storage.weights import WeightsError
from pipelines.streams.stream_cache import Extract, StreamCache
from pipelines.train.fit import Run, fit
from pipelines.train.fusion import segments_of
from pipelines.train.run import train
from pipelines.train.stage import StageConfig
from pipelines.train.sync import sync_loss
from temporal.experts import CONTEXT


def run_in(folder: Path) -> Run:
    return Run(folder, 0, "cpu", "float32")


def line_batches(first: int, last: int) -> Iterator[Tensor]:
    for update in range(first, last):
        yield torch.randn(64, 1, generator=torch.Generator().manual_seed(update))


def line_loss(module: nn.Linear, x: Tensor) -> Tensor:
    return (module(x) - (3 * x - 1)).square().mean()


def line_score(module: nn.Linear) -> float:
    return -float((module.weight - 3).abs() + (module.bias + 1).abs())


CONFIG = StageConfig(updates=300, rate=0.05, decay=0.0, average=0.9, evaluate_every=50)


def test_fitting_finds_a_known_line(tmp_path: Path) -> None:
    line = nn.Linear(1, 1)
    fit("line", line, CONFIG, run_in(tmp_path), line_batches, line_loss, line_score)
    assert float(line.weight.detach()) == pytest.approx(3, abs=0.02)
    assert float(line.bias.detach()) == pytest.approx(-1, abs=0.02)
    again = nn.Linear(1, 1)
    assert run_in(tmp_path).finished("line", again)
    assert torch.equal(again.weight, line.weight)


def test_a_broken_off_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    def broken(first: int, last: int) -> Iterator[Tensor]:
        for update, batch in enumerate(line_batches(first, last), first):
            if update == 130:
                raise KeyboardInterrupt
            yield batch

    lines = []
    for name in ("whole", "broken"):
        torch.manual_seed(5)
        lines.append(nn.Linear(1, 1))
        if name == "broken":
            with pytest.raises(KeyboardInterrupt):
                fit(
                    "line",
                    lines[-1],
                    CONFIG,
                    run_in(tmp_path / name),
                    broken,
                    line_loss,
                    line_score,
                )
            lines[-1] = nn.Linear(1, 1)  # nothing is left in memory
        fit("line", lines[-1], CONFIG, run_in(tmp_path / name), line_batches, line_loss, line_score)
    torch.testing.assert_close(lines[0].weight, lines[1].weight)
    torch.testing.assert_close(lines[0].bias, lines[1].bias)


def test_fitting_stops_when_it_gets_no_better_and_keeps_the_best(tmp_path: Path) -> None:
    scores = iter([1.0, 2.0, 1.5, 1.4, 1.3, 9.0])
    config = StageConfig(updates=600, evaluate_every=50, patience=3, average=0.0)
    line = nn.Linear(1, 1)
    seen: list[Tensor] = []

    def score(module: nn.Linear) -> float:
        seen.append(module.weight.clone())
        return next(scores)

    fit("line", line, config, run_in(tmp_path), line_batches, line_loss, score)
    assert len(seen) == 5
    assert torch.equal(line.weight, seen[1])


def test_the_sync_loss_is_lowest_where_lips_and_voice_fit() -> None:
    lag = LagProfile(16, reach=10, span=8, margin=CONTEXT["lips"])
    generator = torch.Generator().manual_seed(0)
    said = nn.functional.normalize(torch.randn(4, 80, 16, generator=generator), dim=-1)
    lips = said[:, 8:72]
    losses = {
        shift: float(sync_loss(lips, said[:, 8 - shift : 72 - shift], torch.tensor(5.0), lag))
        for shift in (0, 3, -6)
    }
    assert losses[0] < min(losses[3], losses[-6]) - 0.5


def test_runs_of_forged_steps_are_segments_and_pauses_do_not_cut_sync() -> None:
    targets = torch.zeros(20, 3)
    targets[4:9, 0] = 1
    targets[2:6, 2], targets[6:8, 2], targets[8:12, 2] = 1, -1, 1
    found = {(s.modality, s.start * 25, s.end * 25) for s in segments_of(targets)}
    assert {(m, round(a), round(b)) for m, a, b in found} == {("visual", 4, 9), ("sync", 2, 12)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawn clips of two sources and two splits; the fakes have a grid over the face."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    base = example_frames(3.0, size=(240, 320))
    for index in range(8):
        fake, split = bool(index % 2), "val" if index >= 4 else "train"
        frames = base.copy()
        if fake:
            frames[:, ::4] = frames[:, ::4] // 2
        sound = example_waveform(3.0) * (0.5 + 0.1 * index)
        write_clip(folder / f"{index}.mp4", frames, sound.astype(np.float32), crf=20)
        rows.append(
            {
                "file": f"{index}.mp4", "label": "fake" if fake else "real",
                "modality": "both" if fake else "none", "method": "grid" if fake else "none",
                "audio": "1", "split": "train", "person": str(index), "repo": split, "notes": "",
            }
        )  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (folder / "splits.yaml").write_text("val: [val]\n")
    return folder


STAGES = ("appearance", "flow", "depth", "mel", "pairs", "fusion")


def recipe(corpus: Path, out: str) -> Path:
    """Write how to train on the corpus, a few updates a stage."""
    stage = "{updates: 4, batch: 2, length: 50, evaluate_every: 2}"
    names = ("lips", "flow", "depth", "mel", "voice")
    sizes = "{dim: 16, appearance: 8, " + ", ".join(f"{name}: [4, 8]" for name in names) + "}"
    path = corpus / f"{out}.yaml"
    path.write_text(
        f"out: {corpus / out}\nthreads: 1\nprecision: bfloat16\n"
        f"data: {{videos: {corpus / 'manifest.csv'}, splits: {corpus / 'splits.yaml'}, "
        f"cache: {corpus / 'cache'}, workers: 1}}\n"
        f"detector: {{name: tiny, experts: {sizes}}}\n"
        + "".join(f"{s}: {stage}\n" for s in STAGES)
        + "vocoder: {updates: 4, batch: 2, length: 13, evaluate_every: 2}\n"
        + "sync: {updates: 4, batch: 2, length: 64, evaluate_every: 2}\n"
    )
    return path


def check_run(corpus: Path, out: str, weights: Path) -> int:
    """See that all stages were trained and the weights judge; return the length of the log."""
    assert weights == corpus / out / "tiny.safetensors"
    log = [json.loads(line) for line in (corpus / out / "log.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in log if "loss" in row} == {
        "appearance", "flow", "depth", "mel", "vocoder", "pairs", "sync", "fusion",
    }  # fmt: skip
    fitted = next(row for row in log if row.get("stage") == "sharpness")
    assert fitted["fake"] >= 1
    assert fitted["real"] >= 1
    verdict = load(weights).detect(corpus / "0.mp4")
    assert verdict.score is not None
    assert verdict.model["name"] == "tiny"
    return len(log)


def test_all_stages_end_in_weights_that_judge(corpus: Path) -> None:
    weights = train(recipe(corpus, "run"))
    before = check_run(corpus, "run", weights)
    assert train(recipe(corpus, "run")) == weights  # every stage is found finished
    again = (corpus / "run" / "log.jsonl").read_text().splitlines()[before:]
    assert not any("loss" in json.loads(line) for line in again)


@pytest.mark.gpu
def test_all_stages_on_a_gpu_end_in_weights_that_judge_anywhere(
    corpus: Path, tmp_path: Path
) -> None:
    path = recipe(corpus, "gpu")
    own = f"device: cuda\nspeech_encoder: {drawn.wav2vec2(tmp_path / 'speech')}\n"
    text = path.read_text().replace(
        "detector: {", "detector: {opinions: [appearance, flow, depth, mel, lag, sharpness, "
        "steadiness, speech, speech_features, fusion of visual, fusion of audio, fusion of sync], "
        "speech_layers: [1], "
    )  # fmt: skip
    path.write_text(text + own)
    weights = train(path)
    assert weights == corpus / "gpu" / "tiny.safetensors"
    asked = [f"streams.speech_encoder={tmp_path / 'speech'}", "precision=float32"]
    here, there = (
        load(weights, device, asked).detect(corpus / "0.mp4") for device in ("cpu", "cuda")
    )
    for name in ("visual_score", "audio_score", "sync_score"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=0.02)


def portrait_recipe(corpus: Path, encoder: Path, out: str, features: str) -> Path:
    """Write how to fit the opinion on portraits by an encoder of one's own, and nothing else."""
    path = recipe(corpus, out)
    text = path.read_text().replace(
        "detector: {", f"detector: {{portrait: {features}, portrait_every: 5, portrait_image: 20, "
        "opinions: [portrait], whole: [portrait], "
    )  # fmt: skip
    path.write_text(text + f"encoder: {encoder}\nstages: [portrait, calibrate]\n")
    return path


def test_an_encoder_of_another_library_is_fitted_saved_loaded_and_judges(
    corpus: Path, tmp_path: Path
) -> None:
    dino = drawn.write(tmp_path / "dino", drawn.dinov2(4), drawn.SETTINGS["dinov2"])
    features = "[face/1/class, face/2/mean, head/2/spread]"
    weights = train(portrait_recipe(corpus, dino, "dino", features))
    with pytest.raises(WeightsError, match=r"another encoder; --set streams\.encoder=PATH"):
        load(weights)
    session = load(weights, overrides=[f"streams.encoder={dino}"])
    config = session.detector.config
    assert (config.portrait_width, config.portrait_image) == (drawn.WIDTH, 20)
    assert session.config.streams.portrait_image == 20
    judged = session.detect(corpus / "0.mp4")
    assert judged.streams["portrait"]
    assert judged.visual_score is not None
    # calibrated on so few clips, scores saturate: the opinion's own logits tell the two apart
    cache = StreamCache(tmp_path / "cache", session.config.streams)
    real, fake = (
        mean_logit(session.detector, cache.get(corpus / name), "portrait")
        for name in ("0.mp4", "1.mp4")
    )
    assert fake > real + 0.2


def test_a_lip_reader_is_fitted_saved_loaded_and_judges(corpus: Path, tmp_path: Path) -> None:
    reader, path = drawn.av_hubert(tmp_path / "reader"), recipe(corpus, "lips")
    text = path.read_text().replace(
        "detector: {", "detector: {lip_layers: [1, 3], opinions: [lip_features], "
        "whole: [lip_features], "
    )  # fmt: skip
    path.write_text(text + f"lip_encoder: {reader}\nstages: [lip_features, calibrate]\n")
    weights = train(path)
    with pytest.raises(
        WeightsError,
        match=r"opinion on lip features is of another; --set streams\.lip_encoder=PATH",
    ):
        load(weights)
    session = load(weights, overrides=[f"streams.lip_encoder={reader}"])
    assert session.detector.config.lip_width == 64
    assert session.detect(corpus / "0.mp4").visual_score is not None
    cache = StreamCache(tmp_path / "cache", session.config.streams)
    real, fake = (
        mean_logit(session.detector, cache.get(corpus / name), "lip_features")
        for name in ("0.mp4", "1.mp4")
    )
    assert fake > real + 0.2


def mean_logit(detector: Detector, extract: Extract, name: str) -> float:
    """Return the mean logit of the opinion on a face's stream over all faces' steps."""
    network = detector.network(name)
    seen = [block.present()[name] for block in extract.blocks if name in block.present()]
    with torch.inference_mode():
        logits = [network(x[None], torch.ones(1, len(x), dtype=torch.bool))[0] for x in seen]
    return float(torch.cat(logits).mean())


def test_an_encoder_without_the_features_of_the_recipe_is_refused_before_any_work(
    corpus: Path, tmp_path: Path
) -> None:
    siglip = drawn.write(tmp_path / "siglip", drawn.siglip(), drawn.SETTINGS["siglip"])
    for features, why in (("[face/1/class]", "no class token"), ("[face/6/mean]", "6 are needed")):
        with pytest.raises(InputError, match=why):
            train(portrait_recipe(corpus, siglip, "refused", features))
    assert not (corpus / "refused").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_workers_train_all_stages_too(corpus: Path) -> None:
    check_run(corpus, "two", train(recipe(corpus, "two"), workers=2))
