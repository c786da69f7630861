"""Write the page of a verdict: one HTML file that opens without network.

python examples/write_report.py [CLIP PAGE.html]     without: of a clip that it draws
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import avdetect
from avdetect.example import example_clip


def main(clip: Path, page: Path) -> None:
    """Judge a clip and write its page."""
    verdict = avdetect.detect(clip)
    avdetect.save_report(verdict, page)  # judges the clip once more, for the evidence
    print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB, {clip.name} is {verdict.verdict}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with TemporaryDirectory() as folder:
            example_clip(Path(folder) / "drawn.mp4", seconds=3.0)
            main(Path(folder) / "drawn.mp4", Path(folder) / "drawn.html")
