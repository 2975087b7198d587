"""The order of the pairs, which graphs and explanations share."""

from itertools import combinations

import numpy as np
import pytest

from model.pairs import pair_slots


@pytest.mark.parametrize("slots", [0, 1, 2, 3, 10, 39])
def test_pairs_come_in_the_order_of_combinations(slots: int) -> None:
    first, second = pair_slots(slots)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == list(
        combinations(range(slots), 2)
    )


def test_slots_are_int64_as_graphs_take_them() -> None:
    assert [part.dtype for part in pair_slots(4)] == [np.int64, np.int64]
