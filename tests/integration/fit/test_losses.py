"""Losses against their definitions, written out in loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from narrowing import not_none
from training.fit.step import losses
from training.fit.step.losses import RANKING, listwise, logistic, pairwise, squared

RANKING_LOSSES = sorted(RANKING)


def drawn(seed: Any = 0, groups: Any = 9, grades: Any = 2, weighted: Any = True) -> Any:
    """Rows of groups of 1 to 7 rows; the first group has only one class."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, groups)
    group = np.repeat(np.arange(groups) * 3 + 5, sizes)
    labels = rng.integers(0, grades, len(group)).astype(np.float32)
    labels[group == 5] = 1.0
    weights = rng.integers(0, 4, len(group)) if weighted else np.ones(len(group))
    scores = rng.normal(size=len(group)).astype(np.float32)
    arrays = (scores, labels, weights.astype(np.float32), group)
    return tuple(map(torch.from_numpy, arrays))


def slow_pairwise(rows: Any) -> Any:
    total = mass = 0.0
    for _, y_i, w_i, s_i in rows:
        for _, y_j, w_j, s_j in rows:
            if y_i > y_j:
                total += w_i * w_j * math.log(1 + math.exp(s_j - s_i))
                mass += w_i * w_j
    return total / mass if mass else 0.0


def slow_listwise(rows: Any) -> Any:
    rows = [row for row in rows if row[2] > 0]
    if len({y for _, y, _, _ in rows}) < 2:
        return 0.0
    chances = [w * math.exp(s) for _, _, w, s in rows]
    shares = [w * (2**y - 1) for _, y, w, _ in rows]
    return -sum(
        share / sum(shares) * math.log(math.exp(s) / sum(chances))
        for share, (_, _, _, s) in zip(shares, rows, strict=True)
    )


SLOW = {"pairwise": slow_pairwise, "listwise": slow_listwise}


def slowly(name: Any, scores: Any, labels: Any, weights: Any, groups: Any) -> Any:
    arrays = (groups, labels, weights, scores)
    rows = list(zip(*(array.tolist() for array in arrays), strict=True))
    total = 0.0
    for group in dict.fromkeys(groups.tolist()):
        members = [row for row in rows if row[0] == group]
        total += sum(row[2] for row in members) * SLOW[name](members)
    return total / len(rows)


@pytest.mark.parametrize("name", RANKING_LOSSES)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("grades", [2, 4])
def test_a_ranking_loss_is_its_loop_over_groups_and_pairs(
    name: Any, seed: Any, grades: int
) -> None:
    given = drawn(seed, grades=grades)
    assert float(RANKING[name](*given)) == pytest.approx(slowly(name, *given), rel=1e-5)


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_a_weight_of_two_is_the_row_twice(name: Any) -> None:
    scores, labels, weights, groups = drawn(1)
    times = weights.long()
    repeated = [values.repeat_interleave(times) for values in (scores, labels, groups)]
    twice = RANKING[name](repeated[0], repeated[1], torch.ones(len(repeated[0])), repeated[2])
    assert float(RANKING[name](scores, labels, weights, groups)) * len(scores) == pytest.approx(
        float(twice) * int(times.sum()), rel=1e-5
    )


@pytest.mark.parametrize("name", RANKING_LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_groups_of_one_class_have_no_loss_and_no_gradient(name: Any, label: float) -> None:
    scores = torch.tensor([0.3, -2.0, 1.0, 4.0], requires_grad=True)
    groups = torch.tensor([1, 1, 1, 2])
    loss = RANKING[name](scores, torch.full((4,), label), torch.ones(4), groups)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(not_none(scores.grad), torch.zeros(4))


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_a_constant_added_to_a_group_changes_nothing(name: Any) -> None:
    scores, labels, weights, groups = drawn(2)
    moved = scores + groups.float()
    before, after = (float(RANKING[name](s, labels, weights, groups)) for s in (scores, moved))
    assert after == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_scores_far_apart_stay_finite_and_so_do_rows_without_weight(name: Any) -> None:
    scores = torch.tensor([300.0, -300.0, 0.0, 900.0], requires_grad=True)
    labels, weights = torch.tensor([0.0, 1, 0, 1]), torch.tensor([1.0, 1, 1, 0])
    loss = RANKING[name](scores, labels, weights, torch.zeros(4, dtype=torch.int64))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(not_none(scores.grad)).all()
    assert not_none(scores.grad)[3] == 0


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_a_ranking_loss_has_the_gradient_of_its_loop(name: Any) -> None:
    scores, labels, weights, groups = drawn(3)
    asked = scores.double().requires_grad_()
    RANKING[name](asked, labels.double(), weights.double(), groups).backward()
    step = 1e-4
    for at in range(0, len(scores), 5):
        ends = []
        for sign in (1, -1):
            moved = scores.double().clone()
            moved[at] += sign * step
            ends.append(slowly(name, moved, labels, weights, groups))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float(asked.grad[at]) == pytest.approx(slope, abs=1e-6)


def test_the_pairwise_loss_of_one_pair_is_ranknets() -> None:
    loss = pairwise(
        torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0]), torch.ones(2), torch.zeros(2)
    )
    assert float(loss) == pytest.approx(math.log(1 + math.exp(2.0)))


def test_the_listwise_loss_of_one_click_is_softmax_cross_entropy() -> None:
    scores = torch.tensor([0.2, 1.0, -1.0])
    loss = listwise(scores, torch.tensor([0.0, 1.0, 0.0]), torch.ones(3), torch.zeros(3))
    assert float(loss) == pytest.approx(
        float(functional.cross_entropy(scores[None], torch.tensor([1])))
    )


def test_the_pointwise_losses_follow_their_definitions() -> None:
    scores, labels, weights, _ = drawn(4)
    rows = list(zip(scores.tolist(), labels.tolist(), weights.tolist(), strict=True))
    entropy = sum(w * (math.log(1 + math.exp(s)) - y * s) for s, y, w in rows) / len(rows)
    squares = sum(w * (s - y) ** 2 for s, y, w in rows) / len(rows)
    assert float(logistic(scores, labels, weights)) == pytest.approx(entropy, rel=1e-5)
    assert float(squared(scores, labels, weights)) == pytest.approx(squares, rel=1e-5)


@pytest.mark.parametrize("name", ["logistic", "squared", *RANKING_LOSSES])
def test_the_loss_of_the_whole_is_the_mean_of_its_batches_by_rows(name: Any) -> None:
    """So l2 beside the mean loss is n * l2 beside the summed one, whatever the batches."""
    rows = drawn(5, groups=12)
    cut = int((rows[3] == rows[3][len(rows[3]) // 2]).nonzero()[0])  # where a group begins
    given = 4 if name in RANKING else 3
    loss = getattr(losses, name)
    whole = float(loss(*rows[:given])) * len(rows[0])
    parts = [tuple(values[part] for values in rows) for part in (slice(cut), slice(cut, None))]
    summed = sum(float(loss(*part[:given])) * len(part[0]) for part in parts)
    assert summed == pytest.approx(whole, rel=1e-5)
