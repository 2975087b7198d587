r"""The values of large fields in one file that all processes of a machine map: 14 bytes a value.

A value is known by a 64-bit key: BLAKE2b of a salt, its field and its text. No two values of a file
have one key, since the salt is chosen so. A value that is not in a file of n values is taken for
one of them with a probability of n / 2^64.

    a line    JSON: `salt`, `values` (n), `bits`, `span` and `fields` (see PackedField); zeros up
              to a page
    keys      uint64 [n], ascending, little-endian as all that follows
    starts    uint32 [2^bits + 1], where the keys with the same first bits begin: `span` at most
    places    uint32 [n], where each value stands in the vocabulary of its field
    digest    SHA-256 of all before

>>> packed = PackedIds(pack({"ad": (["a1", "a2"], PackedField(2))}))
>>> packed.ids("ad", 3).find(["a2", "a9", 7]), packed.ids("ad", 3).get("a1")
([4, None, None], 3)
"""

import hashlib
import json
import mmap
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import BundleError

PAGE = 4096
DIGEST_BYTES = 32
HASHED_AT_ONCE = 100_000
FEW = 8  # values that are looked up one by one
NO_KEY = bytes(8)  # of what is no text: no value has it

Buffer = bytes | bytearray | mmap.mmap


class PackedField(NamedTuple):
    """A field of a file: its number of values, the place of each word for true and false, and the
    SHA-256 of the vocabulary file that it was made of.
    """

    values: int
    words: Mapping[str, int] = {}
    sha256: str = ""


class FieldIds:
    """The table rows of one field's values, where an encoder expects a dict; `first`: the row of
    the value at place 0.
    """

    def __init__(self, packed: "PackedIds", name: str, first: int) -> None:
        self._prefix = _prefix(packed.salt, name)
        self._packed = packed
        # an item of it is a Python int, at a tenth of the cost of numpy's scalar
        self._keys, self._starts = packed.keys.data, packed.starts.data
        self._first = first

    def get(self, value: Any, /) -> int | None:
        """The row of a text; None where it has none, and of what is no text."""
        if value.__class__ is not str:
            return None
        key = int.from_bytes(_hash(self._prefix, value), "little")
        bucket = key >> self._packed.shift
        end = self._starts[bucket + 1]
        at = bisect_left(self._keys, key, self._starts[bucket], end)
        if at == end or self._keys[at] != key:
            return None
        return self._first + int(self._packed.places[at])

    def find(self, values: Sequence[Any]) -> list[int | None]:
        """The rows of texts and whole numbers, in one look-up; None for all else, and for whole
        numbers where they are few, whose text forms `get` knows.
        """
        if len(values) < FEW:
            return list(map(self.get, values))
        prefix = self._prefix
        try:  # nearly every value is text, and no other kind has encode()
            hashed = [blake2b(prefix + value.encode(), digest_size=8).digest() for value in values]
        except (AttributeError, UnicodeEncodeError):
            hashed = [
                _hash(prefix, value if value.__class__ is str else str(value))
                if value.__class__ in (str, int)
                else NO_KEY
                for value in values
            ]
        packed = self._packed
        keys = np.frombuffer(b"".join(hashed), dtype="<u8")
        # all keys that it may be at once: memory answers 50 of such questions as fast as one
        begin = packed.starts.take(keys >> packed.shift)
        same = packed.keys.take(begin[:, None] + packed.steps, mode="clip") == keys[:, None]
        at = begin + same.argmax(1)
        rows: list[int | None] = (packed.places.take(at, mode="clip") + self._first).tolist()
        found = same.any(1)
        if np.count_nonzero(found) < len(rows):
            return [row if one else None for row, one in zip(rows, found.tolist(), strict=True)]
        return rows


class PackedIds:
    """A file of packed values that is whole. `fields`: those that it has. `digest`: its end."""

    def __init__(self, data: Buffer, source: str = "packed values") -> None:
        """`source` names it in errors.

        Raises:
            BundleError: it is not what was written.
        """
        with memoryview(data) as view:
            self.digest = bytes(view[-DIGEST_BYTES:])
            if hashlib.sha256(view[:-DIGEST_BYTES]).digest() != self.digest:
                raise BundleError(f"{source}: its sha256 is not the one at its end", "vocabulary")
        end = data.find(b"\n") + 1
        try:
            header = json.loads(data[:end])
            self.salt, values = int(header["salt"]), int(header["values"])
            self.fields = {name: PackedField(*one) for name, one in header["fields"].items()}
            bits, span = int(header["bits"]), int(header["span"])
            begin = _up_to_page(end)
            keys = np.frombuffer(data, "<u8", values, begin)
            begin += keys.nbytes
            starts = np.frombuffer(data, "<u4", 2**bits + 1, begin)
            places = np.frombuffer(data, "<u4", values, begin + starts.nbytes)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{source}: not packed values: {error}", "vocabulary") from error
        self.keys: NDArray[np.uint64] = keys
        self.starts: NDArray[np.uint32] = starts
        self.places: NDArray[np.uint32] = places
        self.steps = np.arange(span, dtype=np.uint32)
        self.shift = 64 - bits

    @classmethod
    def map(cls, path: Path) -> "PackedIds":
        """A file, mapped: its pages are in memory once, whatever number of processes map it.

        Raises:
            BundleError: it is not what was written.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), str(path))

    def ids(self, name: str, first: int) -> FieldIds:
        """The rows of one field's values."""
        return FieldIds(self, name, first)


def pack(fields: Mapping[str, tuple[Sequence[str], PackedField]]) -> bytearray:
    """A file of fields with values, which are in the order of their ids."""
    keys, salt = _distinct_keys({name: values for name, (values, _) in fields.items()})
    order = np.argsort(keys)
    keys = keys[order]
    places = [np.arange(len(values), dtype="<u4") for values, _ in fields.values()]
    bits = max(len(keys).bit_length() - 2, 1)  # two to four keys each
    bounds = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits)
    starts = np.append(keys.searchsorted(bounds), len(keys)).astype("<u4")
    header = {
        "salt": salt,
        "values": len(keys),
        "bits": bits,
        "span": int(np.diff(starts).max()),
        "fields": {name: described for name, (_, described) in fields.items()},
    }
    packed = bytearray(json.dumps(header).encode() + b"\n")
    packed += bytes(_up_to_page(len(packed)) - len(packed))
    packed += keys.data
    packed += starts.data
    packed += np.concatenate(places)[order].data
    packed += hashlib.sha256(packed).digest()
    return packed


def _distinct_keys(fields: Mapping[str, Sequence[str]]) -> tuple[NDArray[np.uint64], int]:
    # with the first salt by which they are distinct, and none is NO_KEY: 0 but once in 10^5 files
    # of 10^7 values
    for salt in count():
        hashed = [
            _hash_all(_prefix(salt, name), values[start : start + HASHED_AT_ONCE])
            for name, values in fields.items()
            for start in range(0, len(values), HASHED_AT_ONCE)
        ]
        keys = np.frombuffer(b"".join(hashed), dtype="<u8")
        ascending = np.sort(keys)
        if ascending[0] and not (ascending[1:] == ascending[:-1]).any():
            return keys, salt
    raise AssertionError  # the salts have no end


def _hash_all(prefix: bytes, texts: Sequence[str]) -> bytes:
    return b"".join([_hash(prefix, text) for text in texts])


def _prefix(salt: int, field: str) -> bytes:
    return f"{salt}\0{field}\0".encode()


def _hash(prefix: bytes, text: str) -> bytes:
    # half a surrogate pair, which JSON may have, is in no vocabulary
    return blake2b(prefix + text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _up_to_page(size: int) -> int:
    return size + -size % PAGE
