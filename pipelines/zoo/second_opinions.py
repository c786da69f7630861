"""What parts of the zoo say of a file beside the detector; they have no say in its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extractors.media import MediaError
from pipelines.config import ConfigError, find_config
from pipelines.zoo.part_run import PartRunner
from pipelines.zoo.parts import PARTS, SHIPPED


class SecondOpinions:
    """Parts with their shipped weights, loaded once for many files."""

    def __init__(self, names: Sequence[str]) -> None:
        """Load the parts.

        Raises:
            ConfigError: the zoo has no part of that name.
            WeightsError: no weights of it are shipped.
        """
        known = {path.stem: path for path in sorted(find_config(PARTS).glob("*.yaml"))}
        for name in names:
            if name not in known:
                raise ConfigError(f"{name}: not a part of the zoo; these are: {', '.join(known)}")
        self._runners = {name: PartRunner(known[name], SHIPPED) for name in dict.fromkeys(names)}

    def __call__(self, path: Path) -> list[dict[str, Any]]:
        """Return a row for each part: what it judges, and its score or why it has none."""
        rows = []
        for name, runner in self._runners.items():
            row = {"part": name, "title": runner.config.title, "modality": runner.config.modality}
            try:
                said = runner.judge(path).to_dict(str(path))
            except MediaError as error:
                said = {"status": "error", "error": str(error).removeprefix(f"{path}: ")}
            said.pop("path", None)
            rows.append(row | said)
        return rows
