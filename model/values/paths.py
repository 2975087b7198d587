"""Values inside objects, by a path such as `device.devicetype` of an OpenRTB bid request.

>>> paths = Paths.of({"devicetype": "device.devicetype", "segments": "user.data.segment.id"})
>>> user = {"data": [{"segment": [{"id": "a"}, {"id": "b"}]}, {}]}
>>> paths.flat({"id": "1", "device": {"devicetype": 4, "os": "iOS"}, "user": user})
{'id': '1', 'device.devicetype': 4, 'user.data.segment.id': ['a', 'b']}
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from model.errors import InputError
from model.values.values import Row

ABSENT = object()  # what a path leads to where nothing is


class Paths:
    """The paths among the `sources` of some fields, by the fields' names: those with a dot.

    A row may hold what a path leads to, or have the path itself as a key, as a flat log has it as a
    column; the key goes first.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._by_first: dict[str, list[tuple[str, Sequence[str], str]]] = {}
        for name, source in sources.items():
            if steps := steps_of(source):
                self._by_first.setdefault(steps[0], []).append((source, steps[1:], name))
        self._dropped = frozenset(self._by_first) - frozenset(sources.values())

    @classmethod
    def of(cls, sources: Mapping[str, str]) -> "Paths | None":
        """The paths; None where there are none."""
        return cls(sources) if any(map(steps_of, sources.values())) else None

    def flat(self, row: Row) -> Row:
        """The row with the path as the key of what it leads to, in place of the objects that are
        read; the row itself where it has none of them.

        Raises:
            InputError: a path leads through what is neither an object nor a list.
        """
        if self._by_first.keys().isdisjoint(row):
            return row
        found: dict[str, Any] = {k: value for k, value in row.items() if k not in self._dropped}
        for first, paths in self._by_first.items():
            if first not in row:
                continue
            for source, steps, name in paths:
                if source in row:
                    continue
                try:
                    value = value_at(row[first], steps)
                except ValueError as error:
                    text = f"field {name!r}: expected an object on the path {source}, got {error}"
                    raise InputError("wrong_type", text, field=name) from None
                if value is not ABSENT:
                    found[source] = value
        return found

    def flat_rows(self, rows: Iterable[Row]) -> list[Row]:
        """Each of the rows.

        Raises:
            InputError: see `flat`; `row` is its place.
        """
        flat = []
        for place, row in enumerate(rows):
            try:
                flat.append(self.flat(row))
            except InputError as error:
                error.row = place
                raise
        return flat


def steps_of(source: str) -> Sequence[str]:
    """The steps of a path; none of a source that is no path."""
    steps = source.split(".")
    return steps if len(steps) > 1 and all(steps) else ()


def value_at(value: Any, steps: Sequence[str]) -> Any:
    """What the steps lead to from a value of JSON, ABSENT where nothing is there. A step is a key
    of an object, or a place in a list; a key in a list is one of each of its objects, and what is
    found is one list.

    Raises:
        ValueError: a step from what is neither; says what that is.
    """
    for at, step in enumerate(steps):
        if value.__class__ is dict or isinstance(value, Mapping):  # nearly all are the former
            value = value.get(step, ABSENT)
        elif value is None:
            return ABSENT
        elif not isinstance(value, list | tuple):
            raise ValueError(_kind(value))
        elif step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else ABSENT
        else:
            return _gathered(value, steps[at:])
        if value is ABSENT:
            return ABSENT
    return value


def places(row: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, bool]]:
    """The path of each value of a row, in its order, and whether it is an object, or a list of
    them: the paths of what stands in it follow then.
    """
    for key, value in row.items():
        path = f"{start}{key}"
        inner = value if isinstance(value, list) else [value]
        objects = [part for part in inner if isinstance(part, Mapping)]
        yield path, bool(objects)
        for part in objects:
            yield from places(part, f"{path}.")


def _gathered(parts: Sequence[Any], steps: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        value = value_at(part, steps)
        if isinstance(value, list | tuple):
            found += value
        elif value is not ABSENT and value is not None:
            found.append(value)
    return found


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    return "a string" if isinstance(value, str) else "a number"
