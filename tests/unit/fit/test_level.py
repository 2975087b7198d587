"""The level of a net: after fitting, its probabilities sum up to the clicks."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.nets import NetSizes, build
from training.data.examples import Examples
from training.fit.step.bias import bias_shift, fit_bias
from training.fit.step.logits import logits


def sums(x: Any, labels: Any, weights: Any, b: Any) -> Any:
    return weights @ (1 / (1 + np.exp(-(x + b)))), weights @ labels


@given(
    st.lists(st.tuples(st.floats(-40, 40), st.booleans(), st.floats(0.01, 50)), min_size=2),
)
def test_the_probabilities_sum_up_to_the_clicks_by_weight(rows: Any) -> None:
    x, labels, weights = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    b = bias_shift(x, labels, weights)
    if labels.min() == labels.max():
        assert b == 0
        return
    total, clicks = sums(x, labels, weights, b)
    assert total == pytest.approx(clicks, rel=1e-6, abs=1e-6 * weights.sum())


def test_a_net_that_training_has_ruined_has_no_level_and_gives_no_warning() -> None:
    labels, weights = np.array([0.0, 1.0, 1.0]), np.ones(3)
    assert bias_shift(np.array([0.0, np.nan, 1.0]), labels, weights) == 0
    assert bias_shift(np.array([0.0, np.inf, 1.0]), labels, weights) == 0
    assert np.isfinite(bias_shift(np.array([-1e6, 1e6, -1e6]), labels, weights))


def rows_of(count: Any, seed: int, rate: Any = 0.3) -> Any:
    rng = np.random.default_rng(seed)
    ids = torch.from_numpy(rng.integers(3, 20, (count, 4)))
    labels = torch.from_numpy((rng.random(count) < rate).astype(np.float32))
    weights = torch.from_numpy(rng.gamma(2, 0.5, count).astype(np.float32))
    return Examples(ids, torch.ones(count, 4), labels, weights)


@pytest.mark.parametrize("log_rate", [0.0, -2.3])
def test_a_net_is_shifted_to_the_level_of_both_parts(log_rate: float) -> None:
    torch.manual_seed(1)
    net = build("fm", 20, range(4), NetSizes(embedding=3))
    train, valid = rows_of(500, 1), rows_of(100, 2, 0.3 * np.exp(log_rate))
    before = logits(net, valid)
    shift = fit_bias(net, train, valid, log_rate)
    np.testing.assert_allclose(logits(net, valid), before + shift, rtol=1e-5)
    total = clicks = 0.0
    for part, offset in ((train, 0.0), (valid, log_rate)):
        weights, labels = part.weights.double().numpy(), part.labels.double().numpy()
        one, other = sums(logits(net, part).astype(np.float64), labels, weights, offset)
        total, clicks = total + one, clicks + other
    assert total == pytest.approx(clicks, rel=1e-5)


def test_bias_stays_where_it_is_at_a_minimum() -> None:
    torch.manual_seed(1)
    net, train, valid = build("lr", 20, range(4), NetSizes()), rows_of(300, 1), rows_of(80, 2)
    fit_bias(net, train, valid)
    assert fit_bias(net, train, valid) == pytest.approx(0, abs=1e-6)
