"""Judge a folder into a CSV table, a row a file; one that cannot be read is a row too.

    python examples/folder_to_table.py [FOLDER TABLE.csv]     without: two files that it makes

For thousands of files there is `avdetect scan`, which uses all cores and goes on where it stopped.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import avdetect
from avdetect.example import example_clip

COLUMNS = ("file", "verdict", "score", "visual_score", "audio_score", "sync_score", "error")


def main(folder: Path, table: Path) -> None:
    """Write the table of a folder's files."""
    detector = avdetect.load()  # once: loading takes longer than a short clip
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        rows.writeheader()
        for path in sorted(folder.iterdir()):
            try:
                rows.writerow({"file": path.name, **detector.detect(path).to_dict(), "error": ""})
            except avdetect.MediaError as error:
                rows.writerow({"file": path.name, "error": error})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with TemporaryDirectory() as place:
            clips = Path(place) / "clips"
            example_clip(clips / "drawn.mp4", seconds=2.0)
            (clips / "broken.mp4").write_bytes(b"no video")
            main(clips, Path(place) / "table.csv")
            print((Path(place) / "table.csv").read_text(encoding="utf-8"), end="")
