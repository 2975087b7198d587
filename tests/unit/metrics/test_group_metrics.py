"""GAUC and NDCG against loops over the groups."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from model.metrics.metrics import metrics


def drawn(seed: int = 0, grades: Any = 2, rows: Any = 120) -> Any:
    """Few distinct scores, so that there are many ties; groups in no order, some of one class."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 25, rows) * 7
    labels = rng.integers(0, grades, rows).astype(float)
    labels[group == 7] = 0
    return labels, rng.integers(0, 5, rows) / 3 - 1, rng.integers(0, 4, rows) + 0.5, group


def of_groups(labels: Any, scores: Any, weights: Any, group: Any) -> Iterator[Any]:
    for one in sorted(set(group)):
        rows = [i for i in range(len(group)) if group[i] == one]
        yield [[values[i] for i in rows] for values in (labels, scores, weights)]


def slow_gauc(*arrays: Any) -> Any:
    total = mass = 0.0
    for labels, scores, weights in of_groups(*arrays):
        won = pairs = 0.0
        for (y1, s1, w1), (y0, s0, w0) in itertools.product(
            zip(labels, scores, weights, strict=True), repeat=2
        ):
            if y1 > y0:
                pairs += w1 * w0
                won += w1 * w0 * (1.0 if s1 > s0 else 0.5 if s1 == s0 else 0.0)
        if pairs:
            total += sum(weights) * won / pairs
            mass += sum(weights)
    return total / mass


def dcg(labels: Any, cut: Any) -> Any:
    return sum((2**y - 1) / math.log2(2 + place) for place, y in enumerate(labels[:cut]))


def slow_ndcg(cut: Any, *arrays: Any) -> Any:
    """The mean over all orders of rows with equal scores, drawn many times."""
    rng = np.random.default_rng(1)
    total = mass = 0.0
    for labels, scores, weights in of_groups(*arrays):
        best = dcg(sorted(labels, reverse=True), cut)
        if best:
            found = []
            for _ in range(3000):
                order = np.lexsort((rng.random(len(scores)), -np.array(scores)))
                found.append(dcg([labels[i] for i in order], cut) / best)
            weight = sum(weights) / len(weights)
            total += weight * np.mean(found)
            mass += weight
    return total / mass


@pytest.mark.parametrize("seed", range(3))
def test_gauc_is_the_mean_auc_of_the_groups_with_both_classes_by_their_weight(seed: int) -> None:
    labels, scores, weights, group = drawn(seed)
    measured = metrics(labels, scores, weights, group, "ranking")
    assert measured["gauc"] == pytest.approx(slow_gauc(labels, scores, weights, group), abs=1e-12)


@pytest.mark.parametrize("grades", [2, 4])
def test_ndcg_is_the_mean_over_the_orders_of_tied_rows(grades: int) -> None:
    labels, scores, weights, group = arrays = drawn(grades=grades, rows=160)
    measured = metrics(labels, scores, weights, group, "ranking")
    assert measured["ndcg@10"] == pytest.approx(slow_ndcg(10, *arrays), abs=2e-3)
    assert measured["ndcg"] == pytest.approx(slow_ndcg(None, *arrays), abs=2e-3)


def test_ndcg_at_ten_leaves_out_what_stands_lower() -> None:
    labels = [0.0] * 10 + [1.0]
    scores = list(range(11, 0, -1))
    measured = metrics(labels, scores, None, [3] * 11, "ranking")
    assert measured["ndcg@10"] == 0.0
    assert measured["ndcg"] == pytest.approx(1 / math.log2(12))


def test_a_perfect_order_has_one_and_the_reverse_has_gauc_zero() -> None:
    labels, group = [1, 0, 1, 0, 0], [1, 1, 2, 2, 2]
    perfect = metrics(labels, [5, 4, 3, 2, 1], None, group, "ranking")
    assert (perfect["gauc"], perfect["ndcg"], perfect["ndcg@10"]) == (1, 1, 1)
    assert metrics(labels, [4, 5, 1, 2, 3], None, group, "ranking")["gauc"] == 0


def test_gauc_of_one_group_is_auc_and_scores_across_groups_do_not_matter() -> None:
    labels, scores, weights, group = drawn()
    one = metrics(labels, 1 / (1 + np.exp(-scores)), weights, np.zeros(len(group)))
    assert one["gauc"] == pytest.approx(one["auc"])
    apart = metrics(labels, scores + group * 100, weights, group, "ranking")
    assert apart == metrics(labels, scores, weights, group, "ranking")


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_groups_of_one_class_alone_leave_gauc_undefined(label: float) -> None:
    measured = metrics([label] * 4, [1, 2, 3, 4], None, [1, 1, 2, 2], "ranking")
    assert measured["gauc"] is None
    assert measured["ndcg"] == (1.0 if label else None)


def test_a_ranking_has_no_figure_that_takes_its_scores_for_probabilities() -> None:
    labels, scores, weights, group = drawn()
    measured = metrics(labels, scores * 100, weights, group, "ranking")
    named = {name for name, value in measured.items() if value is not None}
    assert named == {"rows", "positives", "gauc", "ndcg", "ndcg@10"}


def test_regression_has_the_errors_in_the_target_s_unit_and_the_share_explained() -> None:
    measured = metrics([2.0, 4.0, 9.0], [1.0, 4.0, 7.0], [1, 1, 2], task="regression")
    assert measured["rmse"] == pytest.approx(math.sqrt((1 + 0 + 2 * 4) / 4))
    assert measured["mae"] == pytest.approx((1 + 0 + 2 * 2) / 4)
    assert measured["r2"] == pytest.approx(1 - 9 / (16 + 4 + 2 * 9))
    named = {name for name, value in measured.items() if value is not None}
    assert named == {"rows", "rmse", "mae", "r2"}


def test_the_mean_target_explains_nothing_and_a_constant_target_leaves_r2_undefined() -> None:
    assert metrics([1.0, 3.0], [2.0, 2.0], task="regression")["r2"] == pytest.approx(0.0)
    assert metrics([2.0, 2.0], [2.0, 1.0], task="regression")["r2"] is None


def test_groups_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels, 3 groups"):
        metrics([0, 1], [0.1, 0.2], None, [1, 1, 1])
