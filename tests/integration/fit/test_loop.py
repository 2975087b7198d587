"""The loop of a fit: the best epoch, the learning rate, the weights of rows, an interrupt."""

from typing import Any

import numpy as np
import pytest
import torch

from model.nets import NETS
from small_fits import examples, fitted, valid_loss
from training.config import Step
from training.data.examples import Examples
from training.fit.step.watcher import Epoch, Watcher


def test_fitting_lowers_the_loss_on_rows_held_out() -> None:
    untrained = valid_loss(fitted(Step(epochs=0))[0])
    assert valid_loss(fitted(Step(epochs=10, batch=64, learning_rate=0.05))[0]) < untrained - 0.05


def test_the_net_is_left_at_its_best_epoch() -> None:
    net, epochs, _ = fitted(Step(epochs=25, batch=32, learning_rate=0.3, patience=5))
    assert len(epochs) < 25, "the step must overshoot for this test to mean anything"
    best = min(epoch.valid_loss for epoch in epochs)
    assert valid_loss(net) == pytest.approx(best, abs=1e-5)
    assert [e.number for e in epochs if e.best][-1] == len(epochs) - 5


def test_a_step_never_ends_worse_than_it_began() -> None:
    net, epochs, _ = fitted(Step(epochs=3, batch=8, learning_rate=50.0))
    assert all(not epoch.best for epoch in epochs)
    assert valid_loss(net) == pytest.approx(valid_loss(fitted(Step(epochs=0))[0]))


def test_the_learning_rate_is_cut_after_an_epoch_without_gain() -> None:
    _, epochs, _ = fitted(Step(epochs=9, batch=8, learning_rate=50.0, patience=3, cut=0.1))
    assert [e.learning_rate for e in epochs] == pytest.approx([50.0, 5.0, 0.5])


@pytest.mark.parametrize("name", NETS)
def test_a_seed_gives_the_same_weights_bit_for_bit(name: Any) -> None:
    step = Step(epochs=2, batch=64, dropout=0.3)
    first, second = (fitted(step, name)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    rows = examples()
    twice = np.arange(400) < 200
    weighted = examples(weights=np.where(twice, 2.0, 1.0).astype(np.float32))
    order = np.concatenate([np.arange(400), np.flatnonzero(twice)])
    repeated = Examples(*(getattr(rows, n)[order] for n in ("ids", "values", "labels", "weights")))
    step = Step(epochs=20, batch=1000, learning_rate=0.05, patience=20)
    one, other, neither = (
        fitted(step, train=train)[0].linear for train in (weighted, repeated, rows)
    )
    # not equal: Adam makes a full step of a gradient that is all rounding
    assert (one - other).norm() < 0.1 * (one - neither).norm()


def test_weights_are_brought_to_mean_one() -> None:
    assert float(examples(weights=np.full(400, 7.0, np.float32)).weights.mean()) == pytest.approx(1)


def test_ctrl_c_keeps_the_best_epoch_so_far_and_says_so() -> None:
    class Impatient(Watcher):
        stopped_step = None

        def epoch(self, epoch: Epoch) -> None:
            if epoch.number == 2:
                raise KeyboardInterrupt

        def interrupted(self, step: str) -> None:
            self.stopped_step = step

    watcher = Impatient()
    net, epochs, interrupted = fitted(Step(epochs=9, batch=64, learning_rate=0.05), watcher=watcher)
    assert interrupted
    assert watcher.stopped_step == "step"
    assert len(epochs) == 2
    assert valid_loss(net) == pytest.approx(epochs[0].valid_loss, abs=1e-5)
