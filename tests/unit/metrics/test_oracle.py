"""The figures beside scikit-learn's, an implementation that shares no line with them."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from model.metrics.metrics import metrics

ORACLES = {
    "auc": sklearn.roc_auc_score,
    "pr_auc": sklearn.average_precision_score,
    "logloss": sklearn.log_loss,
    "brier": sklearn.brier_score_loss,
    "rmse": sklearn.root_mean_squared_error,
}
OF_TARGETS = {
    "rmse": sklearn.root_mean_squared_error,
    "mae": sklearn.mean_absolute_error,
    "r2": sklearn.r2_score,
}


def drawn(ties: bool, weighted: bool) -> Any:
    rng = np.random.default_rng(3)
    p = rng.beta(1, 8, 2000)
    if ties:
        p = np.ceil(p * 20) / 21
    y = (rng.random(len(p)) < p).astype(np.float64)
    w = rng.gamma(1.0, size=len(p)) if weighted else np.ones(len(p))
    return y, p, w


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("name", ORACLES)
def test_metrics_of_probabilities_equal_scikit_learns(
    name: str, weighted: bool, ties: bool
) -> None:
    y, p, w = drawn(ties, weighted)
    expected = ORACLES[name](y, p, sample_weight=w)
    assert metrics(y, p, w)[name] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("name", OF_TARGETS)
def test_metrics_of_targets_equal_scikit_learns(name: str, weighted: bool) -> None:
    y, p, w = drawn(ties=False, weighted=weighted)
    y = 3 * y + p
    expected = OF_TARGETS[name](y, p, sample_weight=w)
    assert metrics(y, p, w, task="regression")[name] == pytest.approx(expected, rel=1e-9)
