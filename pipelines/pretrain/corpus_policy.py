"""What a corpus must say of each of its files before an encoder may learn from it.

After PASS (Asano et al. 2021): pictures under a licence, with attribution, and without people.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipelines.config import ConfigError
from pipelines.data.manifest import text_of
from pipelines.storage.tables import OUR_NAMES, Columns, open_table

CorpusPolicy = Literal["any", "no_humans", "consented"]
STATED = ("licence", "attribution", "contains_people")  # columns that a policy asks for
PERMITTED = {"no_humans": ("no",), "consented": ("no", "consented")}  # of contains_people


def check_policy(path: Path, policy: CorpusPolicy, columns: Columns = OUR_NAMES) -> None:
    """Check that every record of a manifest states what the policy asks for, and permits it.

    Args:
        path: of the manifest.
        policy: any: nothing is asked for; no_humans: licence and attribution, and that nobody is
            seen or heard; consented: or that all who are agreed.
        columns: the manifest's names of our columns.

    Raises:
        ConfigError: a record does not; the message names its place and path.
        InputError: the manifest lacks a column.
    """
    if policy == "any":
        return
    table = open_table(path, columns)
    table.need("path", *STATED)
    for place, row in table.rows():
        record = f"{place} ({text_of(row, 'path')})"
        missing = [name for name in STATED if not text_of(row, name).strip()]
        if missing:
            raise ConfigError(f"{record}: corpus_policy {policy}: states no {missing[0]}")
        people = text_of(row, "contains_people").strip().lower()
        if people not in PERMITTED[policy]:
            raise ConfigError(
                f"{record}: corpus_policy {policy}: contains_people is {people!r}, and must be "
                f"{' or '.join(PERMITTED[policy])}"
            )
