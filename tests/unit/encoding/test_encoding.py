"""Raw rows to ids and values: what each sort of value becomes, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoding import Encoder
from model.errors import InputError
from model.schema import Schema
from model.values.ids import ABSENT, FIRST, MISSING, UNKNOWN
from model.values.scales import Bins, Scaler
from model.vocabulary import FieldVocabulary, Vocabulary

SCHEMA = """
label = "click"
[fields.device]
kind = "categorical"
[fields.city]
kind = "categorical"
missing = "absent"
[fields.tags]
kind = "multivalue"
max_values = 3
[fields.price]
kind = "numeric"
role = "candidate"
missing = "absent"
[fields.age]
kind = "numeric"
transform = "quantile"
"""
VOCABULARIES: dict[str, FieldVocabulary] = {
    "device": Vocabulary(("ios", "7", "true")),
    "city": Vocabulary(("Kyiv",)),
    "tags": Vocabulary(("a", "b")),
    "price": Scaler(0.0, 100.0, 0.0, 10.0),
    "age": Bins((18.0, 40.0)),
}
DEVICE, CITY, TAGS, PRICE, AGE = 0, 6, 10, 15, 19  # first table row of each field


def encoder(strict: Any = False) -> Any:
    text = f"strict = true\n{SCHEMA}" if strict else SCHEMA
    return Encoder(Schema.parse(text), VOCABULARIES)


def one(**row: Any) -> Any:
    encoded = encoder().encode([row])
    return encoded.ids[0].tolist(), encoded.values[0].tolist(), encoded.unknown


def test_each_field_has_its_own_rows_of_the_table() -> None:
    built = encoder()
    assert built.offsets.tolist() == [DEVICE, CITY, TAGS, TAGS, TAGS, PRICE, AGE]
    assert built.rows == AGE + FIRST + 3


def test_ids_are_int64_and_values_float32() -> None:
    encoded = encoder().encode([{"device": "ios"}])
    assert encoded.ids.dtype == np.int64
    assert encoded.values.dtype == np.float32
    assert len(encoded) == 1


def test_a_known_value_gets_its_row() -> None:
    ids, values, unknown = one(device="ios")
    assert (ids[0], values[0]) == (DEVICE + FIRST, 1.0)
    assert not unknown


@pytest.mark.parametrize("value", ["7", 7, 7.0, "7.0"])
def test_forms_of_one_value_get_one_row(value: Any) -> None:
    assert one(device=value)[0][0] == DEVICE + FIRST + 1


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_booleans_are_values_and_not_numbers(value: Any) -> None:
    assert one(device=value)[0][0] == DEVICE + FIRST + 2


@pytest.mark.parametrize("value", ["never seen", 8, 1, False, "IOS", "\ud800", "x" * 10000])
def test_unknown_value_gets_the_unknown_row_and_is_counted(value: Any) -> None:
    ids, values, unknown = one(device=value)
    assert (ids[0], values[0]) == (DEVICE + UNKNOWN, 1.0)
    assert unknown == {"device": 1}


@pytest.mark.parametrize("row", [{"device": None}, {"device": ""}, {"age": 1}])
def test_missing_is_a_feature_of_its_own_where_the_schema_asks_for_a_token(row: Any) -> None:
    encoded = encoder().encode([row])
    assert (encoded.ids[0, 0], encoded.values[0, 0]) == (DEVICE + MISSING, 1.0)


def test_missing_is_no_feature_where_the_schema_says_absent() -> None:
    ids, values, _ = one(device="ios")
    assert (ids[1], values[1]) == (CITY + ABSENT, 0.0)
    assert (ids[5], values[5]) == (PRICE + ABSENT, 0.0)


def test_each_of_several_values_takes_a_slot_and_the_rest_stay_empty() -> None:
    ids, values, _ = one(tags=["b", "a"])
    assert ids[2:5] == [TAGS + FIRST + 1, TAGS + FIRST, TAGS + ABSENT]
    assert values[2:5] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("cell", ["b|a", ["b", None, "a"], ["b", "", "a"]])
def test_text_with_separators_is_what_its_list_is(cell: Any) -> None:
    assert one(tags=cell) == one(tags=["b", "a"])


@pytest.mark.parametrize("cell", [None, [], "", [None]])
def test_no_values_at_all_are_a_missing_value(cell: Any) -> None:
    ids, values, _ = one(device="ios", tags=cell)
    assert ids[2:5] == [TAGS + MISSING, TAGS + ABSENT, TAGS + ABSENT]
    assert values[2:5] == [1.0, 0.0, 0.0]


def test_unknown_values_of_a_list_are_counted_each() -> None:
    ids, _, unknown = one(tags=["x", "a", "y"])
    assert ids[2:5] == [TAGS + UNKNOWN, TAGS + FIRST, TAGS + UNKNOWN]
    assert unknown == {"tags": 2}


def test_a_list_that_is_too_long_is_cut() -> None:
    assert one(tags=["a", "b", "a", "b"]) == one(tags=["a", "b", "a"])


def test_a_list_that_is_too_long_is_an_error_under_a_strict_schema() -> None:
    with pytest.raises(InputError) as caught:
        encoder(strict=True).encode([{"tags": ["a"]}, {"tags": ["a", "b", "a", "b"]}])
    assert (caught.value.code, caught.value.row, caught.value.field) == (
        "too_many_values",
        1,
        "tags",
    )


def test_a_number_scales_its_one_row() -> None:
    ids, values, _ = one(price=25)
    assert (ids[5], values[5]) == (PRICE + FIRST, 2.5)


def test_a_quantile_number_picks_its_bin() -> None:
    assert [one(age=age)[0][6] for age in (3, 18, 99.5)] == [AGE + FIRST + n for n in range(3)]
    assert one(age=3)[1][6] == 1.0


@pytest.mark.parametrize("field", ["device", "tags", "price", "age"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        encoder().encode([{"device": "ios"}, {field: [value] if field == "tags" else value}])
    assert (caught.value.code, caught.value.row, caught.value.field) == ("not_finite", 1, field)


def test_an_integer_too_large_for_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        encoder().encode([{"price": 10**400}])


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("device", ["ios"], "expected a string, number or boolean, got a list"),
        ("device", {"a": 1}, "got an object"),
        ("tags", [["a"]], "got a list"),
        ("tags", {"a": 1}, "got an object"),
        ("price", "3,5", "expected a number, got a string"),
        ("price", True, "got a boolean"),
        ("age", [1], "got a list"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_row_and_field(
    field: str, value: Any, says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        encoder().encode([{"device": "ios"}, {"device": "ios", field: value}])
    assert (caught.value.code, caught.value.row, caught.value.field) == ("wrong_type", 1, field)


def test_errors_hold_no_value() -> None:
    with pytest.raises(InputError) as caught:
        encoder().encode([{"price": "secret"}])
    assert "secret" not in str(caught.value)


def test_a_row_without_any_known_field_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        encoder().encode([{"device": "ios"}, {"colour": "red"}])
    assert (caught.value.code, caught.value.row) == ("no_known_field", 1)


def test_extra_keys_are_ignored_and_counted() -> None:
    encoded = encoder().encode_request({"device": "ios", "x": 1}, [{"y": 2}, {"y": 3, "z": {}}])
    assert encoded.ignored == 3
    assert np.array_equal(encoded.ids[0], encoder().encode([{"device": "ios"}]).ids[0])


def test_a_candidates_value_wins_over_the_contexts_also_when_it_is_null() -> None:
    encoded = encoder().encode_request(
        {"device": "ios", "price": 10}, [{"price": 20}, {}, {"device": None}]
    )
    assert encoded.values[:, 5].tolist() == [2.0, 1.0, 1.0]
    assert encoded.ids[:, 0].tolist() == [DEVICE + FIRST, DEVICE + FIRST, DEVICE + MISSING]


def test_a_fault_of_the_context_names_no_row() -> None:
    with pytest.raises(InputError) as caught:
        encoder().encode_request({"device": [1]}, [{"price": 1}, {"price": 2}])
    assert (caught.value.row, caught.value.field) == (None, "device")


def test_an_unknown_value_of_the_context_is_counted_once() -> None:
    assert encoder().encode_request({"device": "?"}, [{}, {}, {}]).unknown == {"device": 1}


def test_texts_name_what_stands_in_each_slot() -> None:
    row = {"device": 7.0, "tags": "b|x", "price": None, "age": 30}
    assert encoder().texts(row) == ["7", None, "b", "x", None, None, "30"]


def test_slots_of_a_vocabulary_can_be_unknown_and_those_of_numbers_cannot() -> None:
    built = encoder()
    assert built.droppable.tolist() == [True, True, True, True, True, False, False]


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(-1e6, 1e6)
rows = st.lists(
    st.fixed_dictionaries(
        {"device": scalars},
        optional={
            "city": scalars,
            "tags": st.lists(st.sampled_from(["a", "b", "x", "7", None]), max_size=5),
            "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "age": st.none() | st.integers(-100, 200),
            "extra": scalars,
        },
    ),
    min_size=1,
    max_size=6,
)


@given(rows)
def test_every_id_stays_within_the_rows_of_its_field(drawn: Any) -> None:
    built = encoder()
    encoded = built.encode(drawn)
    ends = np.array([CITY, TAGS, PRICE, PRICE, PRICE, AGE, built.rows])
    assert (encoded.ids >= built.offsets).all()
    assert (encoded.ids < ends).all()
    assert np.isfinite(encoded.values).all()


@given(rows)
def test_rows_columns_and_candidates_are_encoded_alike(drawn: Any) -> None:
    built = encoder()
    by_rows = built.encode(drawn)
    columns = {name: [row.get(name) for row in drawn] for name in built.schema.fields}
    by_columns = built.encode_columns(columns, len(drawn))
    context = {"device": "ios", "city": "Kyiv"}
    by_request = built.encode_request(context, drawn)
    merged = built.encode([context | row for row in drawn])
    assert np.array_equal(by_rows.ids, by_columns.ids)
    assert np.array_equal(by_rows.values, by_columns.values)
    assert np.array_equal(by_request.ids, merged.ids)
    assert np.array_equal(by_request.values, merged.values)


@given(rows)
def test_a_row_that_went_through_json_is_encoded_alike(drawn: Any) -> None:
    built = encoder()
    through = built.encode(json.loads(json.dumps(drawn)))
    assert np.array_equal(built.encode(drawn).ids, through.ids)
    assert np.array_equal(built.encode(drawn).values, through.values)


@pytest.mark.parametrize("text", ["high", "1,5", "0x1", "1_000", "nan", "NA", "٣", "1 2"])
def test_a_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a number, got a string"):
        one(price=text)
    with pytest.raises(InputError, match="expected a number, got a string"):
        encoder().encode([{"price": 1.0}] * 20 + [{"price": text}])
