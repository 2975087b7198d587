"""What each task's fit begins with, is fed and is judged by."""

from typing import Any

import numpy as np
import pytest
import torch

from model.encoding import Encoded
from model.metrics.metrics import metrics
from model.nets import NetSizes, build
from narrowing import not_none
from training.config import Step
from training.data.examples import Examples
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.objective import Objective
from training.fit.step.watcher import Watcher

V, F = 30, 4


def rows(count: Any = 600, seed: Any = 0, task: Any = "click", weights: Any = None) -> Any:
    """The labels follow a first-order effect of each value; groups of 1 to 11 rows."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (count, F))
    effect = np.random.default_rng(99).normal(size=V)[ids].sum(1)
    labels = effect if task == "regression" else rng.random(count) < 1 / (1 + np.exp(-effect))
    sizes = rng.integers(1, 12, count)
    groups = rng.permutation(np.repeat(np.arange(count), sizes)[:count])  # unsorted
    encoded = Encoded(ids, np.ones((count, F), np.float32))
    return Examples.of(encoded, labels.astype(np.float32), weights, groups)


def test_batches_of_groups_hold_every_row_once_and_never_cut_a_group() -> None:
    torch.manual_seed(0)
    examples = rows()
    batches = [fed.at for fed in examples.batches(50)]
    assert sorted(torch.cat(batches).tolist()) == list(range(600))
    for batch in batches:
        groups = examples.groups[batch]
        assert len(torch.unique_consecutive(groups)) == len(torch.unique(groups))
        elsewhere = torch.cat([other for other in batches if other is not batch])
        assert not torch.isin(examples.groups[elsewhere], groups).any()
    assert all(50 <= len(batch) < 50 + 11 for batch in batches[:-1])


def test_batches_of_groups_are_drawn_anew_each_time_and_by_the_seed() -> None:
    examples = rows()

    def first(seed: Any) -> Any:
        torch.manual_seed(seed)
        return [next(examples.batches(50)).at.tolist() for _ in range(2)]

    assert first(1) == first(1)
    assert first(1)[0] != first(1)[1]


def test_a_group_larger_than_a_batch_is_a_batch() -> None:
    encoded = Encoded(np.zeros((9, F), np.int64), np.ones((9, F), np.float32))
    examples = Examples.of(encoded, np.zeros(9, np.float32), None, np.repeat([0, 1], [2, 7]))
    assert sorted(len(fed.at) for fed in examples.batches(2)) == [2, 7]


@pytest.mark.parametrize(
    ("task", "expected"),
    [("click", np.log(0.3 / 0.7)), ("regression", 0.3), ("ranking", 0.0)],
)
def test_the_bias_begins_at_the_best_constant(task: str, expected: Any) -> None:
    encoded = Encoded(np.zeros((4, F), np.int64), np.ones((4, F), np.float32))
    weights = np.array([3, 2, 2, 3], np.float32)
    examples = Examples.of(encoded, np.array([1, 0, 0, 0], np.float32), weights)
    assert Objective(task).start(examples) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "ranking", "named"),
    [
        ("click", "pairwise", "logloss"),
        ("regression", "pairwise", "mean squared error"),
        ("ranking", "pairwise", "pairwise loss"),
        ("ranking", "listwise", "listwise loss"),
    ],
)
def test_fitting_lowers_the_criterion_on_rows_held_out(task: str, ranking: str, named: str) -> None:
    objective = Objective(task, ranking)
    assert objective.criterion == named
    torch.manual_seed(0)
    net, train, valid = build("lr", V, range(F), NetSizes()), rows(task=task), rows(300, 1, task)
    before = objective.judge(logits(net, valid), valid).loss
    step = Step(epochs=15, batch=64, learning_rate=0.05)
    epochs, _ = run_step("s", net, step, train, valid, lambda i: i, Watcher(), objective)
    judged = objective.judge(logits(net, valid), valid)
    assert judged.loss == min(epoch.valid_loss for epoch in epochs)
    assert judged.loss < before - 0.05
    assert (judged.auc is None) == (task == "regression")


def test_clicks_are_judged_after_the_correction_for_sampled_negatives() -> None:
    valid = rows(task="click")
    scores = np.linspace(-2, 2, 600, dtype=np.float32)
    weights = valid.weights.numpy()
    for rate in (1.0, 0.1):
        judged = Objective("click", log_rate=float(np.log(rate))).judge(scores, valid)
        chance = 1 / (1 + np.exp(-(scores.astype(float) + np.log(rate))))
        expected = metrics(valid.labels.numpy(), chance, weights)
        assert judged.loss == pytest.approx(expected["logloss"], rel=1e-9)
        assert judged.auc == pytest.approx(expected["auc"])


@pytest.mark.parametrize("ranking", ["pairwise", "listwise"])
def test_ranking_is_judged_within_groups_whatever_the_order_of_the_rows(ranking: str) -> None:
    objective, valid = Objective("ranking", ranking), rows(200)
    scores = np.random.default_rng(3).normal(size=200).astype(np.float32)
    order = np.random.default_rng(4).permutation(200)
    mixed = Examples(*(t[torch.from_numpy(order)] for t in vars(valid).values()))
    one, two = objective.judge(scores, valid), objective.judge(scores[order], mixed)
    assert one.loss == pytest.approx(two.loss, rel=1e-5)
    assert one.auc == pytest.approx(two.auc)
    grouped = metrics(valid.labels.numpy(), scores, None, valid.groups.numpy(), "ranking")
    assert one.auc == pytest.approx(grouped["gauc"])


@pytest.mark.parametrize("task", ["click", "regression"])
def test_what_each_row_adds_has_the_criterion_as_its_mean(task: str) -> None:
    weights = np.random.default_rng(3).random(600).astype(np.float32)
    some = rows(task=task, weights=weights)
    scores = np.random.default_rng(4).normal(size=600).astype(np.float32)
    objective = Objective(task, log_rate=np.log(0.3) if task == "click" else 0.0)
    each = not_none(objective.each_row(scores, some))
    found = np.average(each, weights=some.weights.numpy())
    assert found == pytest.approx(objective.judge(scores, some).loss, rel=1e-6)
    assert Objective("ranking").each_row(scores, some) is None
