"""A net against the one that it started from: figures, and the words for them."""

from typing import Any

import numpy as np
import pytest

from narrowing import not_none
from training.data.log import Log
from training.evaluation.baseline import against_baseline, baseline_words

ROWS = 2000


@pytest.fixture
def truth() -> Any:
    """Chances of clicks, and clicks."""
    rng = np.random.default_rng(1)
    chances = rng.beta(1, 4, ROWS)
    return chances, (rng.random(ROWS) < chances).astype(np.float32)


def log(labels: Any, group: Any = None, weights: Any = None) -> Any:
    return Log({}, labels, weights, group)


def test_the_truth_beats_a_constant_and_the_words_say_so(truth: Any) -> None:
    chances, clicks = truth
    constant = np.full(ROWS, clicks.mean())
    facts = not_none(against_baseline({"net": "fm"}, constant, chances, log(clicks), "click"))
    assert facts["figure"] == "logloss"
    assert facts["interval"][0] < facts["difference"] < facts["interval"][1] < 0
    assert facts["difference"] == pytest.approx(facts["last"] - facts["first"])
    assert baseline_words("afm", facts).startswith("afm beats the fm that it started from (valid")


def test_a_constant_is_worse_than_the_truth_and_the_words_say_so(truth: Any) -> None:
    chances, clicks = truth
    constant = np.full(ROWS, clicks.mean())
    facts = not_none(against_baseline({"net": "fm"}, chances, constant, log(clicks), "click"))
    assert facts["interval"][0] > 0
    words = baseline_words("afm", facts)
    assert words.startswith("afm is worse than the fm that it started from: serve fm")


def test_equal_nets_do_not_beat_each_other(truth: Any) -> None:
    chances, clicks = truth
    facts = not_none(against_baseline({"net": "fwfm"}, chances, chances, log(clicks), "click"))
    assert (facts["difference"], facts["interval"]) == (0, [0, 0])
    words = baseline_words("afm+", facts)
    assert words.startswith(
        "afm+ does not beat the fwfm that it started from: no difference can be"
    )
    assert "fm itself was not fitted" in words
    both = baseline_words("afm+", facts | {"of": ("fm", "fwfm")})
    assert "fwfm was better than fm" in both
    assert "not fitted" not in both


def test_a_difference_within_the_noise_is_not_called_a_win(truth: Any) -> None:
    chances, clicks = truth
    noise = np.random.default_rng(2).normal(0, 1e-4, ROWS)
    near = np.clip(chances + noise, 1e-6, 1)
    facts = not_none(against_baseline({"net": "fm"}, near, chances, log(clicks), "click"))
    low, high = facts["interval"]
    assert low < 0 < high
    said = (
        "afm does not beat the fm that it started from: no difference can be shown on 2,000 rows ("
    )
    words = baseline_words("afm", facts)
    assert words.startswith(said)
    assert "not fitted" not in words


def test_a_warm_start_is_held_against_its_bundle_by_name(truth: Any) -> None:
    chances, clicks = truth
    constant = np.full(ROWS, clicks.mean())
    facts = not_none(against_baseline({"bundle": "v1"}, constant, chances, log(clicks), "click"))
    assert facts["bundle"] == "v1"
    words = baseline_words("lr", facts)
    assert words.startswith("today's lr beats the bundle that it started from (valid logloss")
    assert "of version v1" in words
    turned = not_none(against_baseline({"bundle": "v1"}, chances, constant, log(clicks), "click"))
    assert "is worse than the bundle that it started from: serve that (" in baseline_words(
        "lr", turned
    )


def test_regression_is_judged_by_rmse_where_less_is_better(truth: Any) -> None:
    chances, _ = truth
    targets = chances.astype(np.float32) * 10
    far, near = targets + 1.0, targets + np.tile([0.1, -0.1], ROWS // 2)
    facts = not_none(against_baseline({"net": "fm"}, far, near, log(targets), "regression"))
    assert facts["figure"] == "rmse"
    assert facts["first"] == pytest.approx(1, rel=1e-6)
    assert facts["last"] == pytest.approx(0.1, rel=1e-5)
    assert "afm beats" in baseline_words("afm", facts)


def test_ranking_is_judged_by_gauc_where_more_is_better(truth: Any) -> None:
    chances, clicks = truth
    group = np.arange(ROWS) // 10
    facts = not_none(
        against_baseline({"net": "fm"}, -chances, chances, log(clicks, group), "ranking")
    )
    assert facts["figure"] == "gauc"
    assert facts["difference"] > 0
    assert "afm beats" in baseline_words("afm", facts)
    turned = not_none(
        against_baseline({"net": "fm"}, chances, -chances, log(clicks, group), "ranking")
    )
    assert "is worse" in baseline_words("afm", turned)


def test_weights_count(truth: Any) -> None:
    chances, clicks = truth
    weights = np.where(np.arange(ROWS) < ROWS // 2, 1, 0).astype(np.float32)
    half = ROWS // 2
    weighted = not_none(
        against_baseline({"net": "fm"}, 1 - chances, chances, log(clicks, None, weights), "click")
    )
    alone = not_none(
        against_baseline(
            {"net": "fm"}, (1 - chances)[:half], chances[:half], log(clicks[:half]), "click"
        )
    )
    assert weighted["first"] == pytest.approx(alone["first"])
    assert weighted["last"] == pytest.approx(alone["last"])


def test_a_figure_that_is_undefined_gives_no_verdict(truth: Any) -> None:
    chances, _ = truth
    same = np.zeros(ROWS, np.float32)
    groups = np.arange(ROWS)  # of one row each, within which nothing is ranked
    assert against_baseline({"net": "fm"}, chances, chances, log(same, groups), "ranking") is None
