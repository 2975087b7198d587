"""Values of one type, where what is tested may also return None or another class of a union."""

from typing import TypeVar

T = TypeVar("T")


def not_none(value: T | None) -> T:
    """The value, which must not be None."""
    assert value is not None
    return value


def of_class(kind: type[T], value: object) -> T:
    """The value, which must be of this class."""
    assert isinstance(value, kind)
    return value
