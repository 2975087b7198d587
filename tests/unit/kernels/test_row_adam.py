"""Lazy Adam: rows that are used move as Adam moves them, and no others."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.examples import Examples
from training.fit.step.unknown_drop import UnknownDrop, uses_of
from training.kernels import row_adam
from training.kernels.optimisers import shares_of
from training.kernels.row_adam import RowAdam

ROWS, WIDTH = 40, 5


def optimiser(table: Any, decay: Any = 0.0, share: Any = None, rate: Any = 0.01) -> Any:
    shares = torch.ones(len(table)) if share is None else share
    groups = [{"params": [table], "weight_decay": decay}]
    return RowAdam(groups, rate, {table: shares})


def table(dtype: Any = torch.float32) -> Any:
    torch.manual_seed(1)
    return torch.nn.Parameter(torch.randn(ROWS, WIDTH, dtype=dtype))


def sparse(ids: Any, slopes: Any) -> Any:
    return torch.sparse_coo_tensor(
        torch.tensor(ids)[None], slopes, (ROWS, WIDTH), check_invariants=True
    )


def test_every_row_used_at_every_step_is_adam() -> None:
    lazy, plain = table(), table()
    lazy_adam = optimiser(lazy, decay=0.1)
    plain_adam = torch.optim.Adam([plain], lr=0.01, weight_decay=0.1)
    for step in range(20):
        torch.manual_seed(step)
        slopes = torch.randn(ROWS, WIDTH)
        lazy.grad, plain.grad = sparse(range(ROWS), slopes), slopes
        lazy_adam.step()
        plain_adam.step()
    torch.testing.assert_close(lazy, plain, rtol=1e-5, atol=1e-6)


def test_rows_that_are_not_used_stay_to_the_bit() -> None:
    lazy = table()
    before, lazy_adam = lazy.detach().clone(), optimiser(lazy, decay=0.1)
    for _ in range(3):
        lazy.grad = sparse([3, 7, 3], torch.ones(3, WIDTH))
        lazy_adam.step()
    used = torch.zeros(ROWS, dtype=torch.bool)
    used[[3, 7]] = True
    assert torch.equal(lazy[~used], before[~used])
    assert not (lazy[used] == before[used]).any()


def test_a_row_whose_slopes_are_all_zero_is_not_used() -> None:
    lazy = table()
    before, lazy_adam = lazy.detach().clone(), optimiser(lazy, decay=0.1)
    lazy.grad = sparse([3, 7], torch.stack([torch.zeros(WIDTH), torch.ones(WIDTH)]))
    lazy_adam.step()
    assert torch.equal(lazy[3], before[3])
    assert not torch.equal(lazy[7], before[7])


def test_a_penalty_counts_for_the_steps_that_left_the_row_out() -> None:
    lazy, share = table(torch.float64), torch.full((ROWS,), 0.25)
    lazy_adam = optimiser(lazy, decay=0.1, share=share)
    wanted = 1.0 + 0.1 / 0.25 * lazy.detach()[2]
    lazy.grad = sparse([2], torch.ones(1, WIDTH, dtype=torch.float64))
    lazy_adam.step()
    torch.testing.assert_close(lazy_adam.state[lazy]["exp_avg"][2], 0.1 * wanted, rtol=1e-6, atol=0)


@settings(max_examples=20)
@given(st.lists(st.integers(0, ROWS - 1), max_size=60), st.integers(0, 99), st.integers(1, 3))
def test_kernel_and_torch_do_the_same(ids: Any, seed: int, threads: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.MonkeyPatch.context() as patch:
            found = [after_steps(ids, seed)]
            patch.setattr(row_adam, "can_compile", lambda: False)
            found.append(after_steps(ids, seed))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


def after_steps(ids: Any, seed: int) -> Any:
    lazy = table(torch.float64)
    lazy_adam = optimiser(lazy, decay=0.1, share=torch.full((ROWS,), 0.5))
    torch.manual_seed(seed)
    for _ in range(3):
        slopes = torch.randn(len(ids), WIDTH, dtype=torch.float64)
        lazy.grad = torch.sparse_coo_tensor(
            torch.tensor(ids, dtype=torch.int64)[None], slopes, (ROWS, WIDTH), check_invariants=True
        )
        lazy_adam.step()
    return lazy.detach()


def test_tables_that_are_used_alike_are_each_moved_as_if_alone() -> None:
    ids = torch.tensor([[7, 3, 7, 39, 3, 7, 0]])  # one memory for both, as a pass leaves it
    tables = [table(), table()]
    alone = [table(), table()]
    groups = [{"params": [each], "weight_decay": 0.1} for each in tables]
    both = RowAdam(groups, 0.01, dict.fromkeys(tables, torch.ones(ROWS)))
    each_alone = [optimiser(each, decay=0.1) for each in alone]
    torch.manual_seed(2)
    for _ in range(3):
        for one, other in zip(tables, alone, strict=True):
            slopes = torch.randn(ids.shape[1], WIDTH)
            for parameter, its, values in (
                (one, ids, slopes),
                (other, ids.clone(), slopes.clone()),
            ):
                parameter.grad = torch.sparse_coo_tensor(
                    its, values, (ROWS, WIDTH), check_invariants=False
                )
        both.step()
        for alone_adam in each_alone:
            alone_adam.step()
    for one, other in zip(tables, alone, strict=True):
        assert torch.equal(one, other)


def test_a_dense_slope_is_the_sparse_one_summed() -> None:
    lazy, dense = table(), table()
    lazy_adam, other = optimiser(lazy), optimiser(dense)
    lazy.grad = sparse([1, 1, 4], torch.ones(3, WIDTH))
    dense.grad = lazy.grad.to_dense()
    lazy_adam.step()
    other.step()
    torch.testing.assert_close(lazy, dense)


def test_a_state_that_was_kept_goes_on_to_the_bit() -> None:
    lazy = table()
    lazy_adam = optimiser(lazy, decay=0.1)
    lazy.grad = sparse([1, 2], torch.ones(2, WIDTH))
    lazy_adam.step()
    other = torch.nn.Parameter(lazy.detach().clone())
    resumed = optimiser(other, decay=0.1)
    resumed.load_state_dict(copy.deepcopy(lazy_adam.state_dict()))
    for parameter, its in ((lazy, lazy_adam), (other, resumed)):
        parameter.grad = sparse([2, 9], torch.ones(2, WIDTH))
        its.step()
    assert torch.equal(lazy, other)


def test_the_share_of_steps_is_what_random_batches_show() -> None:
    torch.manual_seed(0)
    ids = (torch.rand(4000, 2) ** 3 * 20).long()
    ids[:, 1] += 20
    values = torch.ones(4000, 2)
    values[::3, 1] = 0
    rows = Examples(ids, values, torch.zeros(4000), torch.ones(4000))
    drop = UnknownDrop(torch.tensor([0, 20]), torch.tensor([3, 23]), 0.1)
    share = shares_of(uses_of(rows, drop, 40), 4000, 16)
    used = torch.zeros(40)
    for _ in range(8):
        for _, some, x in rows.batches(16):
            fed = drop(some)[x != 0]
            used += torch.bincount(fed, minlength=40).clamp(max=1)
    # 2000 steps: a deviation of at most .011
    assert (used / 2000 - share)[share > 0.01].abs().max() < 0.05
