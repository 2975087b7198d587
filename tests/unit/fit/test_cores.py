"""What a fit computes is the same, to the bit, on any number of cores."""

from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from training.cores import all_cores_an_operation, cores, one_core_an_operation
from training.fit.newton import logistic_factors


@pytest.fixture
def threads() -> Any:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_an_operation_has_one_thread_and_what_needs_them_has_all(threads: Any) -> None:
    threads(3)
    with one_core_an_operation():
        assert (torch.get_num_threads(), cores()) == (1, 3)
        with all_cores_an_operation():
            assert (torch.get_num_threads(), cores()) == (3, 3)
        with one_core_an_operation():
            assert (torch.get_num_threads(), cores()) == (1, 3)
        assert (torch.get_num_threads(), cores()) == (1, 3)
    assert (torch.get_num_threads(), cores()) == (3, 3)


def test_the_factor_of_a_logistic_regression_is_that_of_one_core() -> None:
    rng, rows = np.random.default_rng(1), 60_000
    design = rng.normal(size=(rows, 1))
    labels, weights = (rng.random(rows) < 0.3).astype(float), rng.random(rows)
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            found.append(logistic_factors(design, np.zeros(1), labels, weights).tolist())
    assert found == [found[0]] * 3
