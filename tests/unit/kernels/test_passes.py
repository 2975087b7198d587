"""A kernel's pass is autograd's over the plain net: the same loss, the same slopes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from model.nets import NetSizes, build
from model.pairs import pair_slots
from training.data.examples import Examples
from training.device import SEEDS
from training.fit.step.objective import Objective
from training.kernels import passes
from training.kernels.compiled import GROUP, LANES, WIDTH, can_compile
from training.kernels.lanes import draw_kept, seed_lanes
from training.kernels.passes import PlainPass, pass_of

pytestmark = pytest.mark.skipif(not can_compile(), reason="Numba cannot be imported")

NETS = ("afm", "afm+", "fm", "fwfm", "ffm")
ROWS = 30  # of the table
CLOSE = {torch.float64: 1e-8, torch.float32: 1e-5}  # of the largest slope by a parameter


def net_of(name: str, fields: Any, size: Any, hidden: Any, dtype: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    net = build(name, ROWS, fields, NetSizes(size, hidden, 0.5, ffm_embedding=size)).to(dtype)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net.train()


def rows_of(count: Any, fields: Any, dtype: Any, absent: Any = 0.3, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    shape = count, len(fields)
    values = torch.randn(shape).to(dtype) * (torch.rand(shape) >= absent)
    labels, weights = torch.randint(2, (count,)).to(dtype), torch.rand(count).to(dtype)
    return Examples(
        torch.randint(ROWS, shape), values, labels, weights, torch.arange(count).div(3).long()
    )


def slopes_of(
    net: Any, by_pass: Any, rows: Any, task: Any = "click", ranking: Any = "pairwise"
) -> Any:
    net.zero_grad()
    torch.manual_seed(3)  # dropout draws from here
    judged = Objective(task, ranking).judged(rows, torch.arange(len(rows)))
    loss = by_pass(rows.ids, rows.values, judged)
    found = {name: p.grad.to_dense().numpy().copy() for name, p in net.named_parameters()}
    return found | {"loss": np.float64(loss)}


def assert_alike(found: Any, wanted: Any, dtype: Any) -> None:
    assert found.keys() == wanted.keys()
    for name, slopes in wanted.items():
        close = CLOSE[dtype] * max(np.abs(slopes).max(), 0.1)
        np.testing.assert_allclose(found[name], slopes, rtol=0, atol=close, err_msg=name)


def assert_right(net: Any, rows: Any, dtype: Any, **how: Any) -> None:
    kernel = slopes_of(net, pass_of(net), rows, **how)
    assert_alike(kernel, slopes_of(net, PlainPass(net), rows, **how), dtype)


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=20)
@given(
    fields=st.lists(st.integers(0, 3), min_size=2, max_size=6).map(sorted),
    count=st.integers(1, 3 * LANES),
    size=st.integers(1, 17),
    hidden=st.integers(1, 17),
    absent=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    task=st.sampled_from(["click", "regression", "ranking"]),
    seed=st.integers(0, 99),
)
def test_pass_is_autograds_in_double_precision(
    name: str, fields: Any, count: Any, size: Any, hidden: Any, absent: Any, task: Any, seed: int
) -> None:
    net = net_of(name, fields, size, hidden, torch.float64, seed)
    rows = rows_of(count, fields, torch.float64, absent, seed)
    assert_right(net, rows, torch.float64, task=task)


@pytest.mark.parametrize("task", ["click", "regression", "ranking"])
@pytest.mark.parametrize("name", NETS)
def test_pass_is_autograds_in_single_precision(name: str, task: str) -> None:
    fields = [0, 1, 2, 2, 2, *range(3, 12)]
    net = net_of(name, fields, 16, 16, torch.float32)
    assert_right(net, rows_of(300, fields, torch.float32), torch.float32, task=task)


@pytest.mark.parametrize("name", NETS)
def test_pass_drops_the_same_elements_backward_as_forward(name: str) -> None:
    count, fields, size, rate = LANES - 4, [0, 1, 2, 2, 3, 4], 6, 0.4
    net = net_of(name, fields, size, 5, torch.float64)
    rows = rows_of(count, fields, torch.float64, absent=0)
    net.dropout.set_rate(rate)
    kernel = slopes_of(net, pass_of(net), rows)
    torch.manual_seed(3)
    net.dropout = Given(kept_of(net, count, size, net.dropout.threshold))
    assert_alike(kernel, slopes_of(net, PlainPass(net), rows), torch.float64)


class Given(nn.Module):
    """Dropout by a given draw."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept
        self.threshold = 1  # some are dropped

    def forward(self, x: Any) -> Any:
        return x * self.kept


def kept_of(net: Any, count: Any, size: Any, threshold: Any) -> Any:
    """What a kernel draws for one block of rows without an absent feature [P, B, K]."""
    pairs = len(pair_slots(len(net.slot_fields))[0])
    state, kept = np.zeros(WIDTH, np.uint32), np.zeros((8, WIDTH))
    seed_lanes(state, int(torch.randint(SEEDS, ())), 0)
    drawn = []
    for _ in range(0, pairs, GROUP):
        draw_kept(kept, state, threshold)
        drawn += [kept[:size, g * LANES : g * LANES + count].T.copy() for g in range(GROUP)]
    return torch.from_numpy(np.stack(drawn[:pairs]))


def test_dropout_keeps_the_share_it_should_of_every_place() -> None:
    state, kept = np.zeros(WIDTH, np.uint32), np.zeros((16, WIDTH), np.float32)
    total = np.zeros_like(kept)
    for seed in range(400):
        seed_lanes(state, seed, 0)
        draw_kept(kept, state, 64)
        total += kept
    # a mean of 400 draws of 0 or 4/3 has a deviation of .029
    assert np.abs(total / 400 - 1).max() < 0.029 * 6
    assert abs(total.mean() / 400 - 1) < 0.001


@pytest.mark.parametrize("name", NETS)
def test_slopes_are_the_same_to_the_bit_on_any_number_of_threads(name: str) -> None:
    fields = list(range(7))
    net, rows = net_of(name, fields, 8, 8, torch.float32), rows_of(500, fields, torch.float32)
    net.dropout.set_rate(0.3)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(slopes_of(net, pass_of(net), rows))
    finally:
        torch.set_num_threads(before)
    for name_, slopes in found[0].items():
        np.testing.assert_array_equal(slopes, found[1][name_])


@pytest.mark.parametrize("name", NETS)
def test_row_wise_slopes_are_the_tables_taken_apart(name: str) -> None:
    fields = list(range(5))
    net, rows = net_of(name, fields, 8, 8, torch.float64), rows_of(100, fields, torch.float64)
    whole = slopes_of(net, pass_of(net), rows)
    apart = slopes_of(net, pass_of(net, row_wise=True), rows)
    assert net.embedding.grad.is_sparse
    assert net.linear.grad.is_sparse
    assert_alike(apart, whole, torch.float64)


def test_parameters_that_are_kept_fixed_get_no_slope() -> None:
    fixed = NetSizes(4, 4, 0.5, field_scores=False, pair_scores=False)
    net: Any = build("afm+", ROWS, range(3), fixed).train()
    rows = rows_of(9, range(3), torch.float32)
    judged = Objective().judged(rows, torch.arange(9))
    pass_of(net)(rows.ids, rows.values, judged)
    assert net.field_weights.grad is not None
    for parameter in (net.h, net.field_scores, net.attention.weight):
        assert parameter.grad is None


def test_scores_that_are_not_finite_are_not_hidden() -> None:
    fields = list(range(3))
    net, rows = net_of("afm", fields, 4, 4, torch.float32), rows_of(9, fields, torch.float32, 0)
    with torch.no_grad():
        net.embedding[rows.ids[0, 0]] = torch.nan
    assert np.isnan(slopes_of(net, pass_of(net), rows)["loss"])


def test_the_plain_pass_is_taken_where_kernels_are_not_wanted_or_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in NETS:
        net = build(name, ROWS, [0, 1], NetSizes())
        assert not isinstance(pass_of(net), PlainPass)
        assert isinstance(pass_of(net, kernels=False), PlainPass)
        with monkeypatch.context() as patch:
            patch.setattr(passes, "can_compile", lambda: False)
            assert isinstance(pass_of(net), PlainPass)
    assert isinstance(pass_of(build("nfm", ROWS, [0, 1], NetSizes())), PlainPass)
