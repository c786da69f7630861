"""An adaptation as people read it: what changed, for clips held out and for others."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from avdetect.terminal.tables import printable
from pipelines.adapt.adapted_file import Adaptation, measured_rows
from pipelines.adapt.measure import Effect


def adaptation_view(adaptation: Adaptation) -> RenderableType:
    """Return the change in words, and a table each of clips held out and of the reference."""
    taught, reference = adaptation["taught"], adaptation["reference"]
    parts: list[RenderableType] = [
        Text(
            f"{taught['genuine']} genuine and {taught['fakes']} forged clips of "
            f"{taught['groups']} persons or recordings taught."
        ),
        Text(adaptation["what"]),
        Text(),
        _table(adaptation["held_out"], "held out"),
        Text(),
    ]
    what = printable(adaptation["reference_what"])
    if reference is None:
        parts.append(Text(f"! what that costs elsewhere was not measured: {what}", style="yellow"))
    else:
        parts += [
            _table(reference, what),
            Text(
                f"scores there moved by {reference['moved_mean']:.3f} on average, "
                f"{reference['moved_most']:.3f} at most; {reference['other_verdicts']} of "
                f"{reference['clips']} verdicts changed"
            ),
        ]
    parts += [
        Text(f"! {printable(name)}: not used: {printable(why)}", style="yellow")
        for name, why in adaptation["left_out"].items()
    ]
    return Group(*parts)


def _table(effect: Effect, what: str) -> Table:
    """Return a row a measurement, before and after."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(f"{what} ({effect['clips']} judged)")
    table.add_column("before")
    table.add_column("after")
    for row in measured_rows(effect):
        table.add_row(*row)
    return table
