"""What the shipped weights are known to get wrong, as it stands beside them."""

from __future__ import annotations

from extractors.media import file_sha256
from pipelines.detection.starter import STARTER
from pipelines.report.limits import KnownLimits, described, limits_of


def test_the_file_beside_the_weights_says_all_that_a_page_shows() -> None:
    limits = described()
    assert limits.keys() == KnownLimits.__annotations__.keys()
    alarms = limits["genuine_called_fake"]
    assert 0 <= alarms["found"] <= alarms["of"]
    assert alarms["of"] > 0
    assert alarms["what"]
    assert all(isinstance(line, str) and line for line in limits["weak"])
    assert len(limits["sha256"]) == 64


def test_nothing_is_said_of_other_weights_of_the_same_name() -> None:
    known = described()
    model = {"name": known["name"], "version": known["version"], "sha256": known["sha256"]}
    assert limits_of(model) == known
    assert limits_of({**model, "sha256": "0" * 64}) is None


def test_the_limits_are_those_of_the_shipped_weights() -> None:
    assert described()["sha256"] == file_sha256(STARTER)
