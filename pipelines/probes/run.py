"""The table of probes, and the way from clips to one probe's result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.data.truth import read_truth
from pipelines.detection.session import DetectorSession
from pipelines.evaluation.stress_tables import (
    attack_table,
    noise_table,
    poison_table,
    trigger_table,
)
from pipelines.probes.backdoor import backdoor_probe
from pipelines.probes.great import great_probe
from pipelines.probes.limits import limits_probe
from pipelines.probes.panel import Panel, shipped_parts
from pipelines.probes.relight import relight_probe
from pipelines.probes.removal import removal_probe
from pipelines.probes.semantic import semantic_probe
from pipelines.probes.tables import (
    backdoor_table,
    falls_table,
    great_table,
    relight_table,
    semantic_table,
    transfer_table,
)
from pipelines.probes.transfer import transfer_probe
from pipelines.progress import OnStep
from pipelines.storage.tables import OUR_NAMES, TABLES, Columns
from pipelines.stress.adversarial import attack
from pipelines.stress.noise import noise_probe
from pipelines.stress.poison import poison_metrics
from pipelines.stress.sweep import chosen_clips
from pipelines.stress.triggers import trigger_probe


@dataclass(frozen=True)
class ProbeKind:
    """One probe: clips and a detector in, metrics out, and how they are told."""

    run: Callable[..., dict[str, Any]]  # clips, session or panel, kept, on_step
    table: Callable[[dict[str, Any]], list[str]]
    panel: bool = True  # asks each expert on the picture, not only the detector as a whole


PROBES = {
    "attack": ProbeKind(attack, attack_table, panel=False),
    "noise": ProbeKind(noise_probe, noise_table, panel=False),
    "poison": ProbeKind(poison_metrics, poison_table, panel=False),
    "trigger": ProbeKind(trigger_probe, trigger_table, panel=False),
    "relight": ProbeKind(relight_probe, relight_table),
    "removal": ProbeKind(removal_probe, falls_table),
    "limits": ProbeKind(limits_probe, falls_table),
    "great": ProbeKind(great_probe, great_table),
    "transfer": ProbeKind(transfer_probe, transfer_table),
    "semantic": ProbeKind(semantic_probe, semantic_table),
    "backdoor": ProbeKind(backdoor_probe, backdoor_table),
}


def probed_clips(
    clips: Sequence[Path], fakes: Sequence[Path], most: int | None, columns: Columns = OUR_NAMES
) -> list[Sample]:
    """Return the clips of a manifest, or files as genuine and forged clips; at most so many.

    Args:
        clips: one manifest or file of metadata, see `read_truth`, or genuine files.
        fakes: files whose picture and sound are forged throughout.
        most: clips, balanced over genuine and forged; None: all.
        columns: the manifest's names of our columns.

    Raises:
        InputError: the manifest cannot be read.
    """
    if len(clips) == 1 and clips[0].suffix.lower() in (*TABLES, ".json"):
        samples = read_truth(clips[0], columns=columns)
    else:
        samples = [_sample(path, fake=False) for path in clips]
    return chosen_clips(samples + [_sample(path, fake=True) for path in fakes], most)


def _sample(path: Path, fake: bool) -> Sample:
    spans = WHOLE if fake else ()
    return Sample(path, "dev", "forged" if fake else "real", "", "", spans, spans, None)


def run_probe(
    name: str,
    samples: Sequence[Sample],
    session: DetectorSession,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the metrics of a probe of PROBES.

    Args:
        name: of the probe.
        samples: the clips.
        session: the detector.
        kept: JSON lines; what was done of a clip is kept there, and not done again.
        on_step: called with the number of clips done and the total.
    """
    kind = PROBES[name]
    asked = Panel(session, shipped_parts()) if kind.panel else session
    return kind.run(samples, asked, kept=kept, on_step=on_step)
