"""A scan stops when more videos failed than may, and not before a share says something."""

from __future__ import annotations

import pytest

from pipelines.scan.budget import BudgetError, ErrorBudget
from pipelines.scan.loop import Progress


def stops(budget: ErrorBudget, done: int, failed: int) -> bool:
    try:
        budget.check(Progress(1000, done, failed, 1.0))
    except BudgetError:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "done", "failed", "expected"),
    [
        ("5%", 1, 1, False), ("5%", 50, 5, False), ("5%", 50, 6, True), ("5%", 100, 5, False),
        ("5%", 400, 20, False), ("5%", 400, 21, True), ("0%", 1, 1, True), ("100%", 90, 90, False),
        ("20", 20, 20, False), ("20", 900, 21, True), ("0", 5, 0, False), ("0", 5, 1, True),
    ],
)  # fmt: skip
def test_a_number_is_of_videos_and_a_share_is_of_those_done_or_of_a_hundred(
    text: str, done: int, failed: int, expected: bool
) -> None:
    assert stops(ErrorBudget.of(text), done, failed) is expected


def test_without_a_budget_all_may_fail() -> None:
    assert not stops(ErrorBudget(), 1000, 1000)


def test_the_message_names_the_numbers() -> None:
    with pytest.raises(BudgetError, match=r"^7 of 90 videos failed, and 2.5% may"):
        ErrorBudget.of("2.5%").check(Progress(1000, 90, 7, 1.0))


@pytest.mark.parametrize("text", ["", "%", "-1", "101%", "2.5", "nan%", "many"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        ErrorBudget.of(text)
