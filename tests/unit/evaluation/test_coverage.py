"""Missing and unknown shares of each field."""

from typing import Any

import pytest

from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import fit_vocabulary
from training.evaluation.coverage import coverage

SCHEMA = Schema.parse(
    """
label = "click"
[fields.site]
kind = "categorical"
min_count = 1
[fields.hour]
kind = "categorical"
missing = "absent"
min_count = 1
[fields.tags]
kind = "multivalue"
max_values = 3
min_count = 1
[fields.price]
kind = "numeric"
"""
)
SEEN: dict[str, list[Any]] = {
    "site": ["a", "b"],
    "hour": [1, 2],
    "tags": [["x"], ["y"]],
    "price": [1.0, 3.0],
}
ENCODER = Encoder(
    SCHEMA, {name: fit_vocabulary(field, SEEN[name]) for name, field in SCHEMA.fields.items()}
)


def of(*rows: Any) -> Any:
    return coverage(ENCODER.encode(rows), ENCODER)


def row(site: Any = "a", hour: Any = 1, tags: Any = ("x",), price: Any = 1.0) -> Any:
    return {"site": site, "hour": hour, "tags": list(tags), "price": price}


def test_known_values_are_neither_missing_nor_unknown() -> None:
    found = of(row(), row(site="b"))
    assert all((one.missing, one.unknown) == (0, 0) for one in found.values())


@pytest.mark.parametrize("field", ["site", "hour", "price"])
def test_a_null_is_missing_by_either_rule_and_no_unknown_value(field: str) -> None:
    found = of(row(), row(**{field: None}), row(), row())
    assert (found[field].missing, found[field].unknown) == (0.25, 0)


@pytest.mark.parametrize("field", ["site", "hour"])
def test_a_value_never_seen_is_unknown_and_not_missing(field: str) -> None:
    found = of(row(), row(**{field: "new"}))
    assert (found[field].missing, found[field].unknown) == (0, 0.5)


def test_the_share_of_unknown_values_is_of_the_values_and_not_of_the_rows() -> None:
    found = of(row(site="new"), row(site=None), row(site=None), row(site=None))
    assert (found["site"].missing, found["site"].unknown) == (0.75, 1)


def test_each_value_of_a_list_counts() -> None:
    found = of(row(tags=("x", "new", "newer")), row(tags=("y",)))
    assert (found["tags"].missing, found["tags"].unknown) == (0, 0.5)


def test_an_empty_list_is_missing() -> None:
    found = of(row(tags=()), row())
    assert found["tags"].missing == 0.5


def test_a_field_without_any_value_has_no_unknown_share() -> None:
    found = of(row(price=None), row(price=None))
    assert (found["price"].missing, found["price"].unknown) == (1, None)


def test_a_number_that_scales_to_0_is_there() -> None:
    mean = sum(SEEN["price"]) / len(SEEN["price"])
    encoded = ENCODER.encode([row(price=mean)])
    assert encoded.values[0, -1] == 0
    assert coverage(encoded, ENCODER)["price"].missing == 0


def test_fields_come_in_the_order_of_the_schema() -> None:
    assert list(of(row())) == list(SCHEMA.fields)
