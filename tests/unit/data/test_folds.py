"""Parts of a log to judge on: what they hold, and what they never share."""

from typing import Any

import numpy as np
import pytest

from model.errors import DataError
from model.schema import Schema
from numbered_log import numbered
from training.data.folds import folds, hold_out_test
from training.data.log import Log

SCHEMA = Schema.parse('label = "click"\n[fields.row]\nkind = "categorical"\n')


def rows(log: Any) -> Any:
    return list(log.columns["row"])


def test_folds_test_each_row_once_with_the_same_share_of_each_class() -> None:
    log = numbered([1] * 20 + [0] * 80)
    parts = list(folds(log, SCHEMA, 5, seed=1))
    assert sorted(row for _, test in parts for row in rows(test)) == list(range(100))
    for train, test in parts:
        assert sorted(rows(train) + rows(test)) == list(range(100))
        assert (len(test), test.labels.sum()) == (20, 4)
    again = list(folds(log, SCHEMA, 5, seed=1))
    assert [rows(test) for _, test in again] == [rows(test) for _, test in parts]
    assert rows(next(folds(log, SCHEMA, 5, seed=2))[1]) != rows(parts[0][1])


def test_folds_never_cut_a_group() -> None:
    group = np.repeat(np.arange(30), 4)
    log = numbered([0, 1] * 60, group=group)
    parts: list[Any] = list(folds(log, SCHEMA, 3, seed=1))
    assert sorted(row for _, test in parts for row in rows(test)) == list(range(120))
    for train, test in parts:
        assert not set(train.group) & set(test.group)
        assert len(test) == 40


def test_folds_roll_where_the_log_has_a_time() -> None:
    time = np.random.default_rng(1).permutation(np.repeat(np.arange(40.0), 3))
    log = numbered([0, 1] * 60, time=time)
    parts: list[Any] = list(folds(log, SCHEMA, 4, seed=1))
    assert [len(test) for _, test in parts] == [24] * 4
    assert [len(train) for train, _ in parts] == [24, 48, 72, 96]
    for train, test in parts:
        assert train.time.max() < test.time.min()
    assert max(test.time.max() for _, test in parts) == 39


def held_out(log: Log) -> Any:
    """The rows to train on, and the fifth that is tested on."""
    return hold_out_test(log, SCHEMA, 0.2, seed=1)


@pytest.mark.parametrize("more", [{}, {"group": np.repeat(np.arange(50), 4)}])
def test_a_test_part_is_a_share_of_the_log(more: Any) -> None:
    log = numbered([0, 1] * 100, **more)
    train, test = held_out(log)
    assert sorted(rows(train) + rows(test)) == list(range(200))
    assert len(test) == 40
    if more:
        assert not set(train.group) & set(test.group)


def test_a_test_part_is_the_latest_where_the_log_has_a_time() -> None:
    log = numbered([0, 1] * 50, time=np.arange(100.0) // 4)
    train, test = held_out(log)
    assert (len(test), test.time.min()) == (20, 20.0)
    assert train.time.max() == 19.0


def test_parts_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match=r"log\.csv: 2 rows cannot be cut"):
        list(folds(numbered([0, 1]), SCHEMA, 5, seed=1))
    with pytest.raises(DataError, match="the test part needs both classes"):
        hold_out_test(numbered([0, 1, 1, 1], time=np.arange(4.0)), SCHEMA, 0.5, seed=1)
    with pytest.raises(DataError, match="4 rows cannot be cut"):
        hold_out_test(numbered([0, 1, 0, 1], time=np.ones(4)), SCHEMA, 0.5, seed=1)
