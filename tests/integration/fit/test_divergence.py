"""Losses that are not finite: an epoch begins again with a smaller step."""

from typing import Any

import numpy as np
import pytest
import torch

from model.nets import NetSizes, build
from small_fits import F, V, examples, fitted, keep, valid_loss
from training.config import Step
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.watcher import Watcher


class Ruined(Watcher):
    """Makes the net's first `times` epochs end in losses that are not finite."""

    def __init__(self, net: Any, times: Any) -> None:
        self.net, self.times = net, times
        self.losses: list[tuple[int, float]] = []

    def batch(self, loss: Any) -> None:  # noqa: ARG002  a watcher's
        if self.times:
            with torch.no_grad():
                self.net.bias.fill_(float("nan"))

    def diverged(self, step: Any, number: Any, learning_rate: Any) -> None:  # noqa: ARG002  a watcher's
        self.times -= 1
        self.losses.append((number, learning_rate))


def ruined(times: Any) -> Any:
    torch.manual_seed(0)
    net = build("fm", V, range(F), NetSizes(embedding=3, init_std=0.3))
    watcher = Ruined(net, times)
    step = Step(epochs=6, batch=100, learning_rate=0.5, patience=3)
    epochs, _ = run_step("step", net, step, examples(), examples(seed=1), keep, watcher)
    return net, epochs, watcher


def test_an_epoch_that_is_not_finite_begins_again_with_a_smaller_step() -> None:
    net, epochs, watcher = ruined(1)
    assert watcher.losses == [(1, pytest.approx(0.05))]
    assert (epochs[0].number, epochs[0].diverged, epochs[0].best) == (1, 1, True)
    assert [epoch.diverged for epoch in epochs[1:]] == [0] * (len(epochs) - 1)
    assert np.isfinite(logits(net, examples())).all()


def test_a_step_that_never_is_finite_ends_as_it_began() -> None:
    net, epochs, watcher = ruined(9)
    assert epochs == []
    assert [number for number, _ in watcher.losses] == [1, 1]
    assert valid_loss(net) == pytest.approx(valid_loss(fitted(Step(epochs=0), "fm")[0]))


def test_a_finite_loss_is_a_gain_over_a_start_that_is_not() -> None:
    net = build("lr", V, range(F), NetSizes())
    rows = examples()
    rows.ids[rows.ids == 0] = 1

    def mended(net: Any) -> None:
        net.linear.data[0] = 0.0

    net.linear.data[0] = torch.inf  # of a value that training does not hold
    step = Step(epochs=2, batch=100, learning_rate=0.01)
    epochs, _ = run_step(
        "step", net, step, rows, examples(seed=1), keep, Watcher(), after_epoch=mended
    )
    assert epochs[0].best
    assert np.isfinite(logits(net, examples(seed=1))).all()
