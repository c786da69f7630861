"""Fairness: error rates by group, the gaps between groups, and their statistical significance.

Every rate is taken at one threshold for all. The bootstrap draws persons, not clips: fifteen clips
of one person are not fifteen independent observations. A clip without a named person counts as a
person of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.clip import Doubles
from pipelines.data.manifest import GROUPS
from pipelines.data.samples import Sample
from pipelines.metrics.classification import auc, expected_calibration_error, nll
from pipelines.metrics.person_bootstrap import DRAWS, auc_draws, gap_draws, interval, person_draws
from pipelines.metrics.sampling_error import auc_error, wilson_interval

FEWEST = 30  # persons of a group below which its rates are listed but not compared
UNKNOWN = "unknown"
# Fitzpatrick's six types of skin in three groups, as six of them are too few persons each
SKIN_TYPES = {
    word: group
    for group, words in {"I-II": "1 2 i ii", "III-IV": "3 4 iii iv", "V-VI": "5 6 v vi"}.items()
    for word in words.split()
}
REAL, ALARMS, FAKE, HITS = range(4)  # columns of the counts


def _share(part: Doubles, of: Doubles) -> Doubles:
    """Return part / of, NaN where `of` is 0."""
    return np.divide(part, of, out=np.full(of.shape, np.nan), where=of > 0)


# functions of counts (..., 4), and whether a high rate is bad; parity: the share called fake
RATES: dict[str, tuple[Callable[[Doubles], Doubles], bool]] = {
    "fpr": (lambda c: _share(c[..., ALARMS], c[..., REAL]), True),
    "tpr": (lambda c: _share(c[..., HITS], c[..., FAKE]), False),
    "accuracy": (lambda c: _share(c[..., REAL] - c[..., ALARMS] + c[..., HITS],
                                  c[..., REAL] + c[..., FAKE]), False),
    "parity": (lambda c: _share(c[..., ALARMS] + c[..., HITS], c[..., REAL] + c[..., FAKE]), True),
    "precision": (lambda c: _share(c[..., HITS], c[..., ALARMS] + c[..., HITS]), False),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class FairnessClips:
    """Scored clips with their groups by one attribute."""

    fake: Doubles  # (N,) 0 or 1
    score: Doubles  # (N,)
    person: NDArray[np.intp]  # (N,) from 0 on
    group: NDArray[np.intp]  # (N,) index into `names`
    names: list[str]

    def counts(self, threshold: float, group: NDArray[np.intp] | None = None) -> Doubles:
        """Return real clips, false alarms, fakes and hits (P, G, 4) by person and group."""
        flagged = self.score >= threshold
        columns = [self.fake == 0, (self.fake == 0) & flagged, self.fake == 1]
        table = np.zeros((int(self.person.max()) + 1, len(self.names), 4))
        place = self.person, self.group if group is None else group
        for column, counted in enumerate([*columns, (self.fake == 1) & flagged]):
            np.add.at(table[..., column], place, counted)
        return table


def fairness(
    samples: Sequence[Sample],
    results: Mapping[str, Mapping[str, Any]],
    threshold: float = 0.5,
    fewest: int = FEWEST,
) -> dict[str, Any]:
    """Return a table for each attribute in the manifest, and for each pair of them.

    After Hazirbas and others (Casual Conversations, 2021) for the groups, types of skin by twos,
    and Ju and others (WACV 2024) for the sums over them. A gap is never below 0, so its interval is
    biased upwards; whether there is a gap is for p to tell.

    Args:
        samples: clips with their groups; those without a score are left out and counted.
        results: by path.
        threshold: on the clip score, for all groups.
        fewest: number of persons that a group needs to be compared.
    """
    scored = [
        (sample, float(score))
        for sample in samples
        if sample.groups and (score := results.get(str(sample.path), {}).get("score")) is not None
    ]
    present = [name for name in GROUPS if any(name in dict(s.groups) for s, _ in scored)]
    report: dict[str, Any] = {
        "threshold": threshold, "fewest_persons": fewest, "scored": len(scored),
        "given": sum(bool(sample.groups) for sample in samples), "attributes": {}, "pairs": {},
    }  # fmt: skip
    for name in present:
        report["attributes"][name] = _attribute(_clips(scored, (name,)), threshold, fewest)
    tested = [row for row in report["attributes"].values() if "fpr_gap_p" in row]
    for row, p in zip(tested, holm([row["fpr_gap_p"] for row in tested]), strict=True):
        row["fpr_gap_p_holm"] = p
    for pair in combinations(present, 2):
        clips = _clips(scored, pair)
        report["pairs"][" × ".join(pair)] = _groups(clips, clips.counts(threshold), fewest)
    return report


def _clips(scored: Sequence[tuple[Sample, float]], attributes: tuple[str, ...]) -> FairnessClips:
    words = [" × ".join(_group(sample, name) for name in attributes) for sample, _ in scored]
    names, group = np.unique(words, return_inverse=True)
    _, person = np.unique([s.person or str(s.path) for s, _ in scored], return_inverse=True)
    return FairnessClips(
        np.array([float(sample.fake) for sample, _ in scored]),
        np.array([score for _, score in scored]), person, group, names.tolist(),
    )  # fmt: skip


def _group(sample: Sample, attribute: str) -> str:
    word = dict(sample.groups).get(attribute, UNKNOWN)
    return SKIN_TYPES.get(word.lower(), word) if attribute == "skin_type" else word


def _attribute(clips: FairnessClips, threshold: float, fewest: int) -> dict[str, Any]:
    counts = clips.counts(threshold)
    groups = _groups(clips, counts, fewest)
    row: dict[str, Any] = {"groups": groups}
    compared = [i for i, g in enumerate(clips.names) if groups[g]["compared"]]
    if len(compared) < 2:
        return row | {"note": f"fewer than two groups of {fewest} persons or more"}
    drawn = person_draws(counts[:, compared])
    total = counts[:, compared].sum(axis=0)  # (G, 4)
    gaps: dict[str, Doubles] = {}  # (DRAWS,) of each rate that is defined
    for name, (rates_of, worst_is_high) in RATES.items():
        values, draws = rates_of(total), rates_of(drawn)  # (G,), (DRAWS, G)
        if np.isnan(values).any():
            continue
        gaps[name] = gap_draws(draws)
        row[f"{name}_gap"] = float(np.ptp(values))
        worst = compared[int(values.argmax() if worst_is_high else values.argmin())]
        row[f"{name}_worst"] = clips.names[worst]
    for rate, (of, hit) in {"fpr": (REAL, ALARMS), "tpr": (FAKE, HITS)}.items():
        if rate in gaps:
            row[f"sum_of_{rate}_differences"] = _from_overall(total, of, hit)
    if "fpr" in gaps:
        row["fpr_gap_p"] = _permutation_p(clips, threshold, compared, row["fpr_gap"])
    if "fpr" in gaps and "tpr" in gaps:
        gaps["equalised_odds"] = np.maximum(gaps["fpr"], gaps["tpr"])
        row["equalised_odds_gap"] = max(row["fpr_gap"], row["tpr_gap"])
        areas = np.array([groups[clips.names[i]]["auc"] for i in compared])
        gaps["auc"] = gap_draws(_areas(clips, compared))
        row["auc_gap"] = float(np.ptp(areas))
        row["auc_worst"] = clips.names[compared[int(areas.argmin())]]
    return row | {f"{name}_gap_interval": interval(draws) for name, draws in gaps.items()}


def _groups(clips: FairnessClips, counts: Doubles, fewest: int) -> dict[str, dict[str, Any]]:
    """Return persons, clips and rates of each group, with bootstrap intervals over persons.

    `fpr_wilson`, `tpr_wilson` and `auc_error` are the sampling errors if no two clips were of one
    person. Precision depends on the share of fakes: compare it among groups of one share.
    """
    table = {}
    for index, name in enumerate(clips.names):
        own = counts[counts[:, index].sum(axis=1) > 0, index]  # (persons, 4)
        total = own.sum(axis=0)
        row: dict[str, Any] = {
            "persons": len(own), "real": int(total[REAL]), "fake": int(total[FAKE]),
            "compared": len(own) >= fewest and UNKNOWN not in name.split(" × "),
        }  # fmt: skip
        drawn = person_draws(own[:, None])[:, 0]
        for rate, of in (("fpr", REAL), ("tpr", FAKE)):
            if total[of]:
                row[rate] = float(RATES[rate][0](total))
                row[f"{rate}_interval"] = interval(RATES[rate][0](drawn))
                row[f"{rate}_wilson"] = wilson_interval(total[of + 1], total[of])
        if total[FAKE] and total[ALARMS] + total[HITS]:
            row["precision"] = float(RATES["precision"][0](total))
            row["precision_interval"] = interval(RATES["precision"][0](drawn))
        chosen = clips.group == index
        if total[REAL] and total[FAKE]:
            row["auc"] = auc(clips.fake[chosen], clips.score[chosen])
            row["auc_interval"] = interval(_areas(clips, [index]))
            row["auc_error"] = auc_error(row["auc"], row["fake"], row["real"])
        row["nll"] = nll(clips.fake[chosen], clips.score[chosen])
        row["ece"] = expected_calibration_error(clips.fake[chosen], clips.score[chosen])
        table[name] = row
    return table


def _areas(clips: FairnessClips, groups: Sequence[int]) -> Doubles:
    return auc_draws(clips.fake, clips.score, clips.person, clips.group, groups)


def _permutation_p(
    clips: FairnessClips, threshold: float, compared: Sequence[int], gap: float
) -> float:
    """Return the permutation p-value of a gap between groups' false positive rates.

    If every person is in one group, whole persons are permuted; if a person is in several, such
    as in light and in darkness, the clips are permuted within each person.
    """
    chosen = np.isin(clips.group, compared) & (clips.fake == 0)
    group = np.searchsorted(np.sort(compared), clips.group[chosen])
    person = np.unique(clips.person[chosen], return_inverse=True)[1]
    flagged = (clips.score[chosen] >= threshold).astype(float)
    first = np.zeros(person.max() + 1, dtype=np.intp)
    first[person] = group
    whole = bool((first[person] == group).all())
    order = np.argsort(person, kind="stable")
    generator = np.random.default_rng(0)
    wider = 0
    for _ in range(DRAWS):
        if whole:
            dealt, values = generator.permutation(first)[person], flagged
        else:
            mixed = np.lexsort((generator.random(len(person)), person))
            dealt, values = group[order], flagged[mixed]
        size = np.bincount(dealt, minlength=len(compared)).clip(1)
        rates = np.bincount(dealt, values, minlength=len(compared)) / size
        wider += np.ptp(rates) >= gap - 1e-12
    return (1 + wider) / (1 + DRAWS)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, least = [0.0] * len(values), 0.0
    for rank, index in enumerate(np.argsort(values, kind="stable")):
        least = max(least, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = least
    return adjusted


def _from_overall(total: Doubles, of: int, hit: int) -> float:
    """Return the sum over groups of |rate of the group - overall rate|: F_FPR for false alarms."""
    overall = total[:, hit].sum() / total[:, of].sum()
    return float(np.abs(total[:, hit] / total[:, of] - overall).sum())
