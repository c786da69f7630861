"""Curves and spectrograms in, lanes of a page out: plots without margins, all over the same time.

A lane has no text and no axes of its own. The page puts words and ticks beside it in HTML, where
they stay readable at any width, and lays the cursor and the segments over it.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from extractors.clip import Floats
from extractors.media import STEP_RATE
from pipelines.detection.result import PlainTimeline
from temporal.segment import MODALITIES

POINTS = 1500  # of a curve, at most
# What stands in the SVG for a colour that the page chooses, light or dark.
INKS = {
    "visual": "#000001", "audio": "#000002", "sync": "#000003", "fused": "#000004",
    "lips": "#000001", "loudness": "#000002",
}  # fmt: skip


def lane(curves: Mapping[str, Floats], low: float, high: float, level: float | None) -> str:
    """Return an SVG of curves (T,) between two values, with a line at a level; NaN: gaps.

    Curves are named as in `INKS`; where there are several, those after the first are dashed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    steps = max((len(values) for values in curves.values()), default=1)
    axes.set(xlim=(0, max(steps, 1)), ylim=(low, high))
    if level is not None:
        axes.axhline(level, color="#000005", linewidth=0.8, linestyle=":", clip_on=False)
    for index, (name, values) in enumerate(curves.items()):
        x, y = thinned(values)
        style = "-" if index == 0 else "--"
        axes.plot(x, y, color=INKS[name], linewidth=1.6, linestyle=style, clip_on=False)
    return _inline(_saved(figure, "svg").decode(), {INKS[name]: name for name in curves})


def thinned(values: Floats) -> tuple[Floats, Floats]:
    """Return x and y of a curve of no more than `POINTS` points: the highest of each stretch."""
    group = max(1, -(-len(values) // POINTS))
    padded = np.pad(values.astype(float), (0, -len(values) % group), constant_values=np.nan)
    rows = padded.reshape(-1, group)
    known = np.isfinite(rows).any(axis=1)
    y = np.full(len(rows), np.nan)
    y[known] = np.nanmax(rows[known], axis=1)
    return (np.arange(len(rows)) + 0.5) * group, y


def _inline(svg: str, inks: Mapping[str, str]) -> str:
    """Return matplotlib's SVG as an element of a page: stretched, in the page's own colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[^"]*"', "", svg)  # several plots on a page would share them
    svg = re.sub(
        r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>",
        r'<svg class="plot" aria-hidden="true" \1 preserveAspectRatio="none">',
        svg,
    )
    for ink, name in (*inks.items(), ("#000005", "grid")):
        svg = svg.replace(ink, f"var(--{name})")
    return svg


def spectrogram(mel: Floats) -> str | None:
    """Return a data URI of a picture of log-mel power (80, N), None where there is none."""
    if mel.size == 0:
        return None
    import librosa.display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.6))
    axes = figure.add_axes((0, 0, 1, 1))
    # Rows as they are, a band each: no axes are shown, and librosa's would load numba, for 0.7 s.
    librosa.display.specshow(mel * 10 / np.log(10), cmap="magma", ax=axes)
    axes.axis("off")
    return data_uri(_saved(figure, "jpeg"), "image/jpeg")


def _saved(figure: Any, kind: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "avdetect", "svg.fonttype": "none"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(file, format=kind, dpi=100, metadata=metadata, transparent=kind == "svg")
    return file.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Return the content as a URI that needs no file and no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def fused(timeline: PlainTimeline) -> Floats:
    """Return the highest score (T,) of the modalities that were judged at each step; NaN: none."""
    curves = np.array(
        [[np.nan if v is None else v for v in timeline[m]] for m in MODALITIES],
        dtype=float,
    )
    highest = np.full(curves.shape[1], np.nan)
    known = np.isfinite(curves).any(axis=0)
    highest[known] = np.nanmax(curves[:, known], axis=0)
    return highest


def ticks(duration: float) -> list[float]:
    """Return about six round times in seconds from 0 to the end of a file.

    >>> ticks(9.6)
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    from matplotlib.ticker import MaxNLocator

    end = max(duration, 1 / STEP_RATE)
    places = MaxNLocator(6, steps=[1, 2, 3, 5, 6, 10]).tick_values(0, end)
    return [round(float(t), 3) for t in places if 0 <= t <= end * 0.97]
