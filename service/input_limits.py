"""How large the parts of one request may be, beside its bytes and rows."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from model.errors import InputError
from model.values import Row


class InputLimits(NamedTuple):
    """Most levels of nesting, keys of a row, characters of a text, and values of a list."""

    depth: int = 16
    keys: int = 1000
    text: int = 16_384
    list: int = 1000

    def check(self, row: Row, position: int | None) -> None:
        """Look at one row, `position` in its request, or at a context.

        Raises:
            InputError: something in it is larger than allowed; names row and field.
        """
        if len(row) > self.keys:
            text = f"{len(row)} keys: at most {self.keys} in one row"
            raise InputError("too_many_keys", text, row=position)
        most = self.text
        value: Any
        for name, value in row.items():
            kind = value.__class__
            if (kind is str and len(value) > most) or kind is list or kind is dict:
                self._check_value(name, value, position)

    def _check_value(self, name: str, value: Any, position: int | None) -> None:
        level: list[Any] = [value]
        depth = 3  # the body's, the rows' and the row's brackets are around it
        while level:
            deeper: list[Any] = []
            for part in level:
                if isinstance(part, str):
                    if len(part) > self.text:
                        text = f"a text of more than {self.text} characters"
                        raise InputError("text_too_long", text, row=position, field=_short(name))
                    continue
                if not isinstance(part, (list, dict)):
                    continue
                if len(part) > self.list:
                    text = f"{len(part)} values: at most {self.list} in one list"
                    raise InputError("list_too_long", text, row=position, field=_short(name))
                inner: Iterable[Any] = part.values() if isinstance(part, dict) else part
                deeper += inner
            depth += any(isinstance(part, (list, dict)) for part in level)
            if depth > self.depth:
                text = f"nested deeper than {self.depth} levels"
                raise InputError("nested_too_deep", text, row=position, field=_short(name))
            level = deeper


def _short(name: str) -> str:
    return name if len(name) <= 80 else name[:80] + "..."
