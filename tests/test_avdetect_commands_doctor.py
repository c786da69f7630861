"""The doctor: a failing check is a finding, not a crash."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from avdetect import cli
from avdetect.commands import doctor, doctor_checks
from avdetect.commands.doctor import CHECKS, Check, Checked, examine, findings_table


def missing() -> str:
    raise ImportError("libGL.so.1: cannot open shared object file")


def wrong() -> str:
    doctor_checks.expect(2 + 2 == 5, "sums are wrong")
    return "unreached"


def test_every_check_gives_a_finding_in_order() -> None:
    findings = examine(
        [
            Check("a", lambda: "fine", "numpy"),
            Check("b", missing, "no-such-package"),
            Check("c", wrong, required=False),
        ]
    )
    assert findings == [
        Checked("a", "1.26.4", True, True, "fine"),
        Checked(
            "b",
            "not installed",
            False,
            True,
            "ImportError: libGL.so.1: cannot open shared object file",
        ),
        Checked("c", "", False, False, "sums are wrong"),
    ]


def test_the_table_tells_failing_from_absent() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(findings_table(examine([Check("b", missing), Check("c", wrong, None, False)])))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "FAILS" in text
    assert "absent" in text


@pytest.mark.parametrize(("required", "code"), [(True, 1), (False, 0)])
def test_only_a_required_failure_makes_the_command_fail(
    required: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (Check("b", missing, required=required),))
    assert cli.main(["doctor"]) == code
    assert "libGL" in capsys.readouterr().out


@pytest.mark.parametrize("check", [c for c in CHECKS if c.required], ids=lambda check: check.name)
def test_what_is_required_works_here(check: Any) -> None:
    (finding,) = examine([check])
    assert finding.works, finding.detail
