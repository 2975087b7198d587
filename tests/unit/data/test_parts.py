"""A log cut in parts: what is held out, a sample, and two logs joined."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.errors import DataError
from model.held_out import HeldOut
from model.schema import Schema
from narrowing import not_none
from numbered_log import numbered
from training.data.log import Log
from training.data.parts import require_contrast, sample, split, without_held_out


def plain_schema(**more: Any) -> Schema:
    head = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return Schema.parse(f'label = "click"\n{head}[fields.row]\nkind = "categorical"\n')


def drawn(rows: int, seed: int = 1, **more: Any) -> Log:
    """Rows that differ, half of them clicks."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=rows).astype(np.float32)
    columns = {"row": [f"r{value}" for value in rng.integers(10**9, size=rows)]}
    return Log(columns, labels, source="log.csv", **more)


def test_split_holds_out_about_the_share_and_loses_no_row() -> None:
    log = drawn(5000)
    train, held = split(log, plain_schema(), share=0.1)
    assert sorted([*train.columns["row"], *held.columns["row"]]) == sorted(log.columns["row"])
    assert 400 < len(held) < 600
    assert held.held_out == HeldOut(by="fields", columns=["row"], share=0.1)
    assert train.held_out is None


@pytest.mark.parametrize("by", ["fields", "group", "time"])
def test_split_only_grows_with_the_log(by: str) -> None:
    """What a shorter log held out, in another order, a longer one holds out as well."""
    groups: dict[str, Any] = {"group": np.arange(3000) // 3} if by == "group" else {}
    times: dict[str, Any] = {"time": np.arange(3000) / 7} if by == "time" else {}
    schema = plain_schema(**({} if by == "fields" else {by: by}))
    longer = drawn(3000, **groups, **times)
    order = np.random.default_rng(2).permutation(1200)
    first = split(longer.take(order), schema, share=0.1)
    second = split(longer, schema, share=0.1)
    held, trained = (set(part.columns["row"]) for part in (first[1], second[0]))
    assert len(held) > 60
    assert not held & trained
    assert second[1].held_out == first[1].held_out
    assert not_none(second[1].held_out).by == by
    assert len(second[1]) > len(held)


def test_split_keeps_copies_of_a_row_on_one_side_whatever_their_labels() -> None:
    once = drawn(500)
    twice = once.joined(replace(once, labels=1 - once.labels))
    train, held = split(twice, plain_schema(), share=0.2)
    assert not set(train.columns["row"]) & set(held.columns["row"])
    assert len(held) % 2 == 0


def test_split_takes_one_value_for_one_in_whatever_form_it_is_written() -> None:
    log = numbered([0, 1] * 200)
    other = replace(log, columns={"row": [f"{value}.0" for value in log.columns["row"]]})
    held, same = (split(one, plain_schema(), share=0.2)[1] for one in (log, other))
    assert [float(value) for value in same.columns["row"]] == held.columns["row"]


def test_split_never_cuts_a_time() -> None:
    time = np.repeat(np.arange(200.0), 5)
    train, held = split(drawn(1000, time=time), plain_schema(time="t"), share=0.1)
    assert not set(not_none(train.time)) & set(not_none(held.time))
    assert len(held) % 5 == 0


def test_split_never_cuts_a_group() -> None:
    group = np.repeat(np.arange(250), 4)
    train, held = split(drawn(1000, group=group), plain_schema(group="g"), share=0.2)
    assert not set(not_none(train.group)) & set(not_none(held.group))
    assert 120 < len(held) < 280


def test_split_of_few_rows_takes_more_of_them_and_says_so() -> None:
    """Of twelve rows the lowest tenth of all keys holds none, or all of one class."""
    for seed in range(20):
        train, held = split(drawn(24, seed), plain_schema(), share=0.1)
        assert {len(set(train.labels)), len(set(held.labels))} == {2}
        assert not_none(held.held_out).share in (0.1, 0.2, 0.4)


def test_split_without_both_classes_in_a_part_is_refused() -> None:
    log = numbered([0] * 8 + [0, 1], time=np.arange(10.0))
    with pytest.raises(DataError, match=r"log\.csv: the .* needs both classes"):
        split(log, plain_schema(time="t"), share=0.2)


@pytest.mark.parametrize("by", [{"time": np.ones(4)}, {"group": np.zeros(4, np.int64)}])
def test_split_of_what_cannot_be_cut_is_refused(by: Any) -> None:
    schema = plain_schema(**dict.fromkeys(by, "g"))
    with pytest.raises(DataError, match="4 rows cannot be split"):
        split(numbered([0, 1, 0, 1], **by), schema, share=0.1)


def test_rows_that_a_rule_holds_out_are_left_out_of_older_ones() -> None:
    log, schema = drawn(1000), plain_schema()
    rule = split(log, schema, share=0.1)[1].held_out
    left = without_held_out(log, schema, rule, None)
    assert left.columns == split(log, schema, share=0.1)[0].columns
    other = HeldOut(by="fields", columns=["another"], share=0.1)
    assert without_held_out(log, schema, other) is log


def test_labels_of_one_class_are_refused_and_of_two_are_not() -> None:
    require_contrast(numbered([0, 1]), "click")
    with pytest.raises(DataError, match=r"log\.csv: training needs both .* all labels are 1"):
        require_contrast(numbered([1, 1]), "click", "training")


def test_a_sample_is_seeded_and_keeps_the_logs_order() -> None:
    log = numbered([0, 1] * 100)
    drawn = sample(log, 30, seed=1)
    assert len(drawn) == 30
    rows = drawn.columns["row"]
    assert rows == sorted(set(rows))
    assert sample(log, 30, seed=1).columns == drawn.columns
    assert sample(log, 30, seed=2).columns != drawn.columns


def test_a_sample_of_more_rows_than_there_are_is_all_of_them() -> None:
    log = numbered([0, 1, 1])
    assert sample(log, 4, seed=1).columns == log.columns


def test_a_sample_never_cuts_a_group() -> None:
    group = np.repeat(np.arange(20), 5)
    drawn = sample(numbered([0, 1] * 50, group=group), 23, seed=1)
    assert len(drawn) == 20
    assert np.unique(not_none(drawn.group), return_counts=True)[1].tolist() == [5] * 4


def test_joined_logs_keep_their_rows_and_their_groups_apart() -> None:
    one = numbered([0, 1], group=np.array([0, 1]), weights=np.array([1, 2], np.float32))
    other = numbered([1, 1, 0], group=np.array([0, 0, 1]), weights=np.ones(3, np.float32))
    both = one.joined(other)
    assert both.columns["row"] == [*one.columns["row"], *other.columns["row"]]
    assert both.labels.tolist() == [0, 1, 1, 1, 0]
    assert not_none(both.weights).tolist() == [1, 2, 1, 1, 1]
    assert not_none(both.group).tolist() == [0, 1, 2, 2, 3]
    assert both.time is None
