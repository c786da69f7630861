"""How many videos of a scan may fail before it stops: a wrong mount is no million error rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from extractors.errors import AvdetectError
from pipelines.scan.loop import Progress

LEAST = 100  # videos: of fewer, a share says little


class BudgetError(AvdetectError):
    """Too many videos failed. The message is one sentence that names the numbers."""


@dataclass(frozen=True)
class ErrorBudget:
    """How many videos of a run may fail; by default all."""

    most: float = math.inf
    share: bool = False  # `most` is a share of the videos done, of `LEAST` at the beginning

    @staticmethod
    def of(text: str) -> ErrorBudget:
        """Return the budget of a text such as `5%` or `20`.

        Raises:
            ValueError: it is neither.
        """
        share = text.endswith("%")
        most = float(text.removesuffix("%")) / 100 if share else float(int(text))
        if not 0 <= most <= (1 if share else math.inf):
            raise ValueError(text)
        return ErrorBudget(most, share)

    def check(self, progress: Progress) -> None:
        """Raise BudgetError if more videos have failed than may."""
        most = self.most * max(progress.done, LEAST) if self.share else self.most
        if progress.failed > most:
            allowed = f"{100 * self.most:g}%" if self.share else f"{self.most:g}"
            raise BudgetError(
                f"{progress.failed} of {progress.done} videos failed, and {allowed} may: the scan "
                "has stopped, and the same command goes on"
            )
