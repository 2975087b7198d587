"""The schema file: its defaults, its digest, and what is refused by name."""

from pathlib import Path
from typing import Any

import pytest

from model.errors import SchemaError
from model.schema import CategoricalField, NumericField, Schema
from model.values.moments import PARTS
from training.data.schema_text import schema_text

MINIMAL = 'label = "click"\n[fields.device]\nkind = "categorical"\n'


def test_settings_that_are_not_given_have_their_defaults() -> None:
    schema = Schema.parse(MINIMAL)
    device: Any = schema.fields["device"]
    assert (device.role, device.missing, device.min_count) == ("context", "token", 2)
    assert (schema.task, schema.strict, schema.weight) == ("click", False, None)


def test_the_order_of_the_fields_is_the_order_of_the_slots() -> None:
    schema = Schema.parse(
        'label = "c"\n[fields.b]\nkind = "numeric"\n'
        '[fields.tags]\nkind = "multivalue"\nmax_values = 3\n[fields.a]\nkind = "categorical"\n'
    )
    assert schema.slots == ("b", "tags", "tags", "tags", "a")


def test_what_is_written_out_reads_back_equal_whatever_the_names_hold() -> None:
    text = (
        'label = "c\\"li\\\\ck"\ntime = "when"\nstrict = true\n'
        '["fields"."a.b c/é\\u0001"]\nkind = "multivalue"\nseparator = "\\t"\nrole = "candidate"\n'
        '[fields.price]\nkind = "numeric"\ntransform = "quantile"\nbins = 7\nmissing = "absent"\n'
    )
    schema = Schema.parse(text)
    again = Schema.parse(schema_text(schema))
    assert again == schema
    assert again.digest == schema.digest
    assert list(again.fields) == ["a.b c/é\u0001", "price"]


@pytest.mark.parametrize(
    "other",
    [
        MINIMAL + "min_count = 3\n",
        MINIMAL.replace("device", "advice"),
        MINIMAL + '[fields.b]\nkind = "categorical"\n',
        MINIMAL.replace("categorical", "multivalue"),
    ],
)
def test_another_schema_has_another_digest(other: Any) -> None:
    assert Schema.parse(other).digest != Schema.parse(MINIMAL).digest


def test_the_order_of_the_fields_counts_in_the_digest() -> None:
    a, b = ('[fields.a]\nkind = "numeric"\n', '[fields.b]\nkind = "numeric"\n')
    one, other = (Schema.parse('label = "y"\n' + body) for body in (a + b, b + a))
    assert one.digest != other.digest


def test_a_setting_at_its_default_does_not_count_in_the_digest() -> None:
    written = Schema.parse(MINIMAL + 'min_count = 2\nmissing = "token"\n')
    assert written.digest == Schema.parse(MINIMAL).digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label = ", "not TOML"),
        ('[fields.a]\nkind = "categorical"\n', "label: required and not there"),
        ('label = "y"\n', "fields: required"),
        ('label = "y"\n[fields]\n', "fields: "),
        ('label = "y"\n[fields.a]\nkind = "text"\n', "fields.a.kind: expected .* not 'text'"),
        ('label = "y"\n[fields.a]\nrole = "context"\n', "fields.a.kind: .* not None"),
        (
            MINIMAL + "transform = 'log1p'\n",
            r"fields.device.transform: unknown key \(value 'log1p'",
        ),
        (MINIMAL + "min_count = 0\n", r"fields.device.min_count: .*\(value 0\)"),
        (MINIMAL + "min_count = '3'\n", r"fields.device.min_count: .*\(value '3'\)"),
        (MINIMAL + "role = 'ad'\n", r"fields.device.role: .*\(value 'ad'\)"),
        ("colour = 1\n" + MINIMAL, r"colour: unknown key \(value 1\)"),
        (MINIMAL.replace('"click"', '"device"'), "'device' is the label and cannot be a field"),
        ('label = "y"\n[fields.""]\nkind = "categorical"\n', "a field needs a name"),
    ],
)
def test_a_bad_schema_is_refused_in_one_line_that_names_file_key_and_value(
    text: Any, says: str
) -> None:
    with pytest.raises(SchemaError, match=says) as caught:
        Schema.parse(text, "ads.toml")
    assert str(caught.value).startswith("ads.toml: ")
    assert "\n" not in str(caught.value)


def test_a_schema_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"none\.toml: cannot be read: No such file"):
        Schema.load(tmp_path / "none.toml")


def test_a_schema_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SchemaError, match=r"bytes\.toml: not UTF-8"):
        Schema.load(path)


def test_null_values_of_the_schema_are_those_of_each_field_that_names_none() -> None:
    schema = Schema.parse(
        'label = "y"\nnull_values = ["NA", "?"]\n[fields.a]\nkind = "categorical"\n'
        '[fields.b]\nkind = "numeric"\nnull_values = ["-1"]\n'
        '[fields.c]\nkind = "multivalue"\nnull_values = []\n'
    )
    assert [field.null_values for field in schema.fields.values()] == [("NA", "?"), ("-1",), ()]
    again = Schema.parse(schema_text(schema))
    assert again == schema
    assert again.digest == schema.digest


def test_a_schema_made_in_python_hands_its_null_values_on_too() -> None:
    fields: dict[str, Any] = {
        "a": CategoricalField(kind="categorical"),
        "n": NumericField(kind="numeric"),
    }
    schema = Schema(label="y", null_values=("NA",), fields=fields)
    assert [field.null_values for field in schema.fields.values()] == [("NA",), ("NA",)]


def test_fields_may_be_parts_of_one_source() -> None:
    schema = Schema.parse(
        'label = "y"\ntime = "ts"\n[fields.hour]\nkind = "categorical"\nsource = "ts"\n'
        'part = "hour"\n[fields.day]\nkind = "numeric"\nsource = "ts"\npart = "weekday"\n'
    )
    assert schema.sources == {"hour": "ts", "day": "ts"}
    assert Schema.parse(schema_text(schema)) == schema


def test_every_part_of_a_moment_can_be_named() -> None:
    for part in PARTS:
        text = f'label = "y"\n[fields.p]\nkind = "numeric"\nsource = "ts"\npart = "{part}"\n'
        field: Any = Schema.parse(text).fields["p"]
        assert field.part == part


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('kind = "numeric"\npart = "hour"\n', "part 'hour' needs a source"),
        ('kind = "numeric"\nsource = "t"\nformat = "%Y"\n', "format '%Y' goes with a part"),
        ('kind = "numeric"\nsource = "t"\npart = "second"\n', "fields.p.*part: .*'second'"),
        ('kind = "numeric"\nsource = "y"\n', "column 'y' is the label and cannot be a field"),
        ('kind = "numeric"\nnull_values = "NA"\n', "null_values: "),
        ('kind = "numeric"\nnull_values = [-1]\n', "null_values.*: "),
        ('kind = "numeric"\nas_text = true\n', "as_text: unknown key"),
    ],
)
def test_a_source_that_cannot_be_is_refused(body: str, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        Schema.parse(f'label = "y"\n[fields.p]\n{body}')
