"""Every single change of a field: what could stand there, and the rows that result."""

from typing import Any

import numpy as np
import pytest

from model.changes import POINTS, Changed, changes_of
from model.encoding import Encoder
from model.schema import Schema
from model.values.scales import Bins, Scaler
from model.vocabulary import Vocabulary

SCHEMA = Schema.parse("""
label = "click"
[fields.ad]
kind = "categorical"
role = "candidate"
[fields.interests]
kind = "multivalue"
max_values = 2
[fields.price]
kind = "numeric"
transform = "none"
[fields.age]
kind = "numeric"
transform = "quantile"
[fields.hour]
kind = "categorical"
source = "at"
part = "hour"
[fields.weekday]
kind = "categorical"
source = "at"
part = "weekday"
""")
KNOWN: dict[str, Any] = {
    "ad": Vocabulary(("a1", "a2", "a3")),
    "interests": Vocabulary(("cars", "food", "golf")),
    "price": Scaler(0.0, 10.0),
    "age": Bins((18.0, 30.0)),
    "hour": Vocabulary(("9", "21")),
    "weekday": Vocabulary(("1", "6")),
}
ENCODER = Encoder(SCHEMA, KNOWN)
ROW: dict[str, Any] = {
    "ad": "a1",
    "interests": ["cars"],
    "price": 3.0,
    "age": 40,
    "at": "2024-05-04T09:30:00",
}


def changes(name: str, now: Any = None, most: Any = 1000) -> Any:
    return changes_of(SCHEMA.fields[name], KNOWN[name], now, most)


def test_changes_of_a_categorical_field_are_its_vocabulary_and_missing() -> None:
    assert list(changes("ad").values) == ["a1", "a2", "a3", None]
    assert changes("ad").left_out == 0


def test_changes_beyond_the_most_leave_the_rarest_out() -> None:
    found = changes("ad", most=3)
    assert (list(found.values), found.left_out) == (["a1", "a2", None], 1)


def test_changes_of_several_values_put_one_in_or_take_it_out() -> None:
    found = changes("interests", ["cars"])
    assert dict(zip(found.values, found.given, strict=True)) == {
        "cars": [],
        "food": ["cars", "food"],
        "golf": ["cars", "golf"],
        None: [],
    }


def test_changes_of_a_full_list_only_take_out() -> None:
    assert list(changes("interests", "cars|golf").values) == ["cars", "golf", None]


def test_changes_of_a_number_are_points_of_its_range_with_both_ends() -> None:
    values = list(changes("price").values)
    assert (values[0], values[-2], values[-1], len(values)) == (0.0, 10.0, None, POINTS + 1)


def test_changes_of_a_binned_number_reach_every_bin() -> None:
    found = [value for value in changes("age").values if value is not None]
    assert [KNOWN["age"].locate_one(value) for value in found] == [3, 4, 5]


def test_changes_of_a_part_move_the_moment_to_it() -> None:
    found = changes("hour", ROW["at"])
    assert list(found.values) == ["9", "21", None]
    assert list(found.given) == ["2024-05-04T09:30:00+00:00", "2024-05-04T21:30:00+00:00", None]


def test_changes_of_a_weekday_keep_the_hour() -> None:
    assert changes("weekday", ROW["at"]).given[0] == "2024-04-29T09:30:00+00:00"


def test_changes_of_a_moment_that_is_none_begin_at_some_day() -> None:
    assert changes("hour", "never").given[0] == "2024-01-01T09:00:00+00:00"


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        ("minute", "5", "2024-05-04T09:05:00+00:00"),
        ("hour_of_week", "25", "2024-04-30T01:30:00+00:00"),
        ("day", "31", "2024-05-31T09:30:00+00:00"),
        ("month", "2", "2024-02-04T09:30:00+00:00"),
    ],
)
def test_changes_reach_every_part_of_a_moment(part: str, value: str, expected: str) -> None:
    field = SCHEMA.fields["hour"].model_copy(update={"part": part})
    found = changes_of(field, Vocabulary((value, "99999", "none")), ROW["at"], 10)
    assert (list(found.values), found.given[0]) == ([value, None], expected)


@pytest.mark.parametrize("name", KNOWN)
def test_changed_rows_are_what_the_changed_request_encodes_to(name: str) -> None:
    source = SCHEMA.sources[name]
    found = changes(name, ROW[source])
    rows = Changed(ENCODER, source).rows(ENCODER.encode([ROW]), found.given)
    expected = ENCODER.encode([{**ROW, source: given} for given in found.given])
    np.testing.assert_array_equal(rows.ids, expected.ids)
    np.testing.assert_array_equal(rows.values, expected.values)
