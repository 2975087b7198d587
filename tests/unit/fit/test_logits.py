"""The logits of a net in training are the same, to the bit, on any number of cores."""

from typing import Any

import numpy as np
import pytest
import torch

from model.nets import NetSizes, build
from training.data.examples import Examples
from training.fit.step.logits import logits

FIELDS, VALUES, ROWS = 24, 500, 3000


@pytest.fixture
def threads() -> Any:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["fm", "fwfm", "nfm", "afm", "afm+"])
def test_logits_are_those_of_one_core_on_any_number_of_cores(name: str, threads: Any) -> None:
    torch.manual_seed(4)
    net = build(name, VALUES, list(range(FIELDS)), NetSizes(embedding=16, attention=16))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.5)
    ids = torch.randint(0, VALUES, (ROWS, FIELDS))
    rows = Examples(ids, torch.rand(ROWS, FIELDS), torch.zeros(ROWS), torch.ones(ROWS))
    found = []
    for count in (1, 2, 3, 8):
        threads(count)
        found.append(logits(net, rows))
        assert torch.get_num_threads() == count
    assert all(np.array_equal(one, found[0]) for one in found)
