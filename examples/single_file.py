"""Judge one file: how likely it is forged, which track, and which seconds.

python examples/single_file.py [CLIP]     without CLIP: one that it draws
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import avdetect
from avdetect.example import example_clip


def main(clip: Path) -> None:
    """Print the verdict on a clip."""
    verdict = avdetect.detect(clip)
    print(f"{clip.name}: {verdict.verdict}, score {_number(verdict.score)}")
    print(f"  picture {_number(verdict.visual_score)}")
    print(f"  sound   {_number(verdict.audio_score)}")
    print(f"  lips against sound {_number(verdict.sync_score)}")
    for segment in verdict.segments:
        print(
            f"  {segment.start:.2f} to {segment.end:.2f} s: {segment.modality}, {segment.score:.2f}"
        )
    for warning in verdict.warnings:
        print(f"  note: {warning}")


def _number(score: float | None) -> str:
    return "not judged" if score is None else f"{score:.2f}"


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            main(Path(sys.argv[1]))
        else:
            example_clip(Path(folder) / "drawn.mp4", seconds=3.0)
            main(Path(folder) / "drawn.mp4")
