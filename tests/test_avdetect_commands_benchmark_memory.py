"""The peak is that of the process itself, whoever started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from avdetect.commands.benchmark_memory import peak_memory

ROOT = Path(__file__).resolve().parents[1]


def test_memory_that_was_held_once_counts() -> None:
    before = peak_memory()
    held = np.ones(int(before + 64) * 2**17)  # 64 MB more than ever before
    assert peak_memory() > before + 60
    after = peak_memory()
    del held
    assert peak_memory() > after - 1  # the kernel counts in batches of pages


def test_a_process_is_not_charged_for_its_parent() -> None:
    held = np.ones(2**26)  # 512 MB
    program = "from avdetect.commands.benchmark_memory import peak_memory; print(peak_memory())"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < held.nbytes / 2**20
