"""The texts that a field whose values stay in Redis is asked for."""

from typing import Any

import pytest

from model.schema import CategoricalField
from service.scoring.remote.remote_fields import texts


def asked(value: Any, **settings: Any) -> Any:
    reading = CategoricalField(kind="categorical", **settings).reading
    return list(texts([{"ts": value}], "ts", reading))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (21.0, ["21"]),
        (True, ["true"]),
        ("ios", ["ios"]),
        (" 2.50 ", ["2.5", " 2.50 "]),  # as it stands too, for vocabularies of earlier bundles
        (None, []),
        ("", []),
        ("NA", []),
        (" -1.0", []),
        ([1], []),
        ("\ud800", []),
    ],
)
def test_a_value_is_asked_for_in_the_form_of_a_vocabulary(value: Any, wanted: Any) -> None:
    assert asked(value, null_values=("NA", "-1")) == wanted


def test_a_text_field_is_asked_for_as_it_is_written() -> None:
    assert asked("9.10", as_text=True) == ["9.10"]
    assert asked("9.10") == ["9.1", "9.10"]
