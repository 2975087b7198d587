"""Request bodies: both forms, and for everything else the right complaint."""

import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import InputError
from service.errors import MalformedBody, TooManyRows
from service.limits import InputLimits
from service.scoring.payloads import PayloadDecoder
from service.scoring.unread_rows import UnreadRows

predict = PayloadDecoder(most_rows=100)
explain = PayloadDecoder(most_rows=100, explain=True)


def fault(body: Any, decoder: Any = predict) -> Any:
    raw = body if isinstance(body, bytes) else body.encode()
    with pytest.raises(InputError) as caught:
        list(decoder.decode(raw).rows)  # they are read when somebody looks at them
    return caught.value.code, caught.value.row, caught.value.field


def test_instances_are_rows_without_a_context() -> None:
    asked = predict.decode(b'{"instances": [{"device": "ios", "hour": 21}, {"genres": ["a"]}]}')
    assert asked.context == {}
    assert list(asked.rows) == [{"device": "ios", "hour": 21}, {"genres": ["a"]}]
    assert asked.timeout_ms is None


def test_candidates_are_rows_with_a_context() -> None:
    asked = predict.decode(b'{"context": {"hour": 21}, "candidates": [{"ad": "a"}, {}]}')
    assert asked.context == {"hour": 21}
    assert list(asked.rows) == asked.rows[:] == [{"ad": "a"}, {}]
    assert isinstance(asked.rows, UnreadRows)
    assert asked.rows.raws() == [b'{"ad": "a"}', b"{}"]


def test_values_keep_their_json_types() -> None:
    asked = predict.decode(b'{"instances": [{"a": "1", "b": 1, "c": 1.0, "d": true, "e": null}]}')
    assert [type(value) for value in asked.rows[0].values()] == [str, int, float, bool, type(None)]


@pytest.mark.parametrize(("text", "timeout"), [("50", 50), ("0.5", 0.5), ("null", None)])
def test_a_timeout_may_come_with_either_form(text: str, timeout: Any) -> None:
    assert (
        predict.decode(b'{"instances":[{}],"timeout_ms":%s}' % text.encode()).timeout_ms == timeout
    )


@pytest.mark.parametrize(("text", "top"), [("5", 5), ("0", 0), ("null", None)])
def test_top_is_read_for_explanations(text: str, top: int | None) -> None:
    assert explain.decode(b'{"instances":[{}],"top":%s}' % text.encode()).top == top


def test_top_is_20_when_it_is_not_given() -> None:
    assert explain.decode(b'{"instances":[{}]}').top == 20


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"instances": []}', "empty_instances"),
        ('{"context": {"a": 1}, "candidates": []}', "empty_candidates"),
        ('{"instances": [{}], "context": {}, "candidates": [{}]}', "both_forms"),
        ('{"instances": [{}], "context": {}}', "both_forms"),
        ('{"instances": [{}], "candidates": [{}]}', "both_forms"),
        ("{}", "no_form"),
        ('{"timeout_ms": 5}', "no_form"),
        ('{"context": {"a": 1}}', "no_candidates"),
        ('{"candidates": [{"a": 1}]}', "no_context"),
        ("[]", "not_an_object"),
        ('"text"', "not_an_object"),
        ("null", "not_an_object"),
        ("7", "not_an_object"),
        ('{"instances": {"a": 1}}', "not_a_list_of_objects"),
        ('{"instances": null}', "not_a_list_of_objects"),
        ('{"context": {}, "candidates": "x"}', "not_a_list_of_objects"),
        ('{"context": [], "candidates": [{}]}', "context_not_an_object"),
        ('{"context": null, "candidates": [{}]}', "context_not_an_object"),
        ('{"instances": [{}], "rows": 1}', "unknown_key"),
        ('{"instances": [{}], "top": 5}', "unknown_key"),
        ('{"instances": [{}], "timeout_ms": 0}', "bad_timeout_ms"),
        ('{"instances": [{}], "timeout_ms": -1}', "bad_timeout_ms"),
        ('{"instances": [{}], "timeout_ms": "5"}', "bad_timeout_ms"),
        ('{"instances": [{}], "timeout_ms": "\\ud800"}', "bad_timeout_ms"),
        ('{"instances": [{}], "timeout_ms": true}', "bad_timeout_ms"),
        ('{"instances": [{}], "strict": "\\ud800"}', "bad_strict"),
        ('{"instances": [{}], "timeout_ms": NaN}', "bad_timeout_ms"),
        ('{"instances": [{}], "timeout_ms": Infinity}', "bad_timeout_ms"),
        ('{"instances": [{}], "timeout_ms": 1e999}', "bad_timeout_ms"),
    ],
)
def test_a_body_that_is_no_request_has_a_code_of_its_own(body: str, code: str) -> None:
    assert fault(body) == (code, None, None)


@pytest.mark.parametrize("top", ["-1", "1.5", '"all"', "true", "NaN", "[]"])
def test_a_bad_top_is_named(top: str) -> None:
    assert fault(f'{{"instances": [{{}}], "top": {top}}}', explain)[0] == "bad_top"


def test_the_row_that_is_no_object_is_named() -> None:
    assert fault('{"instances": [{}, {}, 3]}') == ("not_a_list_of_objects", 2, None)
    assert fault('{"context": {}, "candidates": [{}, []]}') == ("not_a_list_of_objects", 1, None)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_a_number_that_is_not_finite_names_row_and_field(number: Any) -> None:
    in_row = f'{{"instances": [{{"price": 1}}, {{"price": {number}}}]}}'
    assert fault(in_row) == ("not_finite", 1, "price")
    in_list = f'{{"context": {{}}, "candidates": [{{"tags": ["a", {number}]}}]}}'
    assert fault(in_list) == ("not_finite", 0, "tags")
    in_context = f'{{"context": {{"hour": {number}}}, "candidates": [{{}}]}}'
    assert fault(in_context) == ("not_finite", None, "hour")


def test_half_a_surrogate_pair_names_row_and_field() -> None:
    assert fault(r'{"instances": [{"a": "x"}, {"a": "\ud800"}]}') == ("not_unicode", 1, "a")
    assert fault(r'{"instances": [{"\udc00": 1}]}') == ("not_unicode", 0, "\udc00")


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert predict.decode(rb'{"instances": [{"a": "\ud83d\ude00"}]}').rows[:] == [{"a": "😀"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"instances": [{"a": 1}]',
        b'{"instances": [{"a": 1}]} x',
        b"{'instances': []}",
        b'{"instances": [{"a": 01}]}',
        b'{"instances": [{"a": "\xff"}]}',
        b'{"instances": [{"a": "\xed\xa0\x80"}]}',
        b"\xef\xbb\xbf{}",
        '{"instances": []}'.encode("utf-16"),
        b'{"instances": [{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        b'{"a":' * 100_000,
        b'{"x": 1, ',
        b'{"strict": true, ',
    ],
)
def test_body_that_is_not_json_is_malformed(body: Any) -> None:
    with pytest.raises(MalformedBody) as caught:
        list(predict.decode(body).rows)
    assert "\n" not in str(caught.value)


def test_more_rows_than_the_limit_are_too_many() -> None:
    assert len(predict.decode(json.dumps({"instances": [{}] * 100}).encode()).rows) == 100
    with pytest.raises(TooManyRows, match="101 rows: at most 100"):
        predict.decode(json.dumps({"instances": [{}] * 101}).encode())
    with pytest.raises(TooManyRows):
        predict.decode(json.dumps({"context": {}, "candidates": [{}] * 101}).encode())


def test_a_long_unknown_key_is_shortened_in_the_answer() -> None:
    with pytest.raises(InputError) as caught:
        predict.decode(json.dumps({"k" * 10_000: 1}).encode())
    assert len(str(caught.value)) < 300


def test_numbers_beyond_64_bits_are_values() -> None:
    big = 2**63
    assert predict.decode(b'{"instances": [{"a": %d}]}' % big).rows[:] == [{"a": big}]
    assert predict.decode(b'{"instances": [{"a": %d}]}' % 10**300).rows[:] == [{"a": 10**300}]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["instances", "context", "candidates", "timeout_ms", "top", "x"])


@given(st.dictionaries(keys, values | st.lists(st.dictionaries(st.text(), values)), max_size=3))
def test_whatever_json_comes_it_is_rows_or_a_known_complaint(body: Any) -> None:
    for decoder in (predict, explain):
        try:
            asked = decoder.decode(json.dumps(body).encode())
            assert list(asked.rows)
        except (InputError, MalformedBody, TooManyRows):
            continue


@given(st.binary() | st.text().map(str.encode))
def test_whatever_bytes_come_they_are_rows_or_a_known_complaint(body: Any) -> None:
    with contextlib.suppress(InputError, MalformedBody):
        assert list(predict.decode(body).rows)


@given(st.lists(st.dictionaries(st.text(), st.none() | st.text() | st.integers()), min_size=1))
def test_rows_come_out_as_they_went_in(rows: Any) -> None:
    assert predict.decode(json.dumps({"instances": rows[:100]}).encode()).rows[:] == rows[:100]


@given(st.lists(st.dictionaries(st.text(), st.none() | st.text() | st.integers()), min_size=1))
def test_candidates_come_out_as_they_went_in_whichever_are_asked_for(rows: Any) -> None:
    rows = rows[:100]
    asked = predict.decode(json.dumps({"context": {"a": 1}, "candidates": rows}).encode())
    assert list(asked.rows) == rows
    assert isinstance(asked.rows, UnreadRows)
    assert asked.rows.read(range(0, len(rows), 2)) == rows[::2]
    assert asked.rows[1:] == rows[1:]


def test_a_candidate_that_is_not_utf_8_is_not_json() -> None:
    asked = predict.decode(b'{"context": {"a": 1}, "candidates": [{"a": "\xff"}]}')
    with pytest.raises(MalformedBody, match="not UTF-8"):
        list(asked.rows)


SMALL = PayloadDecoder(100, InputLimits(at_once=2000))


@pytest.mark.parametrize("body", ["[%s]", '{"context": {"a": [%s]}, "candidates": [{}]}'])
@pytest.mark.parametrize("values", ["1," * 150 + "1", "[1]," * 60 + "1", '"' + "x" * 2000 + '"'])
def test_more_than_may_be_read_at_once_is_refused_unread(body: str, values: Any) -> None:
    if body == "[%s]":
        body = '{"instances": [{}, {"a": [%s]}]}'
        assert fault(body % values, SMALL) == ("too_much_at_once", 1, None)
    else:
        assert fault(body % values, SMALL) == ("too_much_at_once", None, None)


def test_a_body_of_a_million_rows_is_refused_before_they_are_made() -> None:
    for item, error in ((b"{},", TooManyRows), (b"1,", InputError)):
        body = b'{"context": {}, "candidates": [' + item * 1_000_000 + b"{}]}"
        tracemalloc.start()
        with pytest.raises(error):
            predict.decode(body)
        assert tracemalloc.get_traced_memory()[1] < len(body)
        tracemalloc.stop()


def test_a_row_with_what_is_not_json_is_found_wherever_it_stands() -> None:
    good = [r'{"a": "NaN \\ud800 -Infinity"}', '{"a": 1}']
    rows = ", ".join([*good, '{"a": [1, NaN, -Infinity]}', r'{"a": "\uD800"}'])
    for rest in ("", ', "timeout_ms": 7'):
        body = f'{{"context": {{"b": "Infinity"}}, "candidates": [{rows}]{rest}}}'
        asked = predict.decode(body.encode())
        assert isinstance(asked.rows, UnreadRows)
        assert asked.rows.raws(0, 2) == [row.encode() for row in good]
        assert asked.context == {"b": "Infinity"}
        found = asked.rows.faults()
        assert [(place, one.code) for place, one in found.items()] == [
            (2, "not_finite"),
            (3, "not_unicode"),
        ]
