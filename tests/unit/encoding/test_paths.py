"""Paths into objects: what they lead to, and rows that are flat by them."""

from typing import Any

import pytest

from model.encoding import Encoder
from model.errors import InputError
from model.schema import Schema
from model.values.paths import ABSENT, Paths, steps_of, value_at
from model.vocabulary import Vocabulary

ROW: dict[str, Any] = {
    "a": {"b": 1, "c": None, "d": [{"e": 1}, {"e": [2, 3]}, {"f": 4}, None]},
    "n": 7,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", 1),
        ("a.c", None),
        ("a.c.d", ABSENT),
        ("a.x", ABSENT),
        ("a.x.y", ABSENT),
        ("a.d.e", [1, 2, 3]),
        ("a.d.0.e", 1),
        ("a.d.1.e.1", 3),
        ("a.d.9.e", ABSENT),
        ("a.d.x", []),
    ],
)
def test_path_leads_to_a_value_or_to_nothing(path: str, value: object) -> None:
    found = value_at(ROW, steps_of(path))
    assert found is value if value is ABSENT else found == value


@pytest.mark.parametrize(
    ("path", "kind"), [("n.x", "a number"), ("a.b.c", "a number"), ("a.d.e.x", "a number")]
)
def test_path_through_what_is_no_object_is_an_error(path: str, kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        value_at(ROW, steps_of(path))


@pytest.mark.parametrize("source", ["", "a", ".", "a.", ".a", "a..b"])
def test_source_without_steps_is_no_path(source: str) -> None:
    assert steps_of(source) == ()
    assert Paths.of({"f": source}) is None


def test_row_without_the_objects_is_itself() -> None:
    paths = Paths.of({"f": "a.b"})
    assert paths is not None
    row = {"a.b": 1, "c": 2}
    assert paths.flat(row) is row


def test_key_goes_before_the_path_and_objects_that_are_read_go() -> None:
    paths = Paths.of({"f": "a.b", "g": "a.c", "n": "n"})
    assert paths is not None
    assert paths.flat({**ROW, "a.b": "key"}) == {"a.b": "key", "a.c": None, "n": 7}
    kept = Paths.of({"f": "a.b", "a": "a"})
    assert kept is not None
    row: dict[str, Any] = {"a": {"b": 1}}
    assert kept.flat(row) == {"a": {"b": 1}, "a.b": 1}


def test_encoder_reads_nested_rows_as_flat_ones_and_names_the_row_of_a_fault() -> None:
    schema = Schema.parse(
        'label = "click"\n[fields.kind]\nkind = "categorical"\nsource = "device.kind"\n'
        '[fields.ad]\nkind = "categorical"\nrole = "candidate"\n'
    )
    encoder = Encoder(schema, {"kind": Vocabulary(("tv", "web")), "ad": Vocabulary(("a",))})
    flat = encoder.encode([{"device.kind": "web", "ad": "a"}] * 20)
    row: dict[str, Any] = {"device": {"kind": "web", "os": "x"}, "ad": "a"}
    nested = encoder.encode([row] * 20)
    assert nested.ids.tolist() == flat.ids.tolist()
    assert nested.ignored == 0
    with pytest.raises(InputError, match=r"on the path device\.kind, got a boolean") as caught:
        encoder.encode([{"ad": "a"}, {"device": True}])
    assert (caught.value.row, caught.value.field) == (1, "kind")
