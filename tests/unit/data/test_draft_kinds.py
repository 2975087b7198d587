"""The draft finds the kind of each of sixty drawn columns."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from drafts import comment, draft_of
from drawn_columns import (
    CATEGORICAL,
    CLICKS,
    DRAWN,
    EXPONENTIAL,
    LEFT_OUT,
    MOMENTS,
    MULTIVALUE,
    NORMAL,
    NUMERIC,
    TIMES,
    VERSIONS,
    form,
)
from model.schema import Schema
from training.data.read_log import read_log
from training.draft.draft_schema import draft_schema
from training.draft.whole_numbers import repeated_ids


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return draft_of(tmp_path_factory.mktemp("kinds"), {"click": CLICKS, **DRAWN})


@pytest.fixture(scope="module")
def schema(drafted: Any) -> Any:
    return drafted[2]


def test_there_are_sixty_columns_and_more() -> None:
    assert len(DRAWN) >= 60


@pytest.mark.parametrize("name", CATEGORICAL)
def test_column_that_names_something_is_categorical(schema: Any, name: str) -> None:
    assert (schema.fields[name].kind, schema.fields[name].as_text) == ("categorical", False)
    assert schema.fields[name].null_values == ()


@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_keeps_its_digits(schema: Any, name: str) -> None:
    assert (schema.fields[name].kind, schema.fields[name].as_text) == ("categorical", True)


@pytest.mark.parametrize("name", NUMERIC)
def test_column_that_counts_something_is_numeric(schema: Any, name: str) -> None:
    assert schema.fields[name].kind == "numeric"


@pytest.mark.parametrize("name", MULTIVALUE)
def test_lists_are_multivalue(schema: Any, name: str) -> None:
    assert (schema.fields[name].kind, schema.fields[name].max_values) == ("multivalue", 4)


@pytest.mark.parametrize("name", MOMENTS)
def test_a_moment_is_no_category_but_its_parts_are(schema: Any, name: str) -> None:
    assert name not in schema.fields
    parts = {field.part for field in schema.fields.values() if field.source == name}
    has_clock = name not in ("dotted", "compact", "date")
    assert parts == ({"hour", "weekday"} if has_clock else {"weekday"})


@pytest.mark.parametrize("name", LEFT_OUT)
def test_column_that_tells_nothing_or_too_much_is_left_out_with_the_reason(
    drafted: Any, name: str
) -> None:
    _, text, schema = drafted
    assert name not in schema.sources.values()
    line = next(line for line in text.splitlines() if line.startswith(f'#   "{name}": '))
    assert LEFT_OUT[name][1] in line


@pytest.mark.parametrize(
    ("name", "nulls"),
    [
        ("with_na", ("NA",)),
        ("with_null", ("NULL",)),
        ("with_sql_null", ("\\N",)),
        ("with_unlisted", ("not measured",)),
        ("with_999", ("-999",)),
    ],
)
def test_text_that_stands_for_null_among_numbers_is_named(
    drafted: Any, name: str, nulls: Any
) -> None:
    _, text, schema = drafted
    assert schema.fields[name].null_values == nulls
    assert f" % of values are numbers; the others: {nulls[0]}" in comment(text, name)


def test_the_reason_of_an_id_is_said(drafted: Any) -> None:
    _, text, _ = drafted
    assert "and no order in the label" in comment(text, "placement")
    assert "click rates that differ without following their order" in comment(text, "C14")


def test_the_draft_reads_its_log_and_every_number_is_the_one_written(drafted: Any) -> None:
    path, _, schema = drafted
    log = read_log(path, schema)
    assert log.columns["grouped"][:50] == EXPONENTIAL[:50].tolist()
    assert log.columns["comma_grouped"][:50] == EXPONENTIAL[:50].tolist()
    assert log.columns["comma"][:50] == pytest.approx(NORMAL[:50], abs=0.005)
    assert {None} < set(log.columns["with_na"])
    hours = schema.fields["code_hour"].own(log.columns["code"])
    assert hours == [time.hour for time in TIMES]
    days = schema.fields["slashed_weekday"].own(log.columns["slashed"])
    assert days == [time.isoweekday() for time in TIMES]
    assert "9.10" in log.columns["os_version"]


def test_a_time_named_as_such_gives_its_parts_too(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    columns = {"click": CLICKS, "ts": MOMENTS["iso"], "device": CATEGORICAL["device"]}
    pl.DataFrame(columns).write_csv(path)
    schema = Schema.parse(draft_schema(path, "click", time="ts"))
    assert list(schema.fields) == ["ts_hour", "ts_weekday", "device"]
    assert read_log(path, schema).time is not None


@pytest.mark.parametrize("pattern", ["%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d.%m.%Y"])
def test_a_time_of_any_form_that_the_draft_knows_is_read_as_the_moment(
    tmp_path: Path, pattern: str
) -> None:
    path = tmp_path / "log.csv"
    written = form(pattern)
    columns = {"click": CLICKS, "ts": written, "device": CATEGORICAL["device"]}
    pl.DataFrame(columns).write_csv(path)
    schema = Schema.parse(draft_schema(path, "click", time="ts"))
    assert schema.time_format == pattern
    moments = [datetime.strptime(t, pattern).replace(tzinfo=UTC).timestamp() for t in written]
    found = read_log(path, schema).time
    assert found is not None
    assert found.tolist() == moments


@pytest.mark.parametrize("name", ["unix", "C14", "grouped", "json", "iso", "price"])
def test_parquet_is_drafted_as_csv_is(tmp_path: Path, schema: Any, name: str) -> None:
    cells = TIMES if name == "iso" else DRAWN[name]
    path = tmp_path / "log.parquet"
    pl.DataFrame({"click": CLICKS, name: cells, "device": DRAWN["device"]}).write_parquet(path)
    found = Schema.parse(draft_schema(path, "click"))
    wanted = {n: f for n, f in schema.fields.items() if name in (n, f.source)}
    assert {n: f for n, f in found.fields.items() if n != "device"} == wanted


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_counter_that_is_mostly_0_is_a_number_though_its_amounts_hardly_come_again(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    amount = np.ceil(rng.gamma(2.0, 900, 20_000)) * (rng.random(20_000) < 0.07)
    chance = np.array([0.05, 0.02, 0.15, 0.5])[np.searchsorted([0.5, 900, 2500], amount)]
    clicks = (rng.random(20_000) < chance).astype(np.float64)
    assert repeated_ids(amount, clicks) is None
    named = np.where(amount > 0, rng.choice(40, 20_000) * 37 % 997, 0)  # few ids, mostly one
    rates = rng.random(997)
    clicks = (rng.random(20_000) < rates[named]).astype(np.float64)
    assert repeated_ids(named.astype(np.float64), clicks) is not None
