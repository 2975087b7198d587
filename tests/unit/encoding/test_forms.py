"""The forms that a value may be written in, encoded by what a column of such values has taught."""

from typing import Any

import pytest

from model.encoding import Encoder
from model.errors import InputError
from model.schema import Schema
from model.values.ids import FIRST, MISSING, UNKNOWN
from model.vocabulary import Vocabulary, fit_vocabulary


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
