"""The points behind a report's charts, against their definitions."""

from typing import Any

import numpy as np
import pytest

from model.metrics.metrics import auc
from narrowing import not_none
from training.evaluation.curves import (
    POINTS,
    histogram,
    precision_recall,
    rate_bin,
    reliability,
    roc,
)


def drawn(rows: Any = 3000, seed: int = 0, values: Any = 0) -> Any:
    rng = np.random.default_rng(seed)
    p = rng.integers(1, values, rows) / values if values else rng.random(rows)
    return (rng.random(rows) < p).astype(np.float64), p, rng.integers(1, 4, rows).astype(np.float64)


@pytest.mark.parametrize("values", [0, 12])
def test_the_area_under_the_roc_curve_is_the_auc(values: int) -> None:
    y, p, w = drawn(values=values)
    curve = roc(y, p, w)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(auc(y, p, w), abs=2e-4)


def test_a_long_curve_is_drawn_by_few_points_and_keeps_its_ends() -> None:
    y, p, w = drawn(rows=50_000)
    for curve in (roc(y, p, w), precision_recall(y, p, w)):
        assert 50 < len(curve.x) <= POINTS + 2
        assert (np.diff(curve.x) >= 0).all()
        assert curve.x[-1] == 1


def test_precision_ends_at_the_click_rate_and_each_point_is_a_threshold() -> None:
    y, p, w = drawn(rows=60, values=6)
    curve = precision_recall(y, p, w)
    thresholds = sorted(set(p), reverse=True)
    assert len(curve.x) == len(thresholds)
    for x, precision, threshold in zip(*curve, thresholds, strict=True):
        above = p >= threshold
        assert x == pytest.approx((w * y)[above].sum() / (w * y).sum())
        assert precision == pytest.approx((w * y)[above].sum() / w[above].sum())
    assert curve.y[-1] == pytest.approx(w @ y / w.sum())


def test_deciles_of_a_calibrated_model_hold_its_probability_nearly_always() -> None:
    inside = [
        not one.outside for seed in range(30) for one in reliability(*drawn(rows=600, seed=seed))
    ]
    assert len(inside) == 300
    assert 0.91 < np.mean(inside) < 0.99


def test_deciles_weigh_the_same_and_hold_every_row_once() -> None:
    y, p, _ = drawn(rows=1000)
    bins = reliability(y, p, np.ones(1000))
    assert [one.rows for one in bins] == [100] * 10
    ascending = [one.probability for one in bins]
    assert ascending == sorted(ascending)
    assert sum(one.rate * one.rows for one in bins) == pytest.approx(y.sum())


def test_equal_probabilities_share_a_bin() -> None:
    bins = reliability(np.array([0.0, 1.0] * 50), np.full(100, 0.5), np.ones(100))
    assert [(one.rows, one.probability, one.rate) for one in bins] == [(100, 0.5, 0.5)]


def test_the_interval_is_wilsons() -> None:
    one = not_none(rate_bin(np.array([1.0] * 2 + [0.0] * 8), np.full(10, 0.2), np.ones(10)))
    # 2 of 10 by Wilson at 95 %: .0567 to .5098
    assert one.low == pytest.approx(0.0567, abs=1e-4)
    assert one.high == pytest.approx(0.5098, abs=1e-4)
    assert not one.outside
    assert one.ratio == pytest.approx(1.0)


def test_equal_weights_of_any_size_count_as_rows_and_unequal_ones_as_fewer() -> None:
    y, p, _ = drawn(rows=200)
    plain, heavy = (not_none(rate_bin(y, p, np.full(200, w))) for w in (1.0, 7.0))
    assert (plain.low, plain.high) == pytest.approx((heavy.low, heavy.high))
    weights = np.where(np.arange(200) < 20, 50.0, 0.01)
    few = not_none(rate_bin(y, p, weights))
    assert few.high - few.low > 2 * (plain.high - plain.low)


def test_rows_without_weight_are_no_bin_and_no_click_has_no_ratio() -> None:
    assert rate_bin(np.ones(2), np.ones(2), np.zeros(2)) is None
    assert not_none(rate_bin(np.zeros(3), np.full(3, 0.1), np.ones(3))).ratio is None
    assert reliability(np.ones(2), np.ones(2), np.zeros(2)) == []


def test_a_histogram_adds_up_to_one_and_keeps_what_lies_above() -> None:
    shares = histogram(
        np.array([0.05, 0.15, 0.9]), np.array([1.0, 1.0, 2.0]), np.linspace(0, 0.2, 3)
    )
    assert shares.tolist() == [0.25, 0.75]
