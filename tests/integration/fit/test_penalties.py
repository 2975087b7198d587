"""Penalties and dropout: what each is on, and its scale."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.nets import NETS, NetSizes, build
from small_fits import F, V, examples, fitted, keep
from training.config import Step
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.watcher import Watcher
from training.kernels.optimisers import parameter_groups


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
