"""Ranges of the measurements on genuine clips, and how well each tells fakes from them.

    python -m pipelines.measurement_ranges MANIFEST.csv --splits configs/splits.yaml --cache DIR

measures training clips of a manifest by their cached streams and writes `measurements.json`. Eyes
and landmarks are not in the streams: they are measured on the first so many clips of each kind
(`--mesh`). Where sound fits lips is measured on genuine clips alone: the fakes are the same lips
with the sound of another clip.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extractors.media import SAMPLES_PER_STEP, Clip, open_media
from extractors.stream_extractor import StreamExtractor
from extractors.streams import Streams
from pipelines.datasets import Sample, read_manifest, read_splits
from pipelines.measure_sound import lip_sync
from pipelines.measurements import MEASURES, Measurements
from pipelines.metrics import auc, bootstrap_interval
from pipelines.stream_cache import Extract, StreamCache

RANGES = Path(__file__).with_name("measurements.json")
RANGE = (5, 95)  # percentiles of genuine clips
Values = dict[str, float]
Curves = tuple[Any, Any]


def measure_file(path: Path, extractor: StreamExtractor) -> tuple[Values, Curves | None]:
    """Return the measurements of a file's longest face and its sound, and its lip-sound curves."""
    taken = Measurements()
    with open_media(path) as reader:
        return _longest(taken, extractor(_shown(reader, taken), on_face=taken.face))


def measure_extract(extract: Extract) -> tuple[Values, Curves | None]:
    """Return what `measure_file` does of cached streams, without eyes and landmarks."""
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
    values = taken.of_sound()
    if not steps:
        return values, None
    track = steps.most_common(1)[0][0]
    return values | taken.of_face(track), taken.curves(track)


def _shown(chunks: Iterable[Any], taken: Measurements) -> Iterable[Any]:
    for clip in chunks:
        taken.chunk(clip)
        yield clip


def sampled(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Return so many samples in the order of their names' hashes, as many a source as can be."""
    order = sorted(samples, key=lambda s: hashlib.sha256(s.path.name.encode()).hexdigest())
    seen: dict[str, int] = defaultdict(int)
    ranked: list[tuple[int, int, Sample]] = []
    for sample in order:
        ranked.append((seen[sample.source], len(ranked), sample))
        seen[sample.source] += 1
    return [sample for _, _, sample in sorted(ranked, key=lambda row: row[:2])[:count]]


def table(genuine: Sequence[Values], fakes: Mapping[str, Sequence[Values]]) -> dict[str, Any]:
    """Return each measurement's range on genuine clips and its AUC against fakes.

    `fakes` holds those of each modality. The AUC is that of the measurement itself: below 0.5 fakes
    have the smaller values. Its interval is the 95 % bootstrap over clips. A measurement with
    fewer than 10 clips on either side is left out.
    """
    rows = {}
    for name, measure in MEASURES.items():
        real = np.array([v[name] for v in genuine if name in v])
        fake = np.array([v[name] for v in fakes[measure.modality] if name in v])
        if min(len(real), len(fake)) < 10:
            continue
        low, high = np.percentile(real, RANGE)
        labels, values = np.r_[real * 0, fake * 0 + 1], np.r_[real, fake]
        rows[name] = {
            "low": round(float(low), 4), "high": round(float(high), 4),
            "auc": round(auc(labels, values), 3),
            "auc_interval": [round(v, 3) for v in bootstrap_interval(auc, labels, values)],
            "genuine": len(real), "fakes": len(fake),
        }  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the clips of a manifest and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="streams, extracted if missing")
    parser.add_argument("--clips", type=int, default=300, help="genuine, and of each kind of fake")
    parser.add_argument("--mesh", type=int, default=40, help="of these with eyes and landmarks")
    parser.add_argument("--out", type=Path, default=RANGES)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    train = [
        s
        for s in read_manifest(options.manifest, read_splits(options.splits))
        if s.split == "train"
    ]
    chosen = {
        "genuine": sampled([s for s in train if not s.fake], options.clips),
        "visual": sampled([s for s in train if s.visual], options.clips),
        "audio": sampled([s for s in train if s.audio], options.clips),
    }
    rows: dict[str, list[Values]] = {}
    curves: list[Curves] = []
    cache, extractor = StreamCache(options.cache), StreamExtractor()
    for kind, clips in chosen.items():
        rows[kind] = []
        for index, sample in enumerate(clips):
            if index < options.mesh and kind != "audio":
                values, pair = measure_file(sample.path, extractor)
            else:
                values, pair = measure_extract(cache.get(sample.path))
            rows[kind].append(values)
            if kind == "genuine" and pair is not None and sample.sync is not None:
                curves.append(pair)
    others = [curves[(i + 1) % len(curves)][1] for i in range(len(curves))]
    dubbed = [lip_sync(lips, other) for (lips, _), other in zip(curves, others, strict=True)]
    fakes = {"visual": rows["visual"], "audio": rows["audio"], "sync": dubbed}
    options.out.write_text(json.dumps(table(rows["genuine"], fakes), indent=1) + "\n")


if __name__ == "__main__":
    main()
