"""A log read by its schema, and cut in two."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.encoding import Encoder
from model.errors import DataError, SchemaError
from model.held_out import HeldOut
from model.schema import Schema
from model.values.ids import UNKNOWN
from model.vocabulary import fit_vocabulary
from narrowing import not_none
from training.columns.cells import Cells
from training.columns.learn import grown, learnt
from training.data.log import Log
from training.data.parts import require_contrast, sample, split, without_held_out
from training.data.read_log import read_log
from training.data.schema_text import schema_text

FIELDS = """
[fields.user]
kind = "categorical"
[fields.tags]
kind = "multivalue"
separator = ";"
[fields.price]
kind = "numeric"
"""
SCHEMA = Schema.parse('label = "click"\n' + FIELDS)
FULL = Schema.parse('label = "click"\nweight = "w"\ngroup = "g"\ntime = "t"\n' + FIELDS)
HEADER = "click,user,tags,price,w,g,t\n"


def written(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(header + "".join(line + "\n" for line in lines))
    return path


def test_a_csv_becomes_the_values_that_json_would_hold(tmp_path: Path) -> None:
    path = written(tmp_path, "1,10710025208886284288,a;b,3.5,,,", "0,,,,,,")
    log = read_log(path, SCHEMA)
    assert log.rows() == [
        {"user": "10710025208886284288", "tags": ["a", "b"], "price": 3.5},
        {"user": None, "tags": None, "price": None},
    ]
    assert log.labels.dtype == np.float32
    assert log.labels.tolist() == [1.0, 0.0]
    assert len(log) == 2
    assert (log.weights, log.group, log.time) == (None, None, None)


def test_parquet_and_csv_of_one_log_encode_alike(tmp_path: Path) -> None:
    csv = written(tmp_path, "1,21,a;b,3.5,,,", "0,7,c,,,,", "0,,,2,,,")
    parquet = tmp_path / "log.parquet"
    pl.DataFrame(
        {
            "click": [1, 0, 0],
            "user": [21, 7, None],
            "tags": [["a", "b"], ["c"], None],
            "price": [3.5, None, 2],
        }
    ).write_parquet(parquet)
    logs = read_log(csv, SCHEMA), read_log(parquet, SCHEMA)
    learnt = {n: fit_vocabulary(f, logs[0].columns[n]) for n, f in SCHEMA.fields.items()}
    text, typed = (Encoder(SCHEMA, learnt).encode_columns(log.columns, 3) for log in logs)
    assert text.ids.tolist() == typed.ids.tolist()
    assert text.values.tolist() == typed.values.tolist()


def test_rows_and_columns_encode_alike(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,u,a;b,3.5,,,", "0,u,,1,,,", "1,v,a,,,,"), SCHEMA)
    encoder = Encoder(
        SCHEMA, {n: fit_vocabulary(f, log.columns[n]) for n, f in SCHEMA.fields.items()}
    )
    columns, rows = encoder.encode_columns(log.columns, 3), encoder.encode(log.rows())
    assert columns.ids.tolist() == rows.ids.tolist()
    assert columns.values.tolist() == rows.values.tolist()
    assert columns.ids[2, 0] == encoder.offsets[0] + UNKNOWN  # v was seen once


def test_weight_group_and_time_are_read_by_the_schema(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,u,,1,0.5,x,30", "0,u,,1,2,y,10", "0,u,,1,0,x,20"), FULL)
    assert log.weights is not None
    assert log.group is not None
    assert log.time is not None
    assert log.weights.tolist() == [0.5, 2.0, 0.0]
    assert log.group[0] == log.group[2] != log.group[1]
    assert log.time.tolist() == [30.0, 10.0, 20.0]


def test_dates_of_different_zones_compare_as_moments(tmp_path: Path) -> None:
    moments = ["2024-05-01 12:00:00+02:00", "2024-05-01T11:00:00", "2024-05-01 13:00:00.5+00:00"]
    log = read_log(written(tmp_path, *(f"1,u,,1,1,x,{m}" for m in moments)), FULL)
    assert log.time is not None
    assert np.diff(log.time).tolist() == [3600.0, 7200.5]


def test_a_parquet_datetime_is_seconds_too(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    times = pl.Series(["2024-05-01 10:00:00", "2024-05-01 11:00:00"]).str.to_datetime()
    schema = Schema.parse('label = "click"\ntime = "t"\n[fields.a]\nkind = "categorical"\n')
    pl.DataFrame({"click": [0, 1], "a": ["x", "y"], "t": times}).write_parquet(path)
    log = read_log(path, schema)
    assert log.time is not None
    assert log.time.tolist() == [1714557600.0, 1714561200.0]


def test_a_log_to_be_scored_needs_no_label_weight_group_or_time(tmp_path: Path) -> None:
    path = written(tmp_path, "u,a,1", header="user,tags,price\n")
    log = read_log(path, FULL, labelled=False)
    assert log.rows() == [{"user": "u", "tags": ["a"], "price": 1.0}]
    assert len(log) == 1
    assert np.isnan(log.labels).all()
    with pytest.raises(DataError, match="no column 'click'"):
        read_log(path, FULL)


def test_a_field_without_a_column_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "1,u", header="click,user\n")
    with pytest.raises(DataError, match="no column 'tags'"):
        read_log(path, SCHEMA)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,u,a,high,1,x,1", r"column 'price', row 2: expected a finite number, got 'high'"),
        ("1,u,a,nan,1,x,1", r"column 'price', row 2: .* got 'nan'"),
        ("1,u,a,1e999,1,x,1", r"column 'price', row 2: .* got '1e999'"),
        ("1,u,a,1,-0.5,x,1", r"column 'w', row 2: a weight cannot be negative, got '-0\.5'"),
        ("1,u,a,1,nan,x,1", r"column 'w', row 2: expected a finite number"),
        ("1,u,a,1,,x,1", r"column 'w', row 2: a weight cannot be blank, got a blank cell"),
        ("1,u,a,1,1,,1", r"column 'g', row 2: a group cannot be blank"),
        ("1,u,a,1,1,x,", r"column 't', row 2: a time cannot be blank"),
        ("1,u,a,1,1,x,soon", r"column 't', row 2: expected a finite number, got 'soon'"),
        ("2,u,a,1,1,x,1", r"column 'click', row 2: a label must be 0 or 1 .* got '2'"),
    ],
)
def test_a_bad_cell_is_named_by_column_row_and_value(
    tmp_path: Path, line: str, message: str
) -> None:
    path = written(tmp_path, "0,u,a,1,1,x,1", line)
    with pytest.raises(DataError, match=message) as caught:
        read_log(path, FULL)
    assert "\n" not in str(caught.value)


def test_a_date_that_is_none_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "0,u,a,1,1,x,2024-05-01", "0,u,a,1,1,x,2024-99-01")
    with pytest.raises(DataError, match="row 2: a time must be a number or an ISO date"):
        read_log(path, FULL)


def test_times_are_read_by_the_schemas_form(tmp_path: Path) -> None:
    form = 'time = "t"\ntime_format = "%d/%m/%Y %H:%M"'
    schema = Schema.parse(schema_text(FULL).replace('time = "t"', form))
    path = written(tmp_path, "0,u,a,1,1,x,28/11/2026 09:30", "1,u,a,1,1,x,01/12/2026 00:00")
    assert not_none(read_log(path, schema).time).tolist() == [1795858200.0, 1796083200.0]
    path = written(tmp_path, "0,u,a,1,1,x,28/11/2026 09:30", "0,u,a,1,1,x,2026-11-28")
    with pytest.raises(DataError, match=r"'t', row 2: expected a time of the form %d/%m/%Y %H:%M"):
        read_log(path, schema)


def test_a_form_of_times_needs_a_time() -> None:
    with pytest.raises(SchemaError, match="time_format goes with a time"):
        Schema.parse('label = "click"\ntime_format = "%d/%m/%Y"\n' + FIELDS)


def test_weights_of_nothing_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "0,u,a,1,0,x,1", "1,u,a,1,0,x,1")
    with pytest.raises(DataError, match="weight 'w' is 0 in every row"):
        read_log(path, FULL)


def test_blanks_around_a_number_do_not_matter(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,u,a, 2.5 ,,,", "0,u,a,  ,,,"), SCHEMA)
    assert log.columns["price"] == [2.5, None]


@pytest.mark.parametrize(
    ("field", "cells", "message"),
    [
        ("user", [["a"], ["b"]], "'user' holds lists"),
        ("price", [True, False], "'price' holds Boolean, not numbers"),
        ("price", [[1.0], [2.0]], r"'price' holds List.* not numbers"),
        ("price", [1.0, float("inf")], "'price', row 2: expected a finite number, got inf"),
    ],
)
def test_a_parquet_column_that_its_field_cannot_hold_is_refused(
    tmp_path: Path, field: str, cells: Any, message: str
) -> None:
    columns = {"click": [0, 1], "user": ["u", "v"], "tags": ["a", "b"], "price": [1.0, 2.0]}
    path = tmp_path / "log.parquet"
    pl.DataFrame(columns | {field: cells}).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read_log(path, SCHEMA)


def test_taking_rows_keeps_everything_of_them_in_the_order_asked(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,a,,1,3,x,30", "0,b,,2,4,y,10", "0,c,,3,5,z,20"), FULL)
    taken = log.take(np.array([2, 0]))
    assert taken.columns["user"] == ["c", "a"]
    assert taken.columns["price"] == [3.0, 1.0]
    assert taken.labels.tolist() == [0.0, 1.0]
    assert taken.weights is not None
    assert taken.time is not None
    assert taken.group is not None
    assert taken.weights.tolist() == [5.0, 3.0]
    assert taken.time.tolist() == [20.0, 30.0]
    assert taken.group.tolist() == [not_none(log.group)[2], not_none(log.group)[0]]


def numbered(labels: Any, **more: Any) -> Log:
    labels = np.asarray(labels, dtype=np.float32)
    return Log({"row": list(range(len(labels)))}, labels, source="log.csv", **more)


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


def test_a_group_has_one_number_in_every_log(tmp_path: Path) -> None:
    one = read_log(written(tmp_path, "1,u,a,1,1,x,1", "0,u,a,1,1,7,1"), FULL)
    other = read_log(written(tmp_path, "1,u,a,1,1,7.0,1", "0,u,a,1,1,y,1"), FULL)
    assert not_none(one.group)[1] == not_none(other.group)[0]
    assert len({*not_none(one.group), *not_none(other.group)}) == 3


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


@pytest.mark.parametrize("cell", ["", '""', "  "])
def test_a_blank_group_is_refused_however_it_is_written(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, "0,u,a,1,1,x,1", f"1,u,a,1,1,{cell},1")
    with pytest.raises(DataError, match=r"column 'g', row 2: a group cannot be blank"):
        read_log(path, FULL)


def test_null_values_among_numbers_are_null_and_other_words_are_refused(tmp_path: Path) -> None:
    head = 'label = "click"\nnull_values = ["NA", "\\\\N", "-1"]\n'
    schema = Schema.parse(head + FIELDS)
    path = written(tmp_path, "1,NA,a;NA,-1.0,,,", "0,\\N,\\N,NA,,,", "0,-1,b, 2.50 ,,,")
    assert read_log(path, schema).rows() == [
        {"user": "NA", "tags": ["a"], "price": None},
        {"user": "\\N", "tags": [], "price": None},
        {"user": "-1", "tags": ["b"], "price": 2.5},
    ]
    with pytest.raises(DataError, match=r"column 'price', row 1: .* got '\?'"):
        read_log(written(tmp_path, "1,u,a,?,,,"), schema)


def test_texts_stay_as_they_are_and_lists_and_numbers_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "1, 1.50 ,[1 2],1e3,,,", "0,TRUE,['x'],.5,,,")
    assert read_log(path, SCHEMA).rows() == [
        {"user": " 1.50 ", "tags": ["1", "2"], "price": 1000.0},
        {"user": "TRUE", "tags": ["x"], "price": 0.5},
    ]


def test_a_column_of_moments_is_checked_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,ts\n1,2026-11-28 09:30\n0,\n1,1795901400\n0,soon\n")
    schema = Schema.parse(
        'label = "click"\n[fields.hour]\nkind = "numeric"\nsource = "ts"\npart = "hour"\n'
    )
    with pytest.raises(DataError, match=r"'ts', row 4: expected a moment, got 'soon'"):
        read_log(path, schema)


def test_a_field_with_buckets_learns_of_whole_columns_what_it_learns_of_rows() -> None:
    text = 'label = "c"\n[fields.f]\nkind = "categorical"\nbuckets = 8\nmin_count = 1\n'
    schema = Schema.parse(text)
    rows = ["a", "b", "a", None]
    expected = {"f": fit_vocabulary(schema.fields["f"], rows)}
    assert learnt(schema, {"f": Cells.of(pl.Series(rows))}) == expected
    assert grown(schema, expected, {"f": Cells.of(pl.Series(["new"]))}) == expected
