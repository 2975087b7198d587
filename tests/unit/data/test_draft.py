"""What a draft makes of columns of every sort."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.errors import DataError
from model.schema import CategoricalField, MultivalueField, NumericField, Schema
from training.data.read_log import read_log
from training.draft.column_names import name_words
from training.draft.draft_schema import draft_schema, write_draft

ROWS = 4000


def drafted(tmp_path: Path, rows: int = ROWS, suffix: str = ".csv", **columns: object) -> str:
    path = tmp_path / f"log{suffix}"
    clicks = (np.random.default_rng(99).random(rows) < 0.3).astype(int).tolist()
    frame = pl.DataFrame({"click": clicks, **columns}, strict=False)
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    return draft_schema(path, "click")


def field_of(
    tmp_path: Path, name: str, cells: object, rows: int = ROWS, suffix: str = ".csv"
) -> Any:
    text = drafted(
        tmp_path, rows, suffix, **{name: cells, "keep": ["x", "y", "z", "y"] * (rows // 4)}
    )
    return Schema.parse(text).fields.get(name)


def repeat(*values: object) -> list[object]:
    return [*values] * (ROWS // len(values)) + [*values][: ROWS % len(values)]


def integers(low: int, high: int, seed: int = 0) -> list[int]:
    found: list[int] = np.random.default_rng(seed).integers(low, high, ROWS).tolist()
    return found


def test_text_is_categorical(tmp_path: Path) -> None:
    assert isinstance(field_of(tmp_path, "device", repeat("ios", "web")), CategoricalField)


def test_few_whole_numbers_are_categorical(tmp_path: Path) -> None:
    assert isinstance(field_of(tmp_path, "hour", integers(0, 24)), CategoricalField)


def test_many_whole_numbers_that_count_something_are_numeric_by_quantiles(tmp_path: Path) -> None:
    field = field_of(tmp_path, "balance", integers(-500, 500))
    assert isinstance(field, NumericField)
    assert (field.transform, field.bins) == ("quantile", 32)


def test_fractions_are_numeric_though_nearly_every_row_has_its_own(tmp_path: Path) -> None:
    field = field_of(tmp_path, "score", np.random.default_rng(1).random(ROWS).tolist())
    assert isinstance(field, NumericField)


@pytest.mark.parametrize(
    "name", ["user_id", "userId", "userid", "query_id", "ad", "url_hash", "zip"]
)
def test_whole_numbers_with_the_name_of_an_id_are_categorical(tmp_path: Path, name: str) -> None:
    assert isinstance(field_of(tmp_path, name, integers(1, 900)), CategoricalField)


def test_numbers_too_large_for_a_float_are_categorical(tmp_path: Path) -> None:
    cells = [str(10710025208886284288 + n) for n in integers(0, 900)]
    assert isinstance(field_of(tmp_path, "target", cells), CategoricalField)


def test_codes_with_leading_zeros_are_categorical(tmp_path: Path) -> None:
    cells = [f"{n:05}" for n in integers(0, 900)]
    assert isinstance(field_of(tmp_path, "branch", cells), CategoricalField)


def test_numbers_with_blanks_among_them_are_numeric(tmp_path: Path) -> None:
    cells = [None if n % 5 == 0 else n for n in integers(0, 900)]
    text = drafted(tmp_path, age=cells)
    assert isinstance(Schema.parse(text).fields["age"], NumericField)
    assert "% missing; numbers from 1 to 899" in text


def test_numbers_with_words_among_them_are_categorical(tmp_path: Path) -> None:
    cells = [f"old {n % 3}" if n % 5 == 0 else n for n in integers(0, 900)]
    assert isinstance(field_of(tmp_path, "age", [str(c) for c in cells]), CategoricalField)


def test_a_short_log_has_no_bins_but_a_long_tail_its_logarithm(tmp_path: Path) -> None:
    even = np.random.default_rng(2).normal(size=200).tolist()
    tail = np.exp(np.random.default_rng(2).normal(size=200) * 3).tolist()
    assert field_of(tmp_path, "score", even, rows=200).transform == "standardise"
    assert field_of(tmp_path, "spend", tail, rows=200).transform == "log1p"


@pytest.mark.parametrize("separator", ["|", ";", ",", ", ", " | "])
def test_text_that_a_separator_cuts_into_few_values_is_multivalue(
    tmp_path: Path, separator: str
) -> None:
    rng = np.random.default_rng(3)
    names = ["art", "books", "cars", "food", "golf", "music"]
    cells = [
        separator.join(rng.choice(names, rng.integers(0, 5), replace=False)) for _ in range(ROWS)
    ]
    field = field_of(tmp_path, "interests", cells)
    assert isinstance(field, MultivalueField)
    assert (field.separator, field.max_values) == (separator, 4)


def test_lists_in_parquet_are_multivalue(tmp_path: Path) -> None:
    cells = repeat(["a", "b"], ["c"], None, ["a"], [])
    field = field_of(tmp_path, "tags", cells, suffix=".parquet")
    assert isinstance(field, MultivalueField)
    assert field.max_values == 2


def test_very_long_lists_are_cut_and_the_draft_says_so(tmp_path: Path) -> None:
    cells = ["|".join(map(str, range(n % 30))) for n in range(ROWS)]
    text = drafted(tmp_path, tags=cells)
    field = Schema.parse(text).fields["tags"]
    assert isinstance(field, MultivalueField)
    assert field.max_values == 8
    assert "up to 29 values in a cell, the first 8 of them used" in text


def test_names_with_a_comma_are_not_multivalue(tmp_path: Path) -> None:
    cities = [f"town {n}, region {n}" for n in range(40)]
    assert isinstance(field_of(tmp_path, "place", repeat(*cities)), CategoricalField)


def test_booleans_in_parquet_are_categorical(tmp_path: Path) -> None:
    field = field_of(tmp_path, "adult", repeat(True, False), suffix=".parquet")
    assert isinstance(field, CategoricalField)


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("version", ["1"] * ROWS, "the same in every row"),
        ("blank", [None] * ROWS, "the same in every row"),
        ("request", [f"r{n}" for n in range(ROWS)], "nearly every row has a value of its own"),
        ("event_id", list(range(ROWS)), "nearly every row has a value of its own"),
        (
            "timestamp",
            [f"2024-05-01 {n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}" for n in range(ROWS)],
            "if it is the time, name it by --time",
        ),
    ],
)
def test_a_column_that_tells_nothing_is_left_out_with_the_reason(
    tmp_path: Path, name: str, cells: Any, reason: str
) -> None:
    text = drafted(tmp_path, **{name: cells, "device": repeat("a", "b", "c")})
    assert list(Schema.parse(text).fields) == ["device"]
    comment = next(line for line in text.splitlines() if line.startswith(f'#   "{name}": '))
    assert reason in comment


def test_a_constant_with_blanks_is_kept_since_the_blank_may_tell_something(tmp_path: Path) -> None:
    assert field_of(tmp_path, "optin", repeat("yes", None)) is not None


def test_draft_makes_columns_of_the_ad_candidates_and_the_rest_context(tmp_path: Path) -> None:
    text = drafted(
        tmp_path, ad_id=repeat("a", "b"), bidPrice=integers(0, 99), device=repeat("x", "y", "z")
    )
    roles = {name: field.role for name, field in Schema.parse(text).fields.items()}
    assert roles == {"ad_id": "candidate", "bidPrice": "candidate", "device": "context"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("user_id", ["user", "id"]),
        ("userID", ["user", "id"]),
        ("adid", ["ad", "id"]),
        ("is_paid", ["is", "paid"]),
        ("C1-bannerPos", ["c", "1", "banner", "pos"]),
    ],
)
def test_names_are_read_in_words(name: str, words: list[str]) -> None:
    assert name_words(name) == words


def test_each_field_stands_with_what_was_seen_of_it(tmp_path: Path) -> None:
    text = drafted(tmp_path, device=repeat("ios", "web", None, "web"))
    assert "# 2 distinct, 25.0% missing; text\n[fields.device]" in text


def test_dropped_weight_group_and_time_columns_are_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    frame = {name: repeat("1", "2", "3") for name in ("a", "b", "w", "g", "t")}
    pl.DataFrame({"y": repeat(0, 1)} | frame).write_csv(path)
    text = draft_schema(path, "y", drop=["b"], weight="w", group="g", time="t")
    schema = Schema.parse(text)
    assert list(schema.fields) == ["a"]
    assert (schema.label, schema.weight, schema.group, schema.time) == ("y", "w", "g", "t")
    assert '#   "b": dropped as asked' in text


def test_names_that_need_quoting_survive(tmp_path: Path) -> None:
    odd = 'pri"ce\n# [x] é\x7f'
    columns: dict[str, Any] = {odd: repeat("a", "b", "c"), "same\nhere": [1] * ROWS}
    text = drafted(tmp_path, **columns)
    assert list(Schema.parse(text).fields) == [odd]


def test_a_drafted_schema_reads_its_own_log(tmp_path: Path) -> None:
    text = drafted(
        tmp_path, price=integers(0, 99), tags=repeat("a|b", "c", "a"), device=repeat("x", None)
    )
    log = read_log(tmp_path / "log.csv", Schema.parse(text))
    assert log.rows()[0]["tags"] == ["a", "b"]
    assert isinstance(log.rows()[0]["price"], float)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["bought", "no"],
            r"'click', row 1: a label must be 0 or 1 \(or yes and no, .* got 'bought'",
        ),
        (["1", "1"], "'click' has one class, both 0 and 1 are needed"),
        (["1", None], "row 2: a label must be 0 or 1"),
    ],
)
def test_a_label_that_is_no_click_is_refused(tmp_path: Path, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        drafted(tmp_path, click=repeat(*labels), device=repeat("x", "y"))


def test_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,a\n0,x\n1,x\n")
    with pytest.raises(DataError, match="no column 'Click'; there are 'click', 'a'"):
        draft_schema(path, "Click")
    with pytest.raises(DataError, match="no column 'nope'"):
        draft_schema(path, "click", drop=["nope"])
    with pytest.raises(DataError, match="no column 'when'"):
        draft_schema(path, "click", time="when")


def test_a_log_without_a_useful_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,a\n0,x\n1,x\n")
    with pytest.raises(DataError, match=r'no column is left .*"a": the same in every row'):
        draft_schema(path, "click")


def test_a_draft_is_written_once_and_says_what_it_left_out(tmp_path: Path) -> None:
    path, out = tmp_path / "log.csv", tmp_path / "schema.toml"
    pl.DataFrame({"click": [0, 1] * 9, "a": ["x", "y"] * 9, "b": [1] * 18}).write_csv(path)
    assert write_draft(path, "click", out) == '#   "b": the same in every row'
    assert list(Schema.load(out).fields) == ["a"]
    before = out.read_text()
    with pytest.raises(DataError, match=r"schema\.toml: exists already"):
        write_draft(path, "click", out, drop=["b"])
    assert out.read_text() == before


def test_a_draft_that_fails_writes_nothing(tmp_path: Path) -> None:
    path, out = tmp_path / "log.csv", tmp_path / "schema.toml"
    path.write_text("click,a\n0,x\n2,y\n")
    with pytest.raises(DataError):
        write_draft(path, "click", out)
    assert not out.exists()
    path.write_text("click,a\n0,x\n1,y\n0,x\n1,y\n")
    with pytest.raises(DataError, match="cannot write there"):
        write_draft(path, "click", tmp_path / "none" / "schema.toml")


def test_a_column_that_is_no_time_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,user\n" + "1,bob\n0,al\n" * 5)
    with pytest.raises(DataError, match="column 'user' is no time: it needs dates, times in ISO"):
        draft_schema(path, "click", time="user")
