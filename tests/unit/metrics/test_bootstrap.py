"""Intervals against the figures they belong to, and against worlds whose truth is known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from model.metrics.bootstrap import differences, intervals, percentiles, resample
from model.metrics.metrics import metrics
from model.metrics.ranked_rows import NAMES
from narrowing import not_none

GROUPED = {"gauc", "ndcg@10", "ndcg"}
DEFINED = {
    "click": set(NAMES) - {"mae", "r2"},
    "regression": {"rmse", "mae", "r2"},
    "ranking": GROUPED,
}


def world(rows: Any = 400, seed: int = 0) -> Any:
    """Calibrated probabilities, few enough distinct ones that many are equal."""
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(1, 40, rows) / 50
    return (rng.random(rows) < probabilities).astype(np.float64), probabilities


def separate(rows: Any = 400, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    probabilities = rng.random(rows)
    return (rng.random(rows) < probabilities).astype(np.float64), probabilities


@pytest.mark.parametrize("drawn_world", [world, separate])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("task", "defined"), DEFINED.items())
def test_the_whole_log_gets_the_very_figures_of_metrics(
    drawn_world: Any, weighted: bool, task: Any, defined: Any
) -> None:
    labels, probabilities = drawn_world()
    weights = np.random.default_rng(1).integers(0, 4, 400) if weighted else None
    groups = np.arange(400) // 7
    expected = metrics(labels, probabilities, weights, groups, task)
    whole = resample(labels, probabilities, weights, groups, task=task, resamples=1).whole
    assert whole.keys() == set(NAMES)
    assert {name for name, value in whole.items() if not np.isnan(value)} == defined
    for name in defined:
        assert whole[name] == pytest.approx(expected[name], abs=1e-12), name


def test_a_draw_of_groups_is_the_log_with_some_groups_repeated() -> None:
    labels, scores = world(rows=60)
    groups = np.repeat(np.arange(12), 5)
    drawn = resample(labels, scores, group=groups, task="ranking", resamples=3, seed=4).drawn
    rng = np.random.default_rng(4)
    for draw in range(3):
        chosen = rng.integers(0, 12, 12)
        rows = np.concatenate([np.arange(5) + 5 * group for group in chosen])
        apart = np.repeat(np.arange(12), 5)  # a group drawn twice stays two groups
        expected = metrics(labels[rows], scores[rows], None, apart, "ranking")
        for name in DEFINED["ranking"]:
            assert drawn[name][draw] == pytest.approx(expected[name], abs=1e-12), name


def test_a_draw_is_the_log_with_some_rows_repeated() -> None:
    labels, probabilities = world(rows=50)
    drawn = resample(labels, probabilities, resamples=3, seed=4).drawn
    rng = np.random.default_rng(4)
    for draw in range(3):
        rows = rng.integers(0, 50, 50)
        expected = metrics(labels[rows], probabilities[rows])
        for name in DEFINED["click"] - GROUPED:
            assert drawn[name][draw] == pytest.approx(expected[name], abs=1e-12), name


def test_the_same_seed_draws_the_same_rows_and_another_seed_others() -> None:
    labels, probabilities = world()
    one, two, other = (
        resample(labels, probabilities, resamples=20, seed=seed).drawn["auc"] for seed in (3, 3, 4)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    big_labels, big = separate(rows=400_000, seed=99)
    truth = metrics(big_labels, big)
    covered = dict.fromkeys(("auc", "pr_auc", "logloss", "rmse", "calibration_ratio"), 0)
    worlds = 60
    for seed in range(worlds):
        labels, probabilities = separate(rows=300, seed=seed)
        found = intervals(resample(labels, probabilities, resamples=200, seed=seed))
        for name in covered:
            low, high = not_none(found[name])
            covered[name] += low <= not_none(truth[name]) <= high
    # 95 % of 60 is 57; 51 or fewer has a chance of 1 in 100
    assert all(count >= 51 for count in covered.values()), covered
    assert any(count < worlds for count in covered.values()), "intervals that always cover"


def test_a_paired_interval_is_narrower_than_an_unpaired_one() -> None:
    labels, probabilities = separate(rows=2000)
    rng = np.random.default_rng(1)
    near = np.clip(probabilities + rng.normal(0, 0.05, 2000), 0.001, 0.999)
    first, second = (resample(labels, p, seed=1) for p in (probabilities, near))
    elsewhere = resample(labels, near, seed=2)

    def width(other: Any) -> Any:
        low, high = not_none(differences([first], [other])["logloss"]).interval
        return high - low

    assert width(second) < width(elsewhere) / 2


def test_a_difference_tells_a_worse_model_from_an_equal_one() -> None:
    labels, probabilities = separate(rows=2000)
    noise = np.random.default_rng(1).random(2000)
    good, bad = resample(labels, probabilities), resample(labels, noise)
    same = not_none(differences([good], [good])["auc"])
    assert (same.value, same.interval, same.significant) == (0.0, (0.0, 0.0), False)
    worse = not_none(differences([good], [bad])["auc"])
    assert worse.significant
    assert worse.interval[1] < 0
    measured = [not_none(metrics(labels, p)["auc"]) for p in (probabilities, noise)]
    assert worse.value == pytest.approx(measured[1] - measured[0])


def test_a_difference_of_seeds_is_that_of_their_means() -> None:
    labels, probabilities = separate(rows=500)
    rng = np.random.default_rng(1)
    seeds = [resample(labels, np.clip(probabilities + rng.normal(0, 0.1, 500), 0, 1)) for _ in "12"]
    base = resample(labels, probabilities)
    each = [not_none(differences([base], [one])["auc"]).value for one in seeds]
    assert not_none(differences([base], seeds)["auc"]).value == pytest.approx(np.mean(each))


def test_rows_of_one_group_are_drawn_together_and_widen_the_interval() -> None:
    labels, probabilities = separate(rows=100)
    labels, probabilities = np.repeat(labels, 20), np.repeat(probabilities, 20)
    group = np.repeat(np.arange(100), 20)

    def width(group: Any) -> Any:
        low, high = not_none(intervals(resample(labels, probabilities, group=group))["auc"])
        return high - low

    # 2000 rows that are 100: sqrt(20) = 4.5 times as unsure
    assert 3 < width(group) / width(None) < 6.5


def test_a_figure_that_is_undefined_has_no_interval() -> None:
    found = intervals(resample([0.0, 0.0, 0.0], [0.1, 0.2, 0.3]))
    assert found["auc"] is None
    assert found["calibration_ratio"] is None
    assert found["logloss"] is not None
    assert all(value is None for value in intervals(resample([], [])).values())
    numbers = intervals(resample([2.0, 3.0, 5.0], [2.0, 2.0, 4.0]))
    assert numbers["rmse"] is not None
    assert numbers["logloss"] is None


def test_a_figure_that_most_draws_leave_undefined_has_no_interval() -> None:
    nan = float("nan")
    assert percentiles(np.array([nan, nan, 1.0])) is None
    assert percentiles(np.array([nan, 1.0, 1.0])) == (1.0, 1.0)
    # one click in two rows: half of the draws have only one class, and are left out
    drawn = resample([1.0, 0.0], [0.7, 0.2], resamples=100).drawn["auc"]
    assert 0 < np.isnan(drawn).sum() < 100
    assert set(drawn[~np.isnan(drawn)]) == {1.0}


def logs(count: Any, rows: Any, scale: Any) -> Iterator[Any]:
    """Logs of chances, whose logits a model gets wrong by a factor; and that model's true ECE."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        logits = rng.normal(-1.5, 1.2, rows)
        labels = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.float64)
        yield labels, 1 / (1 + np.exp(-scale * logits))


def true_ece(scale: Any) -> Any:
    logits = np.sort(np.random.default_rng(6).normal(-1.5, 1.2, 600_000))
    chances, predicted = (1 / (1 + np.exp(-slope * logits)) for slope in (1, scale))
    return np.abs((predicted - chances).reshape(15, -1).mean(1)).mean()


@pytest.mark.parametrize("rows", [300, 3000])
@pytest.mark.parametrize("scale", [1.0, 1.3, 2.0])  # the first is calibrated, its ECE is 0
def test_the_interval_of_ece_holds_the_figure_and_covers_the_truth(scale: float, rows: int) -> None:
    truth, covered = true_ece(scale), 0
    for labels, predicted in logs(40, rows, scale):
        drawn = resample(labels, predicted)
        low, high = not_none(intervals(drawn)["ece"])
        assert 0 <= low <= drawn.whole["ece"] <= high
        covered += low <= truth <= high
    assert covered >= 34  # 95 % of 40 is 38; 33 or fewer has a chance of 1 in 100


def test_the_interval_of_a_difference_of_ece_holds_it_and_seldom_takes_equals_for_different() -> (
    None
):
    rng = np.random.default_rng(1)
    false = 0
    for labels, predicted in logs(60, 1000, 1.0):
        noisy = [np.clip(predicted * rng.uniform(0.8, 1.2, 1000), 0, 1) for _ in "12"]
        one, other = ([resample(labels, p)] for p in noisy)
        found = not_none(differences(one, other)["ece"])
        assert found.interval[0] <= found.value <= found.interval[1]
        false += found.significant
    assert false <= 6  # 5 % of 60 is 3; 7 or more has a chance of 3 in 100


def test_a_difference_of_ece_is_found_where_it_is_plain() -> None:
    labels, predicted = next(logs(1, 5000, 1.0))
    worse = resample(labels, predicted**2)
    found = not_none(differences([resample(labels, predicted)], [worse])["ece"])
    assert found.significant
    assert found.value > 0
