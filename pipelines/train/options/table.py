"""The options of training that a recipe may name, one key each."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from pipelines.detection.detector_config import DetectorConfig
from pipelines.train.options.gmdf import GmdfConfig
from pipelines.train.options.lsda import LsdaConfig
from pipelines.train.options.mdb import MdbConfig
from pipelines.train.options.method import MethodConfig
from pipelines.train.options.qad import QadConfig
from pipelines.train.options.selfcon import SelfConConfig
from pipelines.train.options.ucf import UcfConfig


@dataclass(frozen=True)
class OptionsConfig:
    """Published methods of training; `{}` chooses one with its defaults, None leaves it out."""

    qad: QadConfig | None = None  # alike in three qualities, under perturbed weights
    mdb: MdbConfig | None = None  # hard clips weigh more
    lsda: LsdaConfig | None = None  # latents spread within and between generators
    ucf: UcfConfig | None = None  # features common to all generators, parted from the others
    gmdf: GmdfConfig | None = None  # adapters, and steps that help other sources
    selfcon: SelfConConfig | None = None  # contrast of classes and of generators at two exits

    def __post_init__(self) -> None:
        taught: dict[str, str] = {}
        for name, method in self.chosen().items():
            for stage in method.stages:
                if stage in taught:
                    raise ValueError(
                        f"{name} and {taught[stage]} both teach {stage}; `stages` parts them"
                    )
                taught[stage] = name

    def chosen(self) -> dict[str, MethodConfig]:
        """Return the methods that are named."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: method for name, method in named.items() if method is not None}

    def of(self, stage: str) -> MethodConfig | None:
        """Return the method by which a stage is trained; None: by none."""
        return next((m for m in self.chosen().values() if stage in m.stages), None)

    def on(self, detector: DetectorConfig) -> DetectorConfig:
        """Return a detector's settings with the parts that the methods need at inference."""
        if self.gmdf is None:
            return detector
        return replace(detector, adapters=self.gmdf.stages)
