"""TOML files as checked objects: what an error says, in one line."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.errors import AfmError, ConfigError, SchemaError
from model.files.toml_files import parse, read_text


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cat"]
    lives: int = Field(default=9, ge=1)


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["dog"]


class House(BaseModel):
    model_config = ConfigDict(extra="forbid")
    street: str
    number: int = Field(default=1, ge=1)
    fields: dict[str, Annotated[Cat | Dog, Field(discriminator="kind")]] = {}

    @model_validator(mode="after")
    def _not_haunted(self) -> "House":
        if self.street == "Elm":
            raise ValueError("nobody lives in Elm street")
        return self


def said(text: str, error: type[AfmError] = ConfigError) -> str:
    with pytest.raises(error) as caught:
        parse(House, text, "house.toml", error)
    message = str(caught.value)
    assert message.startswith("house.toml: ")
    assert "\n" not in message
    return message


def test_a_good_file_is_read() -> None:
    found = parse(House, 'street = "Oak"\n[fields.tom]\nkind = "cat"', "house.toml", ConfigError)
    assert found == House(street="Oak", fields={"tom": Cat(kind="cat")})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("street = ", "not TOML"),
        ('street = "Oak"\nstreet = "Ash"', "not TOML"),
        ("number = 2", "street: required and not there"),
        ('steret = "Oak"', "steret: unknown key (value 'Oak')"),
        ('street = "Oak"\ncolour = "red"', "colour: unknown key (value 'red')"),
        ('street = "Oak"\nnumber = 0', "number: Input should be greater than or equal to 1"),
        ('street = "Oak"\nnumber = "x"', "(value 'x')"),
        ('street = "Oak"\n[fields.tom]\nkind = "cow"', "fields.tom.kind: expected 'cat', 'dog'"),
        ('street = "Oak"\n[fields.tom]\nlives = 3', "fields.tom.kind: expected a kind, not None"),
        ('street = "Oak"\n[fields.tom]\nkind = "cat"\nlives = 0', "fields.tom.lives: "),
        ('street = "Oak"\n[fields.tom]\nkind = "dog"\nlives = 3', "fields.tom.lives: unknown key"),
        ('street = "Elm"', "nobody lives in Elm street"),
    ],
)
def test_a_fault_names_file_key_and_value(text: str, says: str) -> None:
    assert says in said(text)


def test_a_fault_is_of_the_kind_that_the_caller_asks_for() -> None:
    said("number = 2", SchemaError)


def test_the_kind_that_was_chosen_is_no_part_of_the_key() -> None:
    text = 'street = "Oak"\n[fields.tom]\nkind = "cat"\nlives = 0'
    assert "fields.tom.cat" not in said(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        read_text(path, ConfigError)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_text(tmp_path, ConfigError)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "house.toml"
    path.write_bytes(b"street = \xff")
    with pytest.raises(ConfigError, match=r"house\.toml: not UTF-8 text"):
        read_text(path, ConfigError)
