"""Evaluate another detector than avdetect's: its scores in, AUC and plots out.

    python examples/evaluate_own_predictions.py [OUT]     OUT: folder of the report

The detector here is a line of numpy that finds repeated frames, and the clips are drawn: half of
them are genuine, in the other half the picture stands still for a second.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from avdetect.cli import main as avdetect
from avdetect.example import example_frames
from extractors.media import read_clip, write_clip


def main(folder: Path, out: Path) -> None:
    """Draw clips, score their frames, and print what `avdetect evaluate` finds."""
    truth = draw_clips(folder, count=6)
    predictions = folder / "frames.csv"
    with predictions.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "score"])  # a row a frame, or one a video
        for clip in sorted(folder.glob("*.mp4")):
            rows.writerows([clip.name, score] for score in frame_scores(clip))
    with redirect_stdout(io.StringIO()):  # all metrics as JSON, which metrics.json has as well
        avdetect(["evaluate", str(predictions), "--truth", str(truth), "--out", str(out)])
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    for name, value in report["metrics"].items():
        print(f"{name}: {value:.3f}")


def draw_clips(folder: Path, count: int) -> Path:
    """Return a manifest of drawn clips, of which every second one stands still for a second."""
    manifest = folder / "truth.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "visual_segments"])
        for number in range(count):
            frames, fake = example_frames(2.0, size=(120, 160), lag=0.1 * number), number % 2 == 1
            if fake:
                frames[25:] = frames[25]
            write_clip(folder / f"{number}.mp4", frames, None)
            rows.writerow([f"{number}.mp4", *(("fake", "[[1, 2]]") if fake else ("real", "[]"))])
    return manifest


def frame_scores(clip: Path) -> list[float]:
    """Return for each frame whether it is (1.0) the one before it, all but the codec's noise."""
    frames = read_clip(clip).frames
    if frames is None:  # sound alone
        return []
    change = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    return [0.0, *np.exp(-change).tolist()]


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        main(Path(place), Path(sys.argv[1]) if len(sys.argv) > 1 else Path(place) / "report")
