"""The probes of a detector: attacks, noise, poisoned training pictures and triggers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.data.samples import Sample
from pipelines.detection.session import DetectorSession
from pipelines.progress import OnStep
from pipelines.stress.adversarial import attack
from pipelines.stress.noise import noise_probe
from pipelines.stress.poison import poison_metrics
from pipelines.stress.sweep import chosen_clips
from pipelines.stress.triggers import trigger_probe

Probe = Callable[..., dict[str, Any]]  # clips, session, kept, on_step -> metrics
KEPT = "{}.jsonl"  # a probe's results by clip, in the folder of the report


@dataclass(frozen=True)
class Probing:
    """The number of clips that each probe is run on; None: it is not run."""

    attack: int | None = None
    noise: int | None = None
    poison: int | None = None
    trigger: int | None = None

    def __bool__(self) -> bool:
        return any(clips is not None for clips in asdict(self).values())


def probe(
    samples: Sequence[Sample],
    session: DetectorSession,
    probing: Probing,
    out: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the metrics of each requested probe.

    Args:
        samples: from which the clips are chosen.
        session: the detector.
        probing: the probes and their numbers of clips.
        out: a folder for the results by clip, one file per probe, from which an interrupted run
            resumes.
        on_step: called with the number of clips done and the total.
    """
    probes: dict[str, Probe] = {
        "attack": attack,
        "noise": noise_probe,
        "poison": poison_metrics,
        "trigger": trigger_probe,
    }
    return {
        name: run(
            chosen_clips(samples, clips),
            session,
            kept=None if out is None else out / KEPT.format(name),
            on_step=on_step,
        )
        for name, run in probes.items()
        if (clips := getattr(probing, name)) is not None
    }
