"""How well rows are ranked within their groups: GAUC and NDCG, of all groups at once.

Rows of equal score stand in no order: AUC counts such a pair half, and NDCG gives each of them the
mean discount of the places that they share (McSherry & Najork, ECIR 2008).

>>> found = group_figures([1, 0, 0, 1], [0.9, 0.1, 0.8, 0.2], [1, 1, 1, 1], ["a", "a", "b", "b"])
>>> found.mean("gauc")
0.5
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAMES = ("gauc", "ndcg@10", "ndcg")
CUTS = {"ndcg@10": 10, "ndcg": None}


class GroupFigures(NamedTuple):
    """Figures of each of G groups, NaN where undefined, and what a group weighs in their means;
    `first` [G]: the place of one of its rows.

    gauc: AUC, undefined with one class; weighs as much as the group's rows (Zhu et al., KDD 2017).
    ndcg: of the whole list or of its first 10 places, gain 2^y - 1, discount 1 / log2(1 + place)
    (Burges et al., 2005), undefined without any gain; weighs as much as a row of the group.
    """

    values: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    first: Ints

    def mean(self, name: str, counts: Floats | Ints | None = None) -> float | None:
        """A figure over all groups, each counted `counts` [G] times; None where it has none."""
        values, weights = self.values[name], self.weights[name]
        if counts is not None:
            weights = weights * counts
        known = ~np.isnan(values) & (weights > 0)
        return float(values[known] @ weights[known] / weights[known].sum()) if known.any() else None


def group_figures(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike, group: ArrayLike
) -> GroupFigures:
    """Figures of the groups of B rows; labels are 0 or more, and GAUC is only for 0 and 1."""
    y, s, w = (np.asarray(values, np.float64) for values in (labels, scores, weights))
    _, first, member = np.unique(np.asarray(group), return_index=True, return_inverse=True)
    mass, sizes = _sums(member, w, len(first)), np.bincount(member)
    ranked = _Ranked(member, -s)
    gain = np.exp2(y) - 1
    aucs = _aucs(ranked, y, w) if np.isin(y, (0.0, 1.0)).all() else np.full(len(mass), np.nan)
    values = {"gauc": aucs}
    best = _Ranked(member, -gain)
    for name, cut in CUTS.items():
        ideal = best.discounted(gain, cut)
        possible = ideal > 0
        values[name] = np.full(len(sizes), np.nan)
        values[name][possible] = ranked.discounted(gain, cut)[possible] / ideal[possible]
    each = mass / sizes
    return GroupFigures(values, {"gauc": mass, "ndcg@10": each, "ndcg": each}, first)


class _Ranked:
    # rows by group, then by a key, equal keys as one tie: the ties' groups, and the places
    # start..end (from 0) of their group that the rows of a tie share

    def __init__(self, member: Ints, key: Floats) -> None:
        self.order = np.lexsort((key, member))
        groups, keys = member[self.order], key[self.order]
        new = np.ones(len(groups), bool)
        new[1:] = (np.diff(groups) != 0) | (np.diff(keys) != 0)
        self.tie = np.cumsum(new) - 1  # of each row, in order
        begins = np.flatnonzero(new)
        self.group = groups[begins]  # of each tie
        sizes = np.bincount(member)
        offset = np.cumsum(sizes) - sizes
        self.start = begins - offset[self.group]
        self.end = np.append(begins[1:], len(groups)) - offset[self.group]
        self.groups = len(sizes)

    def summed(self, values: Floats) -> Floats:
        # of each tie
        return _sums(self.tie, values[self.order], len(self.group))

    def discounted(self, gain: Floats, cut: int | None) -> Floats:
        # the sum of gain times discount, of each group
        places = np.arange(1, int(self.end.max(initial=0)) + 1)
        discounts = 1 / np.log2(1 + places)
        if cut is not None:
            discounts[cut:] = 0
        until = np.concatenate([[0.0], np.cumsum(discounts)])
        mean = (until[self.end] - until[self.start]) / (self.end - self.start)
        return _sums(self.group, self.summed(gain) * mean, self.groups)


def _aucs(ranked: _Ranked, y: Floats, w: Floats) -> Floats:
    clicks, others = ranked.summed(w * y), ranked.summed(w * (1 - y))
    of_group = _sums(ranked.group, others, ranked.groups)
    before = np.cumsum(of_group) - of_group  # the weight of non-clicks in earlier groups
    above = np.cumsum(others) - others - before[ranked.group]
    won = of_group[ranked.group] - above - others / 2  # the weight of those below, ties half
    pairs = _sums(ranked.group, clicks, ranked.groups) * of_group
    values: Floats = np.full(ranked.groups, np.nan)
    summed = _sums(ranked.group, clicks * won, ranked.groups)
    values[pairs > 0] = summed[pairs > 0] / pairs[pairs > 0]
    return values


def _sums(at: Ints, values: Floats, count: int) -> Floats:
    summed: Floats = np.bincount(at, values, count).astype(np.float64)
    return summed
