import numpy as np
import pytest

from model.manifest import Calibration
from training.calibration import platt


def drawn(scale, shift, rows=50_000, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, rows)
    chance = 1 / (1 + np.exp(-(scale * logits + shift)))
    return logits, (rng.random(rows) < chance).astype(np.float64), np.ones(rows)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, -1.0), (2.0, 0.7)])
def test_the_line_that_drew_the_labels_is_found(scale, shift):
    found = platt(*drawn(scale, shift))
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert found.shift == pytest.approx(shift, abs=0.05)


def test_the_mean_probability_is_the_click_rate_of_the_rows_it_was_fitted_on():
    logits, labels, weights = drawn(0.3, 1.0, rows=999)
    found = platt(logits, labels, weights)
    probabilities = 1 / (1 + np.exp(-(found.scale * logits + found.shift)))
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=1e-4)


def test_weights_count_as_repeated_rows():
    logits, labels, weights = drawn(0.7, 0.2, rows=500)
    weights[:100] = 3.0
    repeated = np.concatenate([np.arange(500), *[np.arange(100)] * 2])
    expected = platt(logits[repeated], labels[repeated], np.ones(700))
    found = platt(logits, labels, weights)
    assert found.scale == pytest.approx(expected.scale, rel=1e-6)
    assert found.shift == pytest.approx(expected.shift, rel=1e-6)


def test_logits_that_rank_the_wrong_way_round_are_left_as_they_are():
    logits, labels, weights = drawn(1.0, 0.0)
    assert platt(-logits, labels, weights) == Calibration()


def test_perfectly_separated_rows_give_a_finite_line():
    logits = np.array([-2.0, -1.0, 1.0, 2.0])
    found = platt(logits, np.array([0.0, 0, 1, 1]), np.ones(4))
    assert np.isfinite([found.scale, found.shift]).all()
    assert found.scale > 0


def test_equal_logits_give_a_finite_line():
    found = platt(np.full(10, 0.3), np.array([0.0, 1] * 5), np.ones(10))
    assert np.isfinite([found.scale, found.shift]).all()
