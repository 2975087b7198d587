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
from model.vocabulary import FieldVocabulary, Vocabulary, fit_vocabulary

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


def learnt_by(body: Any, **columns: Any) -> Any:
    """An encoder that learnt its fields from columns, each value often enough."""
    schema = Schema.parse(f'label = "click"\n{body}')
    sources = schema.sources
    return Encoder(
        schema, {n: fit_vocabulary(f, columns[sources[n]] * 2) for n, f in schema.fields.items()}
    )


def row_of(built: Any, value: Any, source: Any = "f") -> Any:
    encoded = built.encode([{source: value}])
    return encoded.ids[0].tolist(), encoded.values[0].tolist()


CATEGORICAL = '[fields.f]\nkind = "categorical"\n'


@pytest.mark.parametrize(
    ("learnt", "same"),
    [
        ([True, False], [True, "true", "True", "TRUE", "yes", "Yes", "YES", "t", "T", "y", "Y"]),
        (["TRUE", "FALSE"], [True, "true", "yes", "t"]),
        (["yes", "no"], ["yes", "Yes", True, "TRUE", "t"]),
        (["T", "F"], ["T", "t", True, "true", "yes"]),
        (["no", "unknown", "YES"], ["YES", "yes", True, "True"]),
    ],
)
def test_words_for_true_are_one_value_with_json_true(learnt: Any, same: Any) -> None:
    built = learnt_by(CATEGORICAL, f=learnt)
    rows = [row_of(built, value) for value in same]
    assert rows == [rows[0]] * len(same)
    assert rows[0][0] not in ([UNKNOWN], [MISSING])
    assert row_of(built, False) not in (rows[0], ([UNKNOWN], [1.0]))


def test_words_for_true_are_counted_as_one_value() -> None:
    learnt = learnt_by(CATEGORICAL, f=["yes", True, "TRUE", "no", "NO", "unknown"])
    assert learnt.rows == FIRST + 3


def test_letters_are_letters_where_the_field_has_others() -> None:
    built = learnt_by(CATEGORICAL, f=["a", "t", "f", "n"])
    assert row_of(built, True) == row_of(built, "y") == ([UNKNOWN], [1.0])
    assert len({tuple(row_of(built, letter)[0]) for letter in "atfn"}) == 4


def test_a_text_field_keeps_what_is_written() -> None:
    built = learnt_by(CATEGORICAL + "as_text = true\n", f=["9.1", "9.10", "TRUE", "1e+05"])
    assert len({tuple(row_of(built, text)[0]) for text in ("9.1", "9.10", "TRUE", "1e+05")}) == 4
    assert row_of(built, 9.1) == row_of(built, " 9.1 ") == row_of(built, "9.1")
    assert row_of(built, True) == row_of(built, 100000) == ([UNKNOWN], [1.0])


@pytest.mark.parametrize("value", ["NA", "?", " NA ", "-1", -1, -1.0, "", " ", None])
def test_null_values_are_null_in_every_form(value: Any) -> None:
    nulls = 'null_values = ["NA", "?", "-1"]\n'
    named = learnt_by(CATEGORICAL + nulls, f=["NA", -1, "a"])
    assert named.rows == FIRST + 1
    assert row_of(named, value) == ([MISSING], [1.0])
    number = learnt_by('[fields.f]\nkind = "numeric"\n' + nulls, f=["NA", -1, 5, 9.0])
    assert row_of(number, value) == ([MISSING], [1.0])
    assert row_of(number, -1.5) == ([FIRST], [-1.0])
    tags = learnt_by('[fields.f]\nkind = "multivalue"\nmax_values = 2\n' + nulls, f=[["a", "NA"]])
    assert row_of(tags, [value, "a", value]) == row_of(tags, ["a"])


@pytest.mark.parametrize("text", ["2.5", " 2.5", "+2.5", "25e-1", "02.50"])
def test_a_number_may_be_a_text(text: str) -> None:
    body = '[fields.f]\nkind = "numeric"\n[fields.g]\nkind = "numeric"\ntransform = "quantile"\n'
    built = learnt_by(body, f=[0, 5], g=[0, 2, 5])
    assert row_of(built, text, "g") == row_of(built, 2.5, "g")
    many = built.encode([{"f": text, "g": text}] * 20)  # by column
    assert many.ids[7].tolist() == built.encode([{"f": 2.5, "g": 2.5}]).ids[0].tolist()
    assert many.values[7].tolist() == built.encode([{"f": 2.5, "g": 2.5}]).values[0].tolist()


@pytest.mark.parametrize("text", ["high", "1,5", "0x1", "1_000", "nan", "NA", "٣", "1 2"])
def test_a_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a number, got a string"):
        one(price=text)
    with pytest.raises(InputError, match="expected a number, got a string"):
        encoder().encode([{"price": 1.0}] * 20 + [{"price": text}])


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-28T21:30:00Z",
        "2026-11-28 23:30:00.5+02:00",
        1795901400,
        1795901400000,
        "1795901400",
    ],
)
def test_parts_of_one_moment_are_fields_of_their_own(moment: Any) -> None:
    body = (
        '[fields.hour]\nkind = "categorical"\nsource = "ts"\npart = "hour"\n'
        '[fields.weekday]\nkind = "numeric"\nsource = "ts"\npart = "weekday"\ntransform = "none"\n'
    )
    built = learnt_by(body, ts=["2026-11-28T21:00:00Z", "2026-11-24T03:00:00Z"])
    encoded = built.encode([{"ts": moment}] * 2)
    assert encoded.ids[1].tolist() == built.encode([{"ts": "2026-11-28T21:00:00Z"}]).ids[0].tolist()
    assert encoded.values[1].tolist() == [1.0, 6.0]
    assert built.texts({"ts": moment}) == ["21", "6"]
    assert built.encode([{"ts": None}]).ids.tolist() == [[MISSING, built.offsets[1] + MISSING]]
    assert built.encode([{"ts": moment, "hour": 3}]).ignored == 1


def test_a_moment_may_have_a_form_of_its_own() -> None:
    body = '[fields.h]\nkind = "numeric"\nsource = "t"\npart = "hour"\nformat = "%y%m%d%H"\n'
    built = learnt_by(body + 'transform = "none"\n', t=[26110100, "26110123"])
    assert [row_of(built, v, "t")[1] for v in (26110107, "26110107", 26110107.0)] == [[7.0]] * 3
    said = "field 't': expected a time of the form %y%m%d%H, got a string that is none"
    with pytest.raises(InputError, match=said) as caught:
        row_of(built, "2026-11-01", "t")
    assert (caught.value.code, caught.value.field) == ("wrong_type", "t")
    with pytest.raises(InputError, match=r"%y%m%d%H, got a list"):
        row_of(built, [1], "t")


@pytest.mark.parametrize("value", ["soon", True, ["2026-11-28"], float("inf"), 1e30])
def test_text_that_is_no_moment_is_refused_by_its_field(value: Any) -> None:
    built = learnt_by(
        '[fields.hour]\nkind = "categorical"\nsource = "ts"\npart = "hour"\n', ts=["2026-11-28"]
    )
    with pytest.raises(
        InputError, match=r"field 'ts': expected a date, an ISO 8601 .* that is none"
    ) as caught:
        built.encode([{"ts": "2026-11-28"}, {"ts": value}])
    assert (caught.value.code, caught.value.row, caught.value.field) == ("wrong_type", 1, "ts")


def test_vocabularies_of_earlier_bundles_know_their_values_as_they_are() -> None:
    old = Vocabulary(("1.50", "FALSE", " a ", "2024-05-01 10:00:00", "NA", '["a"'))
    built = Encoder(Schema.parse('label = "click"\n' + CATEGORICAL), {"f": old})
    for number, value in enumerate(old.values):
        assert row_of(built, value) == ([FIRST + number], [1.0])
        column = built.encode_columns({"f": [value] * 20}, 20)
        assert column.ids.tolist() == [[FIRST + number]] * 20
