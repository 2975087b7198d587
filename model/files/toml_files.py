"""TOML text into a pydantic model, with errors of one line that name file, key and value.

>>> from pydantic import BaseModel
>>> class Shop(BaseModel):
...     ads: int
>>> parse(Shop, "ads = 2", "shop.toml", AfmError)
Shop(ads=2)
"""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from model.errors import AfmError

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path, error: type[AfmError]) -> str:
    """The text of a file.

    Raises:
        error: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise error(f"{path}: cannot be read: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise error(f"{path}: not UTF-8 text") from fault


def parse(kind: type[Model], text: str, source: str, error: type[AfmError]) -> Model:
    """Text as a model; `source` names it in errors.

    Raises:
        error: not TOML, or a key that is unknown, missing or has a bad value.
    """
    try:
        return kind.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as fault:
        raise error(f"{source}: not TOML: {fault}") from fault
    except ValidationError as fault:
        raise error(f"{source}: {first_fault(fault)}") from fault


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, an unknown key before all, as `key: what (value ...)`."""
    faults: list[Any] = error.errors(include_url=False)
    # a key that is unknown is often the misspelt one of a key that seems to be missing
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    at = list(fault["loc"])
    if len(at) > 2 and at[0] == "fields":
        del at[
            2
        ]  # pydantic puts the kind that it chose behind the field's name: no key of the file
    key = ".".join(str(part) for part in at)
    found = fault["input"]
    match fault["type"]:
        case "missing":
            return f"{key}: required and not there"
        case "extra_forbidden":
            return f"{key}: unknown key (value {found!r})"
        case "union_tag_not_found" | "union_tag_invalid":
            kind = found.get("kind")
            return (
                f"{key}.kind: expected {fault['ctx'].get('expected_tags', 'a kind')}, not {kind!r}"
            )
    message = fault["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(found, dict) else f" (value {found!r})"
    return f"{key}: {message}{shown}" if key else message
