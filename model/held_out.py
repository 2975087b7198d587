"""Which rows are held out for ever: a function of only a row's content, so that neither its
position nor the length of the log nor a seed decides. What one fit held out no later fit of a
longer log is trained on, and so both can be judged on it.

The key of a row is 64 bits of its group where the schema has groups, else of its time, else of its
fields. The rows whose key lies in the lowest `share` of all keys are held out. So copies of a row,
rows of one group and rows of one time are on one side, whatever their labels are.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from model.values.values import Column, canonical

SALT = "1"  # another one is another split: with each change of what a key is made of

Keys = NDArray[np.uint64]


class HeldOut(BaseModel):
    """The rule by which rows were held out: `columns` are what the key is made of, by the kind that
    `by` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    by: Literal["group", "time", "fields"]
    columns: list[str]
    share: float = Field(gt=0, lt=1)
    salt: str = SALT

    def has_keys_of(self, other: "HeldOut") -> bool:
        """Whether both give a row the same key."""
        return (self.by, sorted(self.columns), self.salt) == (
            *(other.by, sorted(other.columns)),
            other.salt,
        )

    def holds_out(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of the rows with these keys are held out, bool [B]."""
        # the highest bits, which a float64 holds whole
        held: NDArray[np.bool_] = (keys >> np.uint64(11)) < self.share * 2**53
        return held


def common(one: HeldOut | None, other: HeldOut | None) -> HeldOut | None:
    """The rule of the rows that both rules hold out; None where that is not known."""
    if one is None or other is None or not one.has_keys_of(other):
        return None
    return one if one.share <= other.share else other


def number_keys(numbers: NDArray[np.int64] | NDArray[np.float64], salt: str = SALT) -> Keys:
    """Keys of groups or times, [B]."""
    plain = numbers + 0.0 if numbers.dtype == np.float64 else numbers.astype(np.int64)  # -0 is 0
    return _mixed(plain.view(np.uint64), salt)


def field_keys(columns: Mapping[str, Column], rows: int, salt: str = SALT) -> Keys:
    """Keys of `rows` rows by all values of the columns; a null and an absent column are one."""
    hashes = (value_hashes(name, column) for name, column in columns.items())
    return keys_by(hashes, rows, salt)


def keys_by(hashes: Iterable[Keys], rows: int, salt: str = SALT) -> Keys:
    """Keys of `rows` rows by the hashes of their values, column by column."""
    total = np.zeros(rows, np.uint64)
    for of_column in hashes:
        total += of_column  # of 64 bits: an overflow only wraps
    return _mixed(total, salt)


def text_number(text: str) -> int:
    """A number of 63 bits for a text, equal only for equal texts."""
    return _hash(text) >> 1


Known = dict[tuple[type, Any], int]  # the hashes of values by their types, as True is 1 in a dict


def value_hashes(name: str, column: Column, known: Known | None = None) -> Keys:
    """A hash of each value of a column and of the column's name; 0 of null. `known`: hashes of
    values of this column, which are not computed again, and more of which are put there.
    """
    known = {} if known is None else known
    found = np.zeros(len(column), np.uint64)
    for at, value in enumerate(column):
        if value is None or value == "":
            continue
        if isinstance(value, list | tuple):
            found[at] = _hash(f"{name}\n{_list_text(value)}") if value else 0
            continue
        key = (value.__class__, value)
        hashed = known.get(key)
        if hashed is None:
            hashed = known[key] = _hash(f"{name}\n{canonical(value)}")
        found[at] = hashed
    return found


def _list_text(values: Sequence[Any]) -> str:
    return "\n".join("" if value is None else canonical(value) for value in values)


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _mixed(numbers: Keys, salt: str) -> Keys:
    # splitmix64's finaliser: every bit of a number reaches every bit of its key
    keys = numbers ^ np.uint64(_hash(salt))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))
