"""Values without bound, hashed into buckets: the one rule of training and serving.

>>> bucket_of("123456789", 2**32) == 0xCBF43926, bucket_of("u1", 1000)
(True, 422)
"""

from typing import Any
from zlib import crc32

from model.values.values import Reading


def bucket_of(text: str, buckets: int) -> int:
    """The bucket of a value: CRC-32 (as zlib, gzip and SQL have it) of its text form in UTF-8,
    modulo `buckets`.
    """
    return crc32(text.encode("utf-8", "surrogatepass")) % buckets


class BucketIds:
    """The table rows of a field's values, where an encoder expects a dict; `first`: that of bucket
    0. A dict knows only the text form of a value; so a text is brought into it first.
    """

    def __init__(self, reading: Reading, first: int, buckets: int) -> None:
        self._text = reading.text
        self._first = first
        self._buckets = buckets

    def get(self, value: Any, /) -> int | None:
        """The row of a text; None where it is null, and of what is no text."""
        text = self._text(value) if value.__class__ is str else None
        return None if text is None else self._first + bucket_of(text, self._buckets)
