"""Figures against their definitions, written out slowly."""

import math
from typing import Any

import numpy as np
import pytest

from model.metrics.metrics import metrics
from model.metrics.ranked_rows import NAMES

# of probabilities without groups
DEFINED = [n for n in NAMES if n not in ("gauc", "ndcg@10", "ndcg", "mae", "r2")]


def slow_auc(labels: Any, probabilities: Any, weights: Any) -> Any:
    won = total = 0.0
    for y1, p1, w1 in zip(labels, probabilities, weights, strict=True):
        for y0, p0, w0 in zip(labels, probabilities, weights, strict=True):
            if y1 == 1 and y0 == 0:
                total += w1 * w0
                won += w1 * w0 * (1.0 if p1 > p0 else 0.5 if p1 == p0 else 0.0)
    return won / total


def slow_pr_auc(labels: Any, probabilities: Any, weights: Any) -> Any:
    """Sum over the thresholds of precision times the recall that the threshold adds."""
    clicks = sum(w for y, w in zip(labels, weights, strict=True) if y == 1)
    area = recall = 0.0
    for threshold in sorted(set(probabilities), reverse=True):
        rows = [i for i, p in enumerate(probabilities) if p >= threshold]
        found = sum(weights[i] for i in rows if labels[i] == 1)
        area += found / sum(weights[i] for i in rows) * (found / clicks - recall)
        recall = found / clicks
    return area


def drawn(rows: Any = 80, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(1, 10, rows) / 10  # many ties
    labels = (rng.random(rows) < probabilities).astype(np.float32)
    return labels, probabilities, rng.integers(1, 5, rows).astype(np.float32)


def test_auc_counts_every_pair_once_and_ties_half() -> None:
    assert metrics([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])["auc"] == 3.5 / 4


@pytest.mark.parametrize("seed", range(3))
def test_auc_equals_the_double_loop_with_weights_and_ties(seed: int) -> None:
    labels, probabilities, weights = drawn(seed=seed)
    expected = slow_auc(labels, probabilities, weights)
    assert metrics(labels, probabilities, weights)["auc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_pr_auc_equals_the_loop_over_thresholds_with_weights_and_ties(seed: int) -> None:
    labels, probabilities, weights = drawn(seed=seed)
    expected = slow_pr_auc(labels, probabilities, weights.tolist())
    assert metrics(labels, probabilities, weights)["pr_auc"] == pytest.approx(expected, abs=1e-12)


def test_pr_auc_of_rows_that_all_look_alike_is_the_click_rate() -> None:
    assert metrics([1, 0, 0, 0], [0.3] * 4)["pr_auc"] == pytest.approx(0.25)
    assert metrics([0, 1], [0.1, 0.9])["pr_auc"] == 1.0


def test_pr_auc_takes_first_rows_without_weight() -> None:
    assert metrics([0, 1, 0], [0.9, 0.8, 0.1], [0, 1, 1])["pr_auc"] == 1.0


def test_a_constant_prediction_has_auc_one_half_and_normalised_entropy_one() -> None:
    measured = metrics([1, 0, 0, 0], [0.25] * 4)
    assert measured["auc"] == 0.5
    assert measured["normalised_entropy"] == pytest.approx(1.0)
    assert measured["calibration_ratio"] == pytest.approx(1.0)
    assert measured["ece"] == pytest.approx(0.0)


def test_logloss_brier_and_rmse_follow_their_definitions() -> None:
    measured = metrics([1, 0], [0.8, 0.4])
    assert measured["logloss"] == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert measured["brier"] == pytest.approx((0.2**2 + 0.4**2) / 2)
    assert measured["rmse"] == pytest.approx(math.sqrt((0.2**2 + 0.4**2) / 2))


def test_calibration_ratio_is_mean_probability_over_click_rate() -> None:
    assert metrics([1, 0, 0, 0], [0.5] * 4)["calibration_ratio"] == pytest.approx(2.0)


def test_a_weight_of_two_equals_the_row_twice() -> None:
    labels, probabilities, weights = drawn()
    times = weights.astype(int)
    repeated = metrics(np.repeat(labels, times), np.repeat(probabilities, times))
    weighted = metrics(labels, probabilities, weights)
    for name in DEFINED:
        assert weighted[name] == pytest.approx(repeated[name], abs=1e-9), name


def test_rows_and_positives_count_rows_and_not_weights() -> None:
    measured = metrics([1, 0, 1], [0.5, 0.5, 0.5], [10, 10, 10])
    assert (measured["rows"], measured["positives"]) == (3, 2)
    assert type(measured["rows"]) is int
    assert type(measured["positives"]) is int


def test_ece_is_the_gap_within_bins_of_equal_weight() -> None:
    # two bins far apart: 0.1 predicted against 0 clicked, 0.9 against 1
    labels = [0] * 50 + [1] * 50
    assert metrics(labels, [0.1] * 50 + [0.9] * 50)["ece"] == pytest.approx(0.1)


def test_ece_sees_errors_that_cancel_in_the_mean() -> None:
    measured = metrics([0, 1] * 20, [0.9, 0.1] * 20)
    assert measured["calibration_ratio"] == pytest.approx(1.0)
    assert measured["ece"] == pytest.approx(0.9)


def test_no_figure_depends_on_the_order_of_the_rows() -> None:
    labels, probabilities, weights = drawn(rows=301)
    order = np.random.default_rng(5).permutation(301)
    straight = metrics(labels, probabilities, weights)
    shuffled = metrics(labels[order], probabilities[order], weights[order])
    for name in DEFINED:
        assert shuffled[name] == pytest.approx(straight[name], abs=1e-12), name


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_auc_and_normalised_entropy_undefined(label: int) -> None:
    measured = metrics([label] * 3, [0.2, 0.3, 0.4])
    assert measured["auc"] is None
    assert measured["pr_auc"] is None
    assert measured["normalised_entropy"] is None
    assert isinstance(measured["logloss"], float)
    assert (measured["calibration_ratio"] is None) == (label == 0)


def test_rows_without_weight_do_not_count_as_a_class() -> None:
    assert metrics([1, 0], [0.6, 0.4], [1, 0])["auc"] is None


@pytest.mark.parametrize("weights", [None, [0.0, 0.0]])
def test_no_row_or_no_weight_gives_none_and_never_nan(weights: list[float] | None) -> None:
    labels = [1.0, 0.0] if weights else []
    measured = metrics(labels, [0.5] * len(labels), weights)
    assert measured["rows"] == len(labels)
    assert all(measured[name] is None for name in DEFINED)


def test_regression_labels_have_rows_and_rmse_alone() -> None:
    measured = metrics([2.0, 4.0], [1.0, 4.0])
    assert measured["rmse"] == pytest.approx(math.sqrt(0.5))
    assert all(measured[name] is None for name in DEFINED if name != "rmse")
    assert measured["positives"] is None


def test_a_sure_and_wrong_float32_probability_costs_a_finite_logloss() -> None:
    wrong = metrics(np.array([0, 1]), np.array([1.0, 0.0], dtype=np.float32))
    assert wrong["logloss"] == pytest.approx(-math.log(np.finfo(np.float32).eps), rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "probabilities", "weights"),
    [
        ([1, 0], [0.5], None),
        ([1, 0], [0.5, float("nan")], None),
        ([1, 0], [0.5, 0.5], [1, -1]),
        ([1, 0], [0.5, 0.5], [1]),
        ([[1], [0]], [0.5, 0.5], None),
    ],
)
def test_input_that_has_no_figures_is_refused(
    labels: Any, probabilities: Any, weights: list[int] | None
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        metrics(labels, probabilities, weights)
