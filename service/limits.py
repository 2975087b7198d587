"""Limits: of a request beside its bytes and rows, of the ads that are kept, and of how much a new
version may differ from the live one.

>>> InputLimits(keys=1).check({"device": "ios", "hour": 3}, position=0)
Traceback (most recent call last):
model.errors.InputError: 2 keys: at most 1 in one row
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from msgspec import Raw

from model.errors import InputError
from model.values.values import Row

BYTES_OF_A_VALUE = 20  # that many bytes of what may be read at once, or more, go with each value


class InputLimits(NamedTuple):
    """Most levels of nesting, keys of a row, characters of a text, and values of a list; and the
    bytes that are read `at_once`, of a context or of a slice of rows: JSON may become twenty times
    as large when it is read.
    """

    depth: int = 16
    keys: int = 1000
    text: int = 16_384
    list: int = 1000
    at_once: int = 1 << 20

    @property
    def masked_bytes(self) -> int:
        """The most bytes of a body that is copied to find the row that is not JSON."""
        return 4 * self.at_once

    def check_bytes(self, parts: Sequence["bytes | Raw"], *, context: bool = False) -> None:
        """Look at the bytes of a context, or of rows that are to be read at once.

        Raises:
            InputError: they are too many, or hold too much; `row` is the place of the largest.
        """
        size = sum(map(len, parts))
        most = self.at_once // BYTES_OF_A_VALUE
        if size <= 2 * most:  # a value has a byte at least, and something beside it
            return
        if size <= self.at_once:
            values = sum(bytes(part).count(mark) for part in parts for mark in (b",", b"[", b"{"))
            if values <= most:
                return
        what = "the context has" if context else f"{len(parts)} rows in a row have"
        largest = max(range(len(parts)), key=lambda place: len(parts[place]))
        raise InputError(
            "too_much_at_once",
            f"{what} more than {self.at_once} bytes, or than {most} values",
            row=None if context else largest,
        )

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


class CacheLimits(NamedTuple):
    """How many ads a cache may hold, and in about how many bytes; 0 of either keeps none."""

    entries: int = 100_000
    bytes: int = 64 << 20


NO_CACHE = CacheLimits(0, 0)


class ShadowLimits(NamedTuple):
    """What a version may differ by from the live one on the last `requests` requests; 0 of them:
    nothing is judged.

    `mean`: the ratio of mean probabilities lies within 1 / mean and mean. `rank`: least rank
    correlation (Spearman). `unknown`: how much larger the share of unknown values may be.
    `latency`: how many times the time to score; up to `latency_ms` milliseconds a request it may
    take whatever the live one takes.
    """

    requests: int
    mean: float = 1.25
    rank: float = 0.5
    unknown: float = 0.1
    latency: float = 1.5
    latency_ms: float = 2.0


NO_SHADOW = ShadowLimits(0)
