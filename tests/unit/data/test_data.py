"""A log read by its schema, and cut in two."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model.encoding import Encoder
from model.errors import DataError
from model.schema import Schema
from model.vocabulary import UNKNOWN, fit_vocabulary
from training.data.log import Log
from training.data.parts import require_contrast, sample, split
from training.data.read_log import read_log

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


def test_a_csv_becomes_the_values_that_json_would_hold(tmp_path):
    path = written(tmp_path, "1,10710025208886284288,a;b,3.5,,,", "0,,,,,,")
    log = read_log(path, SCHEMA)
    assert log.rows() == [
        {"user": "10710025208886284288", "tags": ["a", "b"], "price": 3.5},
        {"user": None, "tags": None, "price": None},
    ]
    assert log.labels.dtype == np.float32
    assert log.labels.tolist() == [1.0, 0.0]
    assert len(log) == 2
    assert log.weights is log.group is log.time is None


def test_parquet_and_csv_of_one_log_encode_alike(tmp_path):
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


def test_rows_and_columns_encode_alike(tmp_path):
    log = read_log(written(tmp_path, "1,u,a;b,3.5,,,", "0,u,,1,,,", "1,v,a,,,,"), SCHEMA)
    encoder = Encoder(
        SCHEMA, {n: fit_vocabulary(f, log.columns[n]) for n, f in SCHEMA.fields.items()}
    )
    columns, rows = encoder.encode_columns(log.columns, 3), encoder.encode(log.rows())
    assert columns.ids.tolist() == rows.ids.tolist()
    assert columns.values.tolist() == rows.values.tolist()
    assert columns.ids[2, 0] == encoder.offsets[0] + UNKNOWN  # v was seen once


def test_weight_group_and_time_are_read_by_the_schema(tmp_path):
    log = read_log(written(tmp_path, "1,u,,1,0.5,x,30", "0,u,,1,2,y,10", "0,u,,1,0,x,20"), FULL)
    assert log.weights is not None
    assert log.group is not None
    assert log.time is not None
    assert log.weights.tolist() == [0.5, 2.0, 0.0]
    assert log.group[0] == log.group[2] != log.group[1]
    assert log.time.tolist() == [30.0, 10.0, 20.0]


def test_dates_of_different_zones_compare_as_moments(tmp_path):
    moments = ["2024-05-01 12:00:00+02:00", "2024-05-01T11:00:00", "2024-05-01 13:00:00.5+00:00"]
    log = read_log(written(tmp_path, *(f"1,u,,1,1,x,{m}" for m in moments)), FULL)
    assert log.time is not None
    assert np.diff(log.time).tolist() == [3600.0, 7200.5]


def test_a_parquet_datetime_is_seconds_too(tmp_path):
    path = tmp_path / "log.parquet"
    times = pl.Series(["2024-05-01 10:00:00", "2024-05-01 11:00:00"]).str.to_datetime()
    schema = Schema.parse('label = "click"\ntime = "t"\n[fields.a]\nkind = "categorical"\n')
    pl.DataFrame({"click": [0, 1], "a": ["x", "y"], "t": times}).write_parquet(path)
    log = read_log(path, schema)
    assert log.time is not None
    assert log.time.tolist() == [1714557600.0, 1714561200.0]


def test_a_log_to_be_scored_needs_no_label_weight_group_or_time(tmp_path):
    path = written(tmp_path, "u,a,1", header="user,tags,price\n")
    log = read_log(path, FULL, labelled=False)
    assert log.rows() == [{"user": "u", "tags": ["a"], "price": 1.0}]
    assert len(log) == 1
    assert np.isnan(log.labels).all()
    with pytest.raises(DataError, match="no column 'click'"):
        read_log(path, FULL)


def test_a_field_without_a_column_is_named(tmp_path):
    path = written(tmp_path, "1,u", header="click,user\n")
    with pytest.raises(DataError, match="no column 'tags'"):
        read_log(path, SCHEMA)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,u,a,dear,1,x,1", r"column 'price', row 2: expected a finite number, got 'dear'"),
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
def test_a_bad_cell_is_named_by_column_row_and_value(tmp_path, line, message):
    path = written(tmp_path, "0,u,a,1,1,x,1", line)
    with pytest.raises(DataError, match=message) as caught:
        read_log(path, FULL)
    assert "\n" not in str(caught.value)


def test_a_date_that_is_none_is_named(tmp_path):
    path = written(tmp_path, "0,u,a,1,1,x,2024-05-01", "0,u,a,1,1,x,2024-99-01")
    with pytest.raises(DataError, match="row 2: a time must be a number or an ISO date"):
        read_log(path, FULL)


def test_weights_of_nothing_are_refused(tmp_path):
    path = written(tmp_path, "0,u,a,1,0,x,1", "1,u,a,1,0,x,1")
    with pytest.raises(DataError, match="weight 'w' is 0 in every row"):
        read_log(path, FULL)


def test_blanks_around_a_number_do_not_matter(tmp_path):
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
def test_a_parquet_column_that_its_field_cannot_hold_is_refused(tmp_path, field, cells, message):
    columns = {"click": [0, 1], "user": ["u", "v"], "tags": ["a", "b"], "price": [1.0, 2.0]}
    path = tmp_path / "log.parquet"
    pl.DataFrame(columns | {field: cells}).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read_log(path, SCHEMA)


def test_taking_rows_keeps_everything_of_them_in_the_order_asked(tmp_path):
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
    assert taken.group.tolist() == [2, 0]


def numbered(labels, **more) -> Log:
    labels = np.asarray(labels, dtype=np.float32)
    return Log({"row": list(range(len(labels)))}, labels, source="log.csv", **more)


def plain_schema(**more) -> Schema:
    head = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return Schema.parse(f'label = "click"\n{head}[fields.row]\nkind = "categorical"\n')


def test_a_random_split_holds_out_the_share_of_each_class_and_loses_no_row():
    log = numbered([1] * 20 + [0] * 180)
    train, held = split(log, plain_schema(), share=0.1, seed=3)
    assert sorted([*train.columns["row"], *held.columns["row"]]) == list(range(200))
    assert len(held) == 20
    assert held.labels.sum() == 2
    assert held.columns["row"] != list(range(len(held)))


def test_the_seed_decides_the_split():
    log = numbered([0, 1] * 100)
    held = [split(log, plain_schema(), share=0.2, seed=s)[1].columns["row"] for s in (1, 1, 2)]
    assert held[0] == held[1] != held[2]


def test_with_a_time_the_last_rows_are_held_out():
    time = np.array([5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 8.0, 7.0, 9.0, 10.0])
    log = numbered([0, 1] * 5, time=time)
    train, held = split(log, plain_schema(time="t"), share=0.3, seed=1)
    assert held.time is not None
    assert train.time is not None
    assert sorted(held.time) == [8.0, 9.0, 10.0]
    assert train.time.max() < held.time.min()


def test_rows_of_one_time_stay_together_nearest_to_the_share():
    log = numbered([0, 1] * 5, time=np.array([1.0] * 4 + [2.0] * 3 + [3.0] * 3))
    _, held = split(log, plain_schema(time="t"), share=0.4, seed=1)
    assert held.time is not None
    assert set(held.time) == {3.0}


def test_a_group_is_never_cut():
    group = np.repeat(np.arange(50), 4)
    train, held = split(
        numbered([0, 1] * 100, group=group), plain_schema(group="g"), share=0.2, seed=1
    )
    assert train.group is not None
    assert held.group is not None
    assert not set(train.group) & set(held.group)
    assert len(held) == 40


def test_a_split_without_both_classes_in_a_part_is_refused():
    log = numbered([0] * 8 + [1, 1], time=np.arange(10.0))
    with pytest.raises(DataError, match=r"log\.csv: the training part needs both classes"):
        split(log, plain_schema(time="t"), share=0.2, seed=1)


@pytest.mark.parametrize("time", [None, np.ones(4)])
def test_a_log_that_cannot_be_cut_is_refused(time):
    schema = plain_schema() if time is None else plain_schema(time="t")
    with pytest.raises(DataError, match="4 rows cannot be split"):
        split(numbered([0, 1, 0, 1], time=time), schema, share=0.1, seed=1)


def test_one_class_is_refused_and_two_are_not():
    require_contrast(numbered([0, 1]), "click")
    with pytest.raises(DataError, match=r"log\.csv: training needs both .* all labels are 1"):
        require_contrast(numbered([1, 1]), "click", "training")


def test_a_sample_is_seeded_and_keeps_the_logs_order():
    log = numbered([0, 1] * 100)
    drawn = sample(log, 30, seed=1)
    assert len(drawn) == 30
    rows = drawn.columns["row"]
    assert rows == sorted(set(rows))
    assert sample(log, 30, seed=1).columns == drawn.columns
    assert sample(log, 30, seed=2).columns != drawn.columns


def test_a_sample_of_more_rows_than_there_are_is_all_of_them():
    log = numbered([0, 1, 1])
    assert sample(log, 4, seed=1).columns == log.columns


def test_a_sample_never_cuts_a_group():
    group = np.repeat(np.arange(20), 5)
    drawn = sample(numbered([0, 1] * 50, group=group), 23, seed=1)
    assert len(drawn) == 20
    assert np.unique(drawn.group, return_counts=True)[1].tolist() == [5] * 4


def test_joined_logs_keep_their_rows_and_their_groups_apart():
    one = numbered([0, 1], group=np.array([0, 1]), weights=np.array([1, 2], np.float32))
    other = numbered([1, 1, 0], group=np.array([0, 0, 1]), weights=np.ones(3, np.float32))
    both = one.joined(other)
    assert both.columns["row"] == [*one.columns["row"], *other.columns["row"]]
    assert both.labels.tolist() == [0, 1, 1, 1, 0]
    assert both.weights.tolist() == [1, 2, 1, 1, 1]
    assert both.group.tolist() == [0, 1, 2, 2, 3]
    assert both.time is None


@pytest.mark.parametrize("cell", ["", '""', "  "])
def test_a_blank_group_is_refused_however_it_is_written(tmp_path, cell):
    path = written(tmp_path, "0,u,a,1,1,x,1", f"1,u,a,1,1,{cell},1")
    with pytest.raises(DataError, match=r"column 'g', row 2: a group cannot be blank"):
        read_log(path, FULL)


def test_null_values_among_numbers_are_null_and_other_words_are_refused(tmp_path):
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


def test_texts_stay_as_they_are_and_lists_and_numbers_are_read(tmp_path):
    path = written(tmp_path, "1, 1.50 ,[1 2],1e3,,,", "0,TRUE,['x'],.5,,,")
    assert read_log(path, SCHEMA).rows() == [
        {"user": " 1.50 ", "tags": ["1", "2"], "price": 1000.0},
        {"user": "TRUE", "tags": ["x"], "price": 0.5},
    ]


def test_a_column_of_moments_is_checked_when_it_is_read(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("click,ts\n1,2026-11-28 09:30\n0,\n1,1795901400\n0,soon\n")
    schema = Schema.parse(
        'label = "click"\n[fields.hour]\nkind = "numeric"\nsource = "ts"\npart = "hour"\n'
    )
    with pytest.raises(DataError, match=r"'ts', row 4: expected a moment, got 'soon'"):
        read_log(path, schema)
