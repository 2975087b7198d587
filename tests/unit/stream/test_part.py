"""The summaries of blocks say of their rows what the rows say of themselves."""

import re
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.errors import DataError
from training.data.log import Log
from training.data.parts import require_contrast
from training.stream.part import Part

Floats = NDArray[np.float32]
Rows = list[tuple[int, int]]  # of each run: its rows, of which the last `n` are clicks


def of_runs(runs: Rows) -> tuple[Floats, NDArray[np.int64]]:
    group = np.repeat(np.arange(len(runs)), [rows for rows, _ in runs])
    labels = [at >= rows - clicks for rows, clicks in runs for at in range(rows)]
    return np.array(labels, np.float32), group.astype(np.int64)


def floats(*labels: float) -> Floats:
    return np.array(labels, np.float32)


runs = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 0, 4, 1])), min_size=1, max_size=6)


@given(runs, st.lists(st.integers(0, 24), max_size=5))
def test_parts_of_blocks_are_joined_to_the_part_of_all_rows(made: Rows, cuts: list[int]) -> None:
    labels, group = of_runs(made)
    ends = sorted(min(cut, len(labels)) for cut in cuts)
    spans = list(zip([0, *ends], [*ends, len(labels)], strict=True))
    blocks = [Part.of(labels[one:other], group[one:other]) for one, other in spans]
    whole = Part.of(labels, group)
    assert reduce(Part.joined, blocks) == whole
    assert reduce(lambda behind, block: block.joined(behind), reversed(blocks)) == whole


@given(runs)
def test_a_part_is_refused_where_its_rows_are(made: Rows) -> None:
    labels, group = of_runs(made)
    log, part = Log({}, labels, group=group), Part.of(labels, group)
    try:
        require_contrast(log, "ranking", "training")
    except DataError as error:
        with pytest.raises(DataError, match=f"^{re.escape(str(error))}$"):
            part.require_contrast("log", "ranking", "training")
    else:
        part.require_contrast("log", "ranking", "training")


def test_a_group_whose_labels_differ_only_over_the_end_of_a_block_has_contrast() -> None:
    one = Part.of(floats(1, 0, 0), np.array([3, 8, 8]))
    other = Part.of(floats(1, 0), np.array([8, 5]))
    assert not one.has_contrast
    assert not other.has_contrast
    one.joined(other).require_contrast("log", "ranking", "training")
    apart = one.joined(Part.of(floats(1, 0), np.array([9, 5])))
    with pytest.raises(DataError, match="training needs a group whose labels differ"):
        apart.require_contrast("log", "ranking", "training")


def test_a_part_without_groups_has_the_labels_of_both() -> None:
    joined = Part.of(floats(0, 0)).joined(Part()).joined(Part.of(floats(1)))
    assert (joined.rows, joined.low, joined.high) == (3, 0.0, 1.0)
    joined.require_contrast("log", "click", "training")
