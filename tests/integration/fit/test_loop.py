"""One step of a fit: the best epoch is kept, and each setting does what it says and no more."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.encoding import Encoded
from model.nets import NETS, NetSizes, build
from training.config import Step
from training.data.examples import Examples
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.unknown_drop import UnknownDrop
from training.fit.step.watcher import Epoch, Watcher
from training.kernels.optimisers import parameter_groups

V, F = 30, 4


def examples(rows: Any = 400, seed: Any = 0, weights: Any = None) -> Any:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (rows, F))
    effect = np.random.default_rng(99).normal(size=V)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-effect[ids].sum(1)))).astype(np.float32)
    return Examples.of(Encoded(ids, np.ones((rows, F), np.float32)), labels, weights)


def keep(ids: Any) -> Any:
    return ids


def fitted(step: Any, name: Any = "lr", train: Any = None, watcher: Any = None) -> Any:
    torch.manual_seed(0)
    net = build(name, V, range(F), NetSizes(embedding=3, attention=3, init_std=0.3))
    run = run_step(
        "step", net, step, train or examples(), examples(seed=1), keep, watcher or Watcher()
    )
    return net, *run


def valid_loss(net: Any) -> Any:
    valid = examples(seed=1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits(net, valid)), valid.labels
    )
    return float(loss)


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


@pytest.mark.parametrize(
    ("setting", "parameter"),
    [("l2_linear", "linear"), ("l2_embedding", "embedding"), ("l2_attention", "attention.weight")],
)
def test_each_penalty_shrinks_its_own_parameters_and_no_others(
    setting: str, parameter: str
) -> None:
    # two batches: the first moves the linear weights away from 0
    free = Step(epochs=1, batch=200, learning_rate=0.02, l2_embedding=0.0)
    bound = free.model_copy(update={setting: 100.0})
    before, after = (fitted(step, "afm")[0].state_dict() for step in (free, bound))
    kept = {name: float(after[name].norm() / before[name].norm()) for name in before}
    assert kept[parameter] < 0.97
    assert all(share > kept[parameter] + 0.01 for name, share in kept.items() if name != parameter)


@pytest.mark.parametrize(
    ("name", "penalties"),
    [
        ("lr", {"l2_linear": ["linear"]}),
        ("ffm", {"l2_linear": ["linear"], "l2_embedding": ["embedding"]}),
        (
            "nfm",
            {
                "l2_linear": ["linear"],
                "l2_embedding": ["embedding"],
                "l2_hidden": ["hidden.0.weight"],
            },
        ),
        (
            "afm+",
            {
                "l2_linear": ["linear"],
                "l2_embedding": ["embedding"],
                "l2_attention": ["attention.weight"],
            },
        ),
    ],
)
def test_each_net_names_what_each_penalty_is_on(name: str, penalties: Any) -> None:
    net = build(name, V, range(F), NetSizes())
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = {key: [names[id(p)] for p in given] for key, given in net.penalised().items()}
    assert found == penalties


@pytest.mark.parametrize("name", NETS)
def test_a_penalty_adds_its_squared_norm_to_the_mean_loss_and_so_n_of_it_to_a_summed_one(
    name: Any,
) -> None:
    torch.manual_seed(0)
    net, train = build(name, V, range(F), NetSizes(embedding=3, attention=3)), examples()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    given = dict.fromkeys(net.penalised(), 0.05)
    step = Step(l2_embedding=0.0).sized(400).model_copy(update=given)

    def loss(reduction: Any) -> Any:
        logit = net(train.ids, train.values)
        return functional.binary_cross_entropy_with_logits(logit, train.labels, reduction=reduction)

    squares = sum(p.square().sum() for parts in net.penalised().values() for p in parts)
    fitted_parameters = [p for p in net.parameters() if p.requires_grad]
    objective = loss("sum") + len(train) * 0.05 * squares
    expected = torch.autograd.grad(objective, fitted_parameters, allow_unused=True)
    before = [p.detach().clone() for p in fitted_parameters]
    # plain gradient descent of step 1: what it moves by is the gradient of what is minimised
    descent = torch.optim.SGD(parameter_groups(net, step), lr=1.0)
    loss("mean").backward()
    descent.step()
    for was, now, gradient in zip(before, fitted_parameters, expected, strict=True):
        moved = (was - now.detach()) * len(train)
        wanted = torch.zeros_like(moved) if gradient is None else gradient
        torch.testing.assert_close(moved, wanted, atol=1e-3, rtol=1e-4)


def test_nfms_layers_are_shrunk_by_their_own_penalty() -> None:
    free = Step(epochs=1, batch=200, learning_rate=0.02, l2_embedding=0.0)
    before, after = (
        fitted(free.model_copy(update={"l2_hidden": decay}), "nfm")[0].state_dict()
        for decay in (0.0, 100.0)
    )
    kept = {name: float(after[name].norm() / before[name].norm()) for name in before}
    assert min(kept, key=kept.__getitem__) == "hidden.0.weight"
    assert kept["hidden.0.weight"] < 0.97


@pytest.mark.parametrize("name", ["fm", "fwfm", "ffm", "nfm", "afm", "afm+"])
def test_dropout_is_on_in_training_and_off_in_scoring(name: str) -> None:
    torch.manual_seed(0)
    net = build(name, V, range(F), NetSizes(embedding=8, init_std=0.5))
    for dropout in net.dropouts().values():
        dropout.set_rate(0.5)
    rows = examples(50)
    once, twice = (net.train()(rows.ids, rows.values) for _ in range(2))
    assert not torch.equal(once, twice)
    assert np.array_equal(logits(net, rows), logits(net, rows))


def test_the_mean_loss_with_a_penalty_has_the_minimum_of_the_summed_loss_with_n_of_it() -> None:
    train, penalty = examples(), 0.01
    net = build("lr", V, range(F), NetSizes())
    last = {}

    def note(
        net: Any,
    ) -> None:  # the step itself leaves the net at the epoch that its valid rows chose
        last.update({name: p.detach().clone() for name, p in net.named_parameters()})

    step = Step(epochs=400, batch=400, learning_rate=0.05, l2_linear=penalty, patience=400, cut=1.0)
    run_step("step", net, step, train, train, keep, Watcher(), after_epoch=note)

    other = build("lr", V, range(F), NetSizes())
    descent = torch.optim.LBFGS(other.parameters(), max_iter=500, tolerance_grad=1e-7)

    def summed() -> Any:
        descent.zero_grad()
        logit = other(train.ids, train.values)
        loss = functional.binary_cross_entropy_with_logits(logit, train.labels, reduction="sum")
        total = loss + len(train) * penalty * other.linear.square().sum()
        total.backward()
        return total

    descent.step(summed)
    assert other.linear.abs().max() > 0.2, "a minimum at 0 would be that of any penalty"
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(last[name], parameter.detach(), atol=2e-3, rtol=0)


def test_ctrl_c_keeps_the_best_epoch_so_far_and_says_so() -> None:
    class Impatient(Watcher):
        told = None

        def epoch(self, epoch: Epoch) -> None:
            if epoch.number == 2:
                raise KeyboardInterrupt

        def interrupted(self, step: str) -> None:
            self.told = step

    watcher = Impatient()
    net, epochs, interrupted = fitted(Step(epochs=9, batch=64, learning_rate=0.05), watcher=watcher)
    assert interrupted
    assert watcher.told == "step"
    assert len(epochs) == 2
    assert valid_loss(net) == pytest.approx(epochs[0].valid_loss, abs=1e-5)


def test_a_share_of_the_known_values_is_fed_as_unknown_and_no_other() -> None:
    torch.manual_seed(0)
    unknown, first = (
        torch.tensor([2, 12]),
        torch.tensor([3, 99]),
    )  # the second slot has no vocabulary
    ids = torch.tensor([[3, 13], [7, 13], [1, 13], [0, 13]]).repeat(5000, 1)
    fed = UnknownDrop(unknown, first, rate=0.2)(ids)
    share = (fed[:, 0] == 2).double().reshape(-1, 4).mean(0).tolist()
    assert share == pytest.approx([0.2, 0.2, 0.0, 0.0], abs=0.02)
    assert torch.equal(fed[:, 1], ids[:, 1])
    kept = fed[:, 0] != 2
    assert torch.equal(fed[kept, 0], ids[kept, 0])


def test_the_unknown_row_is_trained() -> None:
    torch.manual_seed(0)
    net: Any = build("fm", V, range(F), NetSizes(embedding=3))
    before = net.embedding[2].detach().clone()
    drop = UnknownDrop(torch.full((F,), 2), torch.full((F,), 3), rate=0.1)
    run_step("s", net, Step(epochs=2, batch=64), examples(), examples(seed=1), drop, Watcher())
    assert not torch.equal(net.embedding[2], before)
    assert net.linear[2] != 0
