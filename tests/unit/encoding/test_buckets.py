"""Fields with buckets: one row for one value on both sides, whatever form the value comes in."""

import json
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoding import Encoder
from model.errors import BundleError, SchemaError
from model.schema import Schema
from model.values.buckets import bucket_of
from model.values.ids import FIRST, MISSING
from model.values.values import canonical
from model.vocabulary import Buckets, fit_vocabulary, from_bytes, grow_vocabulary, to_bytes

COUNT = 97
SCHEMA = Schema.parse(f"""
label = "click"
[fields.device]
kind = "categorical"
buckets = {COUNT}
null_values = ["-1"]
[fields.tags]
kind = "multivalue"
buckets = {COUNT}
max_values = 3
""")
ENCODER = Encoder(SCHEMA, {name: Buckets((), buckets=COUNT) for name in SCHEMA.fields})
scalars = st.one_of(
    st.text(max_size=8),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)


def row_of(value: Any) -> int:
    """By the rule as the page of the schema states it."""
    return FIRST + crc32(canonical(value).encode()) % COUNT


@pytest.mark.parametrize(
    ("value", "bucket"),
    [("123456789", 262), ("café", 637), ("cafe\u0301", 637), (21, 532), ("21.0", 532)],
)
def test_the_bucket_of_a_value_is_the_crc_of_its_text(value: Any, bucket: int) -> None:
    assert bucket_of(canonical(value), 1000) == bucket


@given(st.lists(scalars, min_size=1, max_size=20))
def test_requests_and_logs_give_a_value_one_row(values: list[Any]) -> None:
    rows = [{"device": value} for value in values]
    of_requests = [ENCODER.encode([row]).ids[0, 0] for row in rows]
    of_a_log = ENCODER.encode_columns({"device": values}, len(values)).ids[:, 0].tolist()
    expected = [MISSING if canonical(v) in ("", "-1") else row_of(v) for v in values]
    assert of_requests == of_a_log == expected


def test_members_of_a_list_have_a_row_each() -> None:
    encoded = ENCODER.encode([{"tags": ["a", 1.0, "b"]}, {"tags": "a|b"}, {"tags": []}])
    offset = FIRST + COUNT
    a, one, b = (offset + row_of(value) for value in ("a", 1, "b"))
    assert encoded.ids[:, 1:].tolist() == [
        [a, one, b],
        [a, b, offset],
        [offset + MISSING, offset, offset],
    ]
    assert encoded.unknown == {}


def test_buckets_keep_the_most_frequent_values_for_people() -> None:
    field = SCHEMA.fields["device"]
    column = [f"v{number % 1500}" for number in range(6000)] + ["often"] * 9
    learnt = fit_vocabulary(field, column)
    assert isinstance(learnt, Buckets)
    assert learnt.values[0] == "often"
    assert len(learnt.values) == 1000
    assert learnt.size == FIRST + COUNT
    assert grow_vocabulary(learnt, field, ["new"] * 10) is learnt
    assert from_bytes(to_bytes(learnt), "test") == learnt


@pytest.mark.parametrize("buckets", [0, -1, True, 1.5, "7", None, 1 << 40])
def test_a_number_of_buckets_that_is_none_is_refused(buckets: Any) -> None:
    data = json.dumps({"kind": "buckets", "values": [], "buckets": buckets}).encode()
    with pytest.raises(BundleError, match="not a vocabulary"):
        from_bytes(data, "test")


def test_a_schema_with_too_many_buckets_is_refused() -> None:
    text = 'label = "y"\n[fields.f]\nkind = "categorical"\nbuckets = 99999999999\n'
    with pytest.raises(SchemaError, match="buckets"):
        Schema.parse(text)


def test_a_schema_without_buckets_has_the_digest_that_it_had() -> None:
    schema = Schema.parse('label = "click"\n[fields.a]\nkind = "categorical"\n')
    assert "buckets" not in json.dumps(schema.model_dump(mode="json", exclude_defaults=True))


@pytest.mark.parametrize("buckets", [1 << 10, 1000, 997])
@pytest.mark.parametrize("form", ["{}", "user-{:09d}", "{:x}@example.com"])
def test_common_ids_spread_evenly(form: str, buckets: int) -> None:
    count = 50 * buckets
    rows = [bucket_of(form.format(number), buckets) for number in range(count)]
    held = np.bincount(rows, minlength=buckets)
    assert held.std() < 1.5 * np.sqrt(50)  # as of numbers at random, or more even
    assert held.max() < 2 * 50


def test_slots_of_buckets_have_no_unknown_value() -> None:
    assert ENCODER.droppable.tolist() == [False] * 4
