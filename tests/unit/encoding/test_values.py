"""The one text form of a value, and the values that a cell holds."""

from typing import Any

import pytest

from model.values.values import canonical, members


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (21, "21"),
        (21.0, "21"),
        ("21", "21"),
        ("21.0", "21"),
        ("-3.00", "-3"),
        (-0.0, "0"),
        (1.5, "1.5"),
        ("1.50", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-.50", "-0.5"),
        ("1e+05", "100000"),
        ("1.5E3", "1500"),
        (1e22, "10000000000000000000000"),
        ("1e22", "10000000000000000000000"),
        (1e-7, "0.0000001"),
        ("0.1000000000000000055511151231257827", "0.1"),
        ("100000000000000001", "100000000000000001"),
        ("007", "007"),
        ("12e5", "12e5"),
        ("1e999", "1e999"),
        (" ios ", "ios"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("2026-11-28T09:30:00.500000+02:00", "2026-11-28T07:30:00.5Z"),
        ("2026-11-28 09:30", "2026-11-28T09:30:00Z"),
        ("2026-11-28 00:00:00.000", "2026-11-28"),
        ("2026-11-28", "2026-11-28"),
        ("2026-06-31", "2026-06-31"),
        ("09:30:00.000000000", "09:30:00"),
        (True, "true"),
        ("True", "true"),
        ("False", "false"),
        ("FALSE", "false"),
        ("yes", "yes"),
        (10710025208886284288, "10710025208886284288"),
        ("10.0.0", "10.0.0"),
        ("", ""),
        ("0", "0"),
    ],
)
def test_a_value_has_one_text_form_whatever_it_came_from(value: Any, text: str) -> None:
    assert canonical(value) == text


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ("a|b", ["a", "b"]),
        ("a||b|", ["a", "b"]),
        (" a | b ", ["a ", " b"]),
        ('["a", "b|c", null, 0.5]', ["a", "b|c", 0.5]),
        ("['a', 'b|c', None]", ["a", "b|c"]),
        ("['a' 'b']", ["a", "b"]),
        ("[1 2.5 3]", ["1", "2.5", "3"]),
        ('{a,"b, c",NULL}', ["a", "b, c"]),
        ("[a, b]", ["a", "b"]),
        ("[]", []),
        ('["it\'s"]', ["it's"]),
        ("['it\\'s']", ["it's"]),
        ("[half", ["[half"]),
        ("{'a,it's}", ["'a", "it's"]),
        ("", []),
        (None, []),
        (["a|b", None, "", 3], ["a|b", 3]),
        (7, [7]),
    ],
)
def test_a_multivalued_cell_is_a_list_or_text_with_separators(cell: Any, values: Any) -> None:
    assert members(cell, "|") == values
