"""Memory that was freed in pieces leaves the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
from pathlib import Path
from extractors.allocator import release_free_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

pieces = [bytes([1]) * 100_000 for _ in range(2000)]
kept = pieces[::50]  # so that the heap cannot shrink from its end
before = resident()
del pieces
freed = resident()
release_free_memory()
print(before, freed, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of glibc")
def test_what_was_freed_between_pieces_in_use_is_given_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, freed, released = map(float, run.stdout.split())
    assert before - freed < 100  # glibc keeps it
    assert before - released > 150
