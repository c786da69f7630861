"""Classes of forgeries: ForgeryNet's lists, and metrics of 2, 3 and 16 classes by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from extractors.errors import InputError
from pipelines.evaluation.n_way import (
    WayLabel,
    folded,
    folding,
    main,
    n_way,
    read_way_labels,
    way_metrics,
)

LINES = """\
3 train/a.mp4 0 40 0 40 25 1 65 10 0 1 1 4
1 val/b.mp4 0 100 0 0 0 0

2 val/c.mp4 0 10 1 10 30 1 1 2 9
"""


def test_a_line_says_which_frames_are_forged_and_three_classes(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(LINES)
    assert read_way_labels(path) == [
        WayLabel("train/a.mp4", ((40, 25),), (1, 1, 4)),
        WayLabel("val/b.mp4", (), (0, 0, 0)),
        WayLabel("val/c.mp4", ((0, 10), (10, 30)), (1, 2, 9)),
    ]


@pytest.mark.parametrize("line", ["2 a.mp4 0 40 0 1 1 4", "x a.mp4", "0 a.mp4 1 3 4", "1 a"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0 ok.mp4 0 0 0\n" + line + "\n")
    with pytest.raises(InputError, match=r"labels\.txt, line 2"):
        read_way_labels(path)


def of(three: int, fine: int) -> WayLabel:
    return WayLabel(f"{fine}.mp4", (), (int(three > 0), three, fine))


def test_coarser_classes_come_of_the_labels_and_must_agree() -> None:
    labels = [of(0, 0), of(1, 3), of(2, 7), of(1, 3)]
    groups = folding(labels, 3)
    assert [groups[fine] for fine in (0, 3, 7, 15)] == [0, 1, 2, -1]
    with pytest.raises(InputError, match="class 3 of 16 is class 2 of 3 here, and 1 elsewhere"):
        folding([*labels, of(2, 3)], 3)
    scores = np.full((2, 16), 1 / 16)
    assert folded(scores, groups, 3).tolist() == [[1 / 16] * 3] * 2


def test_metrics_are_known_by_hand() -> None:
    scores = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6]]
    found = way_metrics([0, 0, 0, 2], scores)
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["class_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["map"] == pytest.approx((11 / 12 + 1) / 2)  # 0s rank 1st, 2nd and 4th: 1, 1, 3/4


def test_right_among_sixteen_is_right_among_fewer_and_not_the_other_way() -> None:
    labels = [of(0, 0), of(1, 3), of(1, 4), of(2, 7)]
    perfect = np.eye(16)[[0, 3, 4, 7]]
    assert all(row["accuracy"] == 1.0 for row in n_way(labels, perfect).values())
    other = np.eye(16)[[0, 4, 3, 7]]  # another method that replaces the identity
    found = n_way(labels, other)
    assert [found[ways]["accuracy"] for ways in (2, 3, 16)] == [1.0, 1.0, 0.5]
    swapped = np.eye(16)[[0, 7, 7, 3]]
    assert [n_way(labels, swapped)[ways]["accuracy"] for ways in (2, 3, 16)] == [1.0, 0.25, 0.25]


def test_the_command_prints_a_row_for_each_and_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions = tmp_path / "labels.txt", tmp_path / "p.csv"
    labels.write_text(LINES)
    header = ",".join(["path", *(f"p{c}" for c in range(16))])
    rows = [
        ",".join([name, *("1" if c == fine else "0" for c in range(16))])
        for name, fine in (("train/a.mp4", 4), ("val/b.mp4", 0), ("val/c.mp4", 4))
    ]
    predictions.write_text("\n".join([header, *rows]) + "\n")
    main([str(labels), str(predictions)])
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].startswith("| 2 | 1.000 |")
    assert shown[3].startswith("| 3 | 0.667 |")
    predictions.write_text("\n".join([header, *rows[:2]]) + "\n")
    with pytest.raises(InputError, match=r"p\.csv: has no 'val/c\.mp4'"):
        main([str(labels), str(predictions)])
