"""A detector's AUC under noise, compared with the ceiling of any detector.

Where noise is added to a clip and to a copy that differs by a known vector, no detector can tell
the two apart better than `pipelines.metrics.security.noise_ceiling`. The vector here is along the
detector's own gradient: a detector that is linear around the clip reaches the ceiling, a non-linear
one falls short of it, and one above it uses information that it should not have. Noise is added to
the values that `pipelines.stress.adversarial` changes, and not clipped at black, white or full
scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extractors.media import MediaError
from pipelines.data.samples import Sample
from pipelines.detection.session import DetectorSession
from pipelines.metrics.classification import auc
from pipelines.metrics.security import noise_ceiling
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.stress.adversarial import windows_of

SIGMAS = {"visual": 4.0, "audio": 0.002}  # standard deviation of the noise: of 255, of full scale
RATIOS = (0.5, 1.0, 2.0, 4.0)  # of the vector's length to sigma
DRAWS = 16  # of the noise, for the clip and for each of its copies


def noise_probe(
    samples: Sequence[Sample],
    session: DetectorSession,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the mean AUC over clips at each ratio, for picture and sound, and the ceiling.

    `above` is True where the whole 95 % interval over clips lies above the ceiling.

    Args:
        samples: the clips.
        session: the detector.
        kept: JSON lines; a clip in it with the same settings is not probed again.
        on_step: called with the number of clips done and the total.

    Raises:
        ValueError: the file holds something else.
    """
    rows = KeptRows(kept, ("path", "setting"), session.model)
    setting = repr((SIGMAS, RATIOS, DRAWS))
    areas: dict[str, list[list[float]]] = {name: [] for name in SIGMAS}
    for done, sample in enumerate(samples, 1):
        row = rows.row((str(sample.path), setting), partial(_probed, sample, session))
        for name, values in row["areas"].items():
            areas[name].append(values)
        on_step(done, len(samples))
    ceilings = [noise_ceiling(ratio, 1.0) for ratio in RATIOS]
    return {
        "given": len(samples), "ratios": list(RATIOS), "ceiling": [c.auc for c in ceilings],
        "bound": [c.auc_bound for c in ceilings],
        **{name: _row(name, np.array(rows), ceilings) for name, rows in areas.items()},
    }  # fmt: skip


def _probed(sample: Sample, session: DetectorSession) -> dict[str, Any]:
    """Return the AUC at each ratio for each modality of a clip."""
    try:
        windows = windows_of(sample, session)
    except MediaError as error:  # counted: fewer clips are probed than given
        return {"areas": {}, "error": str(error)}
    return {
        "areas": {
            name: separation(logit, x, SIGMAS[name], RATIOS, DRAWS)
            for name, (logit, x, _) in windows.items()
        }
    }


def separation(
    logit: Callable[[Tensor], Tensor],
    x: Tensor,
    sigma: float,
    ratios: Sequence[float],
    draws: int,
    seed: int = 0,
) -> list[float]:
    """Return the AUC of telling x from x shifted along the logit's gradient, both with noise.

    Args:
        logit: input -> a scalar, higher for fake.
        x: the input.
        sigma: standard deviation of the noise.
        ratios: of the shift's length to sigma; one AUC for each.
        draws: of the noise, for x and for each shifted copy.
        seed: of the noise.
    """
    point = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(logit(point), point)
    direction = gradient / gradient.norm().clamp_min(1e-30)
    generator = torch.Generator().manual_seed(seed)

    def scores(at: Tensor) -> list[float]:
        noise = (torch.randn(x.shape, generator=generator) for _ in range(draws))
        return [float(logit(at + sigma * n)) for n in noise]

    with torch.no_grad():
        still = scores(x)
        moved = [scores(x + ratio * sigma * direction) for ratio in ratios]
    labels = np.repeat([0.0, 1.0], draws)
    return [auc(labels, np.append(still, others)) for others in moved]


def _row(name: str, areas: Any, ceilings: Sequence[Any]) -> dict[str, Any]:
    """Return the mean AUC over clips of `areas` (clips, ratios), with 95 % intervals."""
    row: dict[str, Any] = {"clips": len(areas), "sigma": SIGMAS[name]}
    if not len(areas):
        return row
    drawn = np.random.default_rng(0).integers(0, len(areas), (1000, len(areas)))
    low, high = np.quantile(areas[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    return row | {
        "auc": areas.mean(axis=0).tolist(),
        "auc_interval": [[float(a), float(b)] for a, b in zip(low, high, strict=True)],
        "above": [bool(a > c.auc) for a, c in zip(low, ceilings, strict=True)],
    }
