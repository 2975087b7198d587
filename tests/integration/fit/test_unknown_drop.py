"""A share of the known values is fed as unknown, so that the unknown row is trained."""

from typing import Any

import pytest
import torch

from model.nets import NetSizes, build
from small_fits import F, V, examples
from training.config import Step
from training.fit.step.loop import run_step
from training.fit.step.unknown_drop import UnknownDrop
from training.fit.step.watcher import Watcher


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
