"""The memory of tables: pages and prefetches change no number."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.kernels.compiled import can_compile, compiled, fetch_ahead
from training.kernels.row_adam import HUGE_PAGE, use_huge_pages

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def flags_of(address: int) -> list[str]:
    """Linux's flags of the mapping that holds the address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if "-" in first:
            start, end = (int(number, 16) for number in first.split("-"))
            inside = start <= address < end
        elif inside and first == "VmFlags:":
            return rest
    return []


@pytest.mark.skipif(not HUGE_PAGES.exists(), reason="this system has no huge pages")
def test_the_pages_within_a_tensor_are_advised_to_be_huge() -> None:
    tensor = torch.rand(4 * HUGE_PAGE // 4)
    before = tensor.clone()
    use_huge_pages(tensor)
    assert "hg" in flags_of(tensor.data_ptr() + HUGE_PAGE)
    assert torch.equal(tensor, before)


def test_a_tensor_that_covers_no_huge_page_is_left_alone() -> None:
    tensor = torch.rand(100)
    before = tensor.clone()
    use_huge_pages(tensor)
    use_huge_pages(torch.empty(0, 4))
    assert torch.equal(tensor, before)


@compiled
def sum_of_rows(table: Any, rows: Any) -> float:
    total = 0.0
    for n in range(len(rows)):
        if n + 1 < len(rows):
            fetch_ahead(table, rows[n + 1])
        total += table[rows[n], 0]
    return total


@pytest.mark.skipif(not can_compile(), reason="Numba cannot be imported")
def test_rows_that_are_fetched_ahead_are_read_as_they_are() -> None:
    table = np.arange(30.0).reshape(10, 3)
    assert sum_of_rows(table, np.array([9, 0, 4])) == 27 + 0 + 12
