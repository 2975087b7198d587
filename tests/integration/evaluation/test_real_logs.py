"""Real logs, from the raw file through a drafted schema to what a net reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.encoding import Encoder
from model.schema import CategoricalField, Schema
from narrowing import of_class
from training.data.parts import split
from training.data.read_log import read_log
from training.draft.draft_schema import draft_schema
from training.fit.prepare import vocabularies_of

LOGS = {  # label, columns to drop, rows, clicks
    "kdd": ("click", ["impression"], 39_948, 0.168),
    "coupon": ("Y", [], 12_684, 0.568),
    "bank": ("y", ["duration"], 45_211, 0.117),
    "obd": ("click", [], 60_000, 0.0048),
}


def path_of(test_data: Path, name: str) -> Path:
    return test_data / name / f"{name}.csv.gz"


@pytest.mark.parametrize("name", LOGS)
def test_a_drafted_schema_takes_a_real_log_to_ids_and_values(test_data: Path, name: Any) -> None:
    label, drop, rows, clicks = LOGS[name]
    text = draft_schema(path_of(test_data, name), label, drop=drop)
    assert "LEAK" not in text
    schema = Schema.parse(text)
    log = read_log(path_of(test_data, name), schema)
    assert len(log) == rows
    assert log.labels.mean() == pytest.approx(clicks, abs=0.001)
    train, held = split(log, schema, share=0.2)
    assert len(held) == pytest.approx(0.2 * rows, rel=0.1)
    # a draw of whole rows by their hash: the click rate is that of a random part
    deviation = np.sqrt(clicks * (1 - clicks) / len(held))
    assert held.labels.mean() == pytest.approx(clicks, abs=4 * deviation)
    encoder = Encoder(schema, vocabularies_of(schema, train))
    encoded = encoder.encode_columns(held.columns, len(held))
    assert np.isfinite(encoded.values).all()
    assert encoded.ids.min() >= 0
    assert encoded.ids.max() < encoder.rows


def test_every_kdd_column_is_an_id_and_keeps_its_digits(test_data: Path) -> None:
    path = path_of(test_data, "kdd")
    schema = Schema.parse(draft_schema(path, "click", drop=["impression"]))
    assert {field.kind for field in schema.fields.values()} == {"categorical"}
    assert len(schema.fields) == 10
    assert "10710025208886284288" in read_log(path, schema).columns["url_hash"]


def test_coupon_is_readable_fields_less_the_constant(test_data: Path) -> None:
    text = draft_schema(path_of(test_data, "coupon"), "Y")
    schema = Schema.parse(text)
    assert len(schema.fields) == 24
    assert {field.kind for field in schema.fields.values()} == {"categorical"}
    assert '"toCoupon_GEQ5min": the same in every row' in text
    assert schema.fields["coupon"].role == "candidate"
    assert "99.1% missing" in text


def test_bank_has_numbers_where_numbers_are_amounts(test_data: Path) -> None:
    schema = Schema.parse(draft_schema(path_of(test_data, "bank"), "y", drop=["duration"]))
    numeric = {name for name, field in schema.fields.items() if field.kind == "numeric"}
    assert numeric == {"age", "balance", "campaign", "pdays", "previous"}


def test_a_timestamp_makes_a_split_by_time(test_data: Path) -> None:
    path = path_of(test_data, "obd")
    schema = Schema.parse(draft_schema(path, "click", time="timestamp"))
    train, held = split(read_log(path, schema), schema, share=0.1)
    assert train.time is not None
    assert held.time is not None
    assert not set(train.time) & set(held.time)  # rows of one time are on one side
    assert len(held) == pytest.approx(6_000, rel=0.1)


def test_bank_s_duration_is_no_leak_but_asked_about(test_data: Path) -> None:
    text = draft_schema(path_of(test_data, "bank"), "y")
    assert "LEAK" not in text
    above = text.partition("\n[fields.duration]")[0].rpartition("\n")[2]
    assert "alone it ranks the label with AUC 0.81: known before the click?" in above


def test_a_time_of_day_becomes_a_field_and_the_time_none(test_data: Path) -> None:
    schema = Schema.parse(draft_schema(path_of(test_data, "obd"), "click"))
    assert "timestamp" not in schema.fields
    assert of_class(CategoricalField, schema.fields["timestamp_hour"]).part == "hour"


def test_frappe_s_ids_are_categories_and_its_items_no_leak(test_data: Path) -> None:
    text = draft_schema(test_data / "frappe" / "train.csv.gz", "label")
    assert "LEAK" not in text
    assert {field.kind for field in Schema.parse(text).fields.values()} == {"categorical"}
