"""Groups of a log that is read in blocks: where they begin, and those that come again."""

import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import DataError
from training.stream.groups import GroupCells, Runs, RunsInOrder, Together, are_looked_at


def block(groups: list[int], path: str = "log.csv") -> GroupCells:
    cells = pl.Series("visit", [f"v{group}" for group in groups])
    return GroupCells(Path(path), cells, Runs.of(np.array(groups, np.int64)))


def add_all(groups: list[int], spans: list[tuple[int, int]]) -> None:
    together = Together("visit")
    for start, end in spans:
        together.add(block(groups[start:end]))


def first_again(groups: list[int]) -> int | None:
    """The row of the first group that comes again, by a set."""
    seen: set[int] = set()
    for row, group in enumerate(groups):
        if row == 0 or group != groups[row - 1]:
            if group in seen:
                return row
            seen.add(group)
    return None


@given(st.lists(st.integers(0, 60), max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_the_first_row_of_a_group_that_comes_again_is_found(
    groups: list[int], cuts: list[int]
) -> None:
    ends = sorted(min(cut, len(groups)) for cut in cuts)
    spans = list(zip([0, *ends], [*ends, len(groups)], strict=True))
    wanted = first_again(groups)
    if wanted is None:
        add_all(groups, spans)
        return
    with pytest.raises(DataError, match=rf"row {wanted + 1}: group 'v{groups[wanted]}' comes"):
        add_all(groups, spans)


def test_a_group_goes_on_in_the_next_file_and_does_not_come_again_in_the_third() -> None:
    together = Together("visit")
    together.add(block([1, 2], "a.csv"))
    together.add(block([2, 2, 3], "b.csv"))
    with pytest.raises(DataError, match=r"^c\.csv: column 'visit', row 2: group 'v2' comes again"):
        together.add(block([4, 2], "c.csv"))


def test_known_groups_take_eight_bytes_each_and_twice_that_for_a_moment() -> None:
    count, blocks = 1 << 20, 64
    together, numbers = Together("visit"), np.random.default_rng(1).permutation(count)
    cells = pl.Series("visit", [""])
    tracemalloc.start()
    for part in np.split(numbers, blocks):
        together.add(GroupCells(Path("log.csv"), cells, Runs(part, np.arange(len(part)))))
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 9 * count
    assert peak < 18 * count


def test_a_run_that_goes_on_begins_once() -> None:
    order = RunsInOrder()
    blocks = [[5, 5, 7], [7, 7], [], [7, 9], [4]]
    begun = [order.begun(Runs.of(np.array(groups, np.int64))) for groups in blocks]
    assert [runs.numbers.tolist() for runs in begun] == [[5, 7], [], [], [9], [4]]
    assert [runs.first.tolist() for runs in begun] == [[0, 2], [], [], [1], [0]]


def test_whole_groups_are_looked_at_and_about_as_many_rows_as_of_other_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.stream.groups.MOST_ROWS", 1000)
    group = np.repeat(np.arange(2500, dtype=np.int64), 4)
    looked = are_looked_at(group, "visit", len(group))
    assert (looked.reshape(-1, 4).sum(1) % 4 == 0).all()
    assert looked.sum() == pytest.approx(1000, rel=0.2)
    assert are_looked_at(group[:1000], "visit", 1000).all()
