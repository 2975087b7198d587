"""A tensor of a request as a column of values, whether it came as JSON or as bytes.

A number of FP32 is the shortest decimal that gives the float back, as in a log (docs/values.md).

>>> Column("price", np.array([0.1, np.nan], np.float32), None).part(0, 2)
[0.1, None]
"""

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw
from numpy.typing import NDArray

from model.errors import InputError
from model.values.values import Row
from service.errors import MalformedBody
from service.limits import InputLimits
from service.scoring.unread_rows import shown

AT_ONCE = 100  # rows that are made in one go
BYTES, BOOL, FP32, FP64 = "BYTES", "BOOL", "FP32", "FP64"
DTYPES: dict[str, Any] = {
    BOOL: np.dtype("?"),
    FP32: np.dtype("<f4"),
    FP64: np.dtype("<f8"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4)},
}
DATATYPES = (BYTES, *DTYPES)
_SIZE = struct.Struct("<I")  # of each element of BYTES, before it

Values = Sequence[Any] | NDArray[Any]


def _decoder(datatype: str) -> "msgspec.json.Decoder[list[Any]]":
    kind: Any
    kinds: dict[str, Any] = {BYTES: str, BOOL: bool, FP32: float, FP64: float}
    if datatype in kinds:
        kind = kinds[datatype]
    else:
        limits = np.iinfo(DTYPES[datatype])
        kind = Annotated[int, Meta(ge=int(limits.min), le=int(limits.max))]
    return msgspec.json.Decoder(list[kind | list[kind | None] | None])


_DECODERS = {datatype: _decoder(datatype) for datatype in DATATYPES}


class Column:
    """The values of one input: one a row, or a list of `width` a row."""

    def __init__(self, name: str, values: Values, width: int | None) -> None:
        self.name = name
        self._values = values
        self._width = width

    def part(self, start: int, stop: int) -> list[Any]:
        """Those of rows start..stop, as JSON would hold them; null for NaN.

        Raises:
            InputError: bytes that are not UTF-8; `row` counts from `start`.
        """
        width = self._width
        if width is None:
            return self._plain(self._values[start:stop])
        flat = self._plain(self._values[start * width : stop * width])
        return [flat[at : at + width] for at in range(0, len(flat), width)]

    def _plain(self, values: Values) -> list[Any]:
        if isinstance(values, np.ndarray):
            if values.dtype == np.float32:
                found = [float(text) for text in values.astype(np.str_)]
            else:
                found = values.tolist()
            if values.dtype.kind == "f" and np.isnan(values).any():
                return [None if value != value else value for value in found]
            return found
        return [self._text(v, at) if isinstance(v, bytes) else v for at, v in enumerate(values)]

    def _text(self, value: bytes, at: int) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            text = f"field {shown(self.name)}: the bytes are not UTF-8"
            row = at // (self._width or 1)
            raise InputError("not_unicode", text, row=row, field=self.name) from None


class ColumnRows(Sequence[Row]):
    """The rows of some columns, made when somebody looks at them, each within `limits`."""

    def __init__(self, columns: Sequence[Column], rows: int, limits: InputLimits) -> None:
        self._columns = columns
        self._rows = rows
        self._limits = limits

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, place: Any) -> Any:
        """One row, or a slice of them; raises as `Column.part` does."""
        found = range(self._rows)[place]
        if isinstance(found, range):
            return self._made(found.start, found.stop)
        return self._made(found, found + 1)[0]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, self._rows, AT_ONCE):
            yield from self[start : start + AT_ONCE]

    def _made(self, start: int, stop: int) -> list[Row]:
        parts = [column.part(start, stop) for column in self._columns]
        names = [column.name for column in self._columns]
        rows: list[Row] = [
            dict(zip(names, values, strict=True)) for values in zip(*parts, strict=True)
        ]
        for position, row in enumerate(rows):
            self._limits.check(row, position)
        return rows


def from_json(name: str, datatype: str, data: Raw | bytes, size: int) -> Values:
    """The `size` values of an input's `data`, flat or row by row; null is missing.

    Raises:
        InputError: values of another type, or another number of them.
    """
    try:
        found = _DECODERS[datatype].decode(data)
    except msgspec.ValidationError as error:
        place = re.search(r"\$\[(\d+)\]", str(error))
        at = f" at {place[1]}" if place else ""
        raise _fault(name, f"its data is no list of {datatype}{at}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody(f"the data of input {shown(name)} cannot be read as JSON") from None
    if any(isinstance(value, list) for value in found):
        found = [v for value in found for v in (value if isinstance(value, list) else [value])]
    if len(found) != size:
        raise _fault(name, f"its data has {len(found)} values, its shape {size}")
    if datatype in (FP32, FP64):
        with np.errstate(over="ignore"):  # infinite then, which the encoder refuses
            return np.array(found, DTYPES[datatype])
    return found


def from_bytes(name: str, datatype: str, data: memoryview, size: int) -> Values:
    """The `size` values of an input's bytes.

    Raises:
        InputError: another number of bytes.
    """
    dtype = DTYPES.get(datatype)
    if dtype is not None:
        if len(data) != size * dtype.itemsize:
            raise _fault(name, f"it has {len(data)} bytes, its shape {size * dtype.itemsize}")
        if datatype == BOOL:
            truths: NDArray[np.bool_] = (
                np.frombuffer(data, np.uint8) != 0
            )  # 2 is no bool of numpy's
            return truths
        numbers: NDArray[Any] = np.frombuffer(data, dtype)
        return numbers
    found = []
    at, end = 0, len(data)
    for _ in range(size):
        start = at + _SIZE.size
        if start > end:
            break
        at = start + _SIZE.unpack_from(data, at)[0]
        found.append(bytes(data[start:at]))
    if len(found) != size or at != end:
        raise _fault(name, f"its bytes are not {size} values, each behind its length")
    return found


def _fault(name: str, text: str) -> InputError:
    return InputError("bad_tensor", f"input {shown(name)}: {text}", field=name)
