"""A scan's progress as a file of metrics, for Prometheus.

Its node exporter serves what lies in the folder of its textfile collector, on any machine and
without a port of our own. The format is Prometheus's text format, version 0.0.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pipelines.scan.loop import Progress
from pipelines.storage.files import write_whole

EVERY = 10.0  # seconds from one writing to the next


class MetricsFile:
    """The metrics of one run, kept up to date; use it in a `with`, whose end is a metric too."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._progress = Progress(0, 0, 0, 0.0)
        self._written = -EVERY

    def update(self, progress: Progress) -> None:
        """Take in the progress, and write it if the file is old.

        Raises:
            OSError: the file cannot be written.
        """
        self._progress = progress
        if self._clock() - self._written >= EVERY:
            self._write(running=True)

    def __enter__(self) -> MetricsFile:
        self._write(running=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(running=False)

    def _write(self, running: bool) -> None:
        self._written = self._clock()
        write_whole(self._path, metrics_text(self._progress, running).encode())


def metrics_text(progress: Progress, running: bool) -> str:
    """Return the metrics of one run in Prometheus's text format."""
    judged = progress.done - progress.failed
    samples: dict[str, tuple[str, dict[str, float]]] = {
        "avdetect_scan_running": ("Whether the scan is under way.", {"": int(running)}),
        "avdetect_scan_videos_total": (
            "Videos of this run that have their row.",
            {'{status="ok"}': judged, '{status="error"}': progress.failed},
        ),
        "avdetect_scan_videos_left": (
            "Videos that have no row yet.", {"": progress.total - progress.done}
        ),
        "avdetect_scan_seconds_total": (
            "Seconds since this run began.", {"": round(progress.seconds, 3)}
        ),
    }  # fmt: skip
    lines = []
    for name, (meaning, values) in samples.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value}" for labels, value in values.items()]
    return "\n".join(lines) + "\n"
