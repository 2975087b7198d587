"""Whether an answer is what the API's document says: a struct, with no key beside its own."""

import msgspec


def fits(answer: object, struct: type[msgspec.Struct]) -> None:
    """Raises where `answer` lacks a key of the struct, or has another key or type."""
    assert msgspec.to_builtins(msgspec.convert(answer, struct, strict=True)) == answer
