"""Ranges of the measurements on genuine clips, and their AUC against fakes.

    python -m pipelines.evidence.ranges MANIFEST.csv --splits configs/splits.yaml --cache DIR

measures clips of a manifest by their cached streams, writes `measurements.json`, and prints the
measurements' ranking. Ranges, and on which side of them fakes lie, are fitted on training and
calibration clips; AUC and balanced accuracy are measured on the development clips, of other
people, sources and generators. Eyes, landmarks and unresized pixels are not in the streams: they
are measured on the first `--mesh` clips of each kind. The fit of lips and sound is measured on
genuine clips alone: its fakes are the same lips with the sound of another clip.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extractors.media import SAMPLES_PER_STEP, Clip, open_media
from extractors.stream_extractor import StreamExtractor
from extractors.streams import Streams
from pipelines.data.samples import Sample, read_manifest, read_splits
from pipelines.evidence.feature_ranking import Separation, ranking_table, separation
from pipelines.evidence.measurements import MEASURES, Measurements
from pipelines.evidence.sound_measures import lip_sync
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.streams.stream_cache import Extract, StreamCache

RANGES = Path(__file__).with_name("measurements.json")
RANGE = (5, 95)  # percentiles of genuine clips
FITTED = ("train", "calibration")  # splits of the ranges
HELD_OUT = "dev"  # split of the reliability
FEWEST = 10  # clips of either class, below which a measurement is left out
Values = dict[str, float]
Curves = tuple[Any, Any]


@dataclass(frozen=True)
class MeasuredClips:
    """Measurements of genuine clips, and of fakes by the modality that is forged in them."""

    genuine: Sequence[Values]
    fakes: Mapping[str, Sequence[Values]]

    def of(self, name: str) -> tuple[Any, Any]:
        """Return a measurement's values on genuine clips and on fakes of its modality."""
        real, fake = (
            np.array([values[name] for values in side if name in values])
            for side in (self.genuine, self.fakes[MEASURES[name].modality])
        )
        return real, fake


def measure_file(path: Path, extractor: StreamExtractor) -> tuple[Values, Curves | None]:
    """Return the measurements of a file's longest face and its sound, and its lip-sound curves."""
    taken = Measurements()
    with open_media(path) as reader:
        return _longest(taken, extractor(_shown(reader, taken), on_face=taken.face))


def measure_extract(extract: Extract) -> tuple[Values, Curves | None]:
    """Return what `measure_file` returns, from cached streams: no eyes, landmarks or pixels."""
    taken = Measurements()
    if extract.waveform is not None:
        steps = len(extract.waveform) // SAMPLES_PER_STEP
        waveform = extract.waveform[: steps * SAMPLES_PER_STEP].numpy() / np.float32(32767)
        taken.chunk(Clip(0, None, waveform))
    return _longest(taken, extract.blocks)


def _longest(taken: Measurements, blocks: Iterable[Streams]) -> tuple[Values, Curves | None]:
    steps: Counter[int] = Counter()
    for block in blocks:
        taken.block(block)
        if block.track is not None:
            steps[block.track] += block.steps - block.lead - block.trail
    values = taken.of_sound() | taken.of_picture()
    if not steps:
        return values, None
    track = steps.most_common(1)[0][0]
    return values | taken.of_face(track), taken.curves(track)


def _shown(chunks: Iterable[Any], taken: Measurements) -> Iterable[Any]:
    for clip in chunks:
        taken.chunk(clip)
        yield clip


def sampled(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Return `count` samples in pseudo-random order (by hash), spread evenly over the sources."""
    order = sorted(samples, key=lambda s: hashlib.sha256(s.path.name.encode()).hexdigest())
    counts: dict[str, int] = defaultdict(int)
    ranked: list[tuple[int, int, Sample]] = []
    for sample in order:
        ranked.append((counts[sample.source], len(ranked), sample))
        counts[sample.source] += 1
    return [sample for _, _, sample in sorted(ranked, key=lambda row: row[:2])[:count]]


def table(fitted: MeasuredClips, held_out: MeasuredClips) -> dict[str, Any]:
    """Return each measurement's range on genuine clips, and its AUC on held-out clips.

    `larger_in_fakes` is the side on which the fakes lie among the fitted clips. The AUC is taken
    towards that side, so it is below 0.5 where held-out fakes lie on the other; its interval is the
    95 % bootstrap over clips. The balanced accuracy is that of the threshold that is best on the
    fitted clips. A measurement with too few clips is left out.
    """
    rows = {}
    for name in MEASURES:
        (real, fake), (real_out, fake_out) = fitted.of(name), held_out.of(name)
        if min(map(len, (real, fake, real_out, fake_out))) < FEWEST:
            continue
        low, high = np.percentile(real, RANGE)
        larger = auc(*_labelled(real, fake)) >= 0.5
        labels, values = _labelled(real_out, fake_out)
        scores = values if larger else -values
        rows[name] = {
            "low": round(float(low), 4), "high": round(float(high), 4), "larger_in_fakes": larger,
            "fitted_genuine": len(real), "fitted_fakes": len(fake),
            "auc": round(auc(labels, scores), 3),
            "auc_interval": [round(v, 3) for v in bootstrap_interval(auc, labels, scores)],
            "genuine": len(real_out), "fakes": len(fake_out),
            **_rounded(separation((real, fake), (real_out, fake_out), larger)),
        }  # fmt: skip
    return rows


def _rounded(found: Separation) -> Separation:
    return {
        "threshold": round(found["threshold"], 4),
        "balanced_accuracy": round(found["balanced_accuracy"], 3),
        "balanced_accuracy_interval": [round(v, 3) for v in found["balanced_accuracy_interval"]],
    }


def _labelled(real: Any, fake: Any) -> tuple[Any, Any]:
    """Return labels (0 genuine, 1 fake) and values of both classes."""
    return np.r_[real * 0, fake * 0 + 1], np.r_[real, fake]


def dubbed(curves: Sequence[Curves]) -> list[Values]:
    """Return the `lip_sync` of each clip's lips with the sound of the clip next in length."""
    order = sorted(curves, key=lambda pair: len(pair[0]))
    return [lip_sync(lips, order[i - 1][1]) for i, (lips, _) in enumerate(order)]


def measure_clips(
    samples: Sequence[Sample], cache: StreamCache, extractor: StreamExtractor, most: int, mesh: int
) -> MeasuredClips:
    """Return the measurements of up to `most` clips of each kind, `mesh` of them with landmarks."""
    chosen = {
        "genuine": sampled([s for s in samples if not s.fake], most),
        "visual": sampled([s for s in samples if s.visual], most),
        "audio": sampled([s for s in samples if s.audio], most),
    }
    rows: dict[str, list[Values]] = {kind: [] for kind in chosen}
    curves: list[Curves] = []
    for kind, clips in chosen.items():
        for index, sample in enumerate(clips):
            if index < mesh and kind != "audio":
                values, pair = measure_file(sample.path, extractor)
            else:
                values, pair = measure_extract(cache.get(sample.path))
            rows[kind].append(values)
            if kind == "genuine" and pair is not None and sample.sync is not None:
                curves.append(pair)
    genuine = rows.pop("genuine")
    return MeasuredClips(genuine, rows | {"sync": dubbed(curves)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the clips of a manifest and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="streams, extracted if missing")
    parser.add_argument("--clips", type=int, default=300, help="genuine, and of each kind of fake")
    parser.add_argument("--mesh", type=int, default=30, help="of these with eyes and landmarks")
    parser.add_argument("--out", type=Path, default=RANGES)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    samples = read_manifest(options.manifest, read_splits(options.splits))
    cache, extractor = StreamCache(options.cache), StreamExtractor()
    fitted, held_out = (
        measure_clips(
            [s for s in samples if s.split in splits], cache, extractor, options.clips, options.mesh
        )
        for splits in (FITTED, (HELD_OUT,))
    )
    rows = table(fitted, held_out)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    sys.stdout.write(ranking_table(rows))


if __name__ == "__main__":
    main()
