"""Whole columns to ids and values: what `model.encoding` makes of them row by row, but from the
different values alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.errors import InputError
from model.fields import FieldEncoder, NumberEncoder
from model.values.values import Column
from training.columns.cells import Cells, Codes, Numbers

ROWS_AT_ONCE = 4096  # whose ids of all fields stay in the cache

Ids = NDArray[np.int64]
Values = NDArray[np.float32]


def encode_columns(encoder: Encoder, columns: Mapping[str, Column], rows: int) -> Encoded:
    """As `Encoder.encode_columns`.

    Raises:
        InputError: see there.
    """
    group = encoder.whole
    ids = np.empty((rows, group.width), np.int64)
    values = np.zeros((rows, group.width), np.float32)
    coded: list[tuple[_Coded, slice]] = []
    for field, slots in group.fields:
        column = columns.get(field.source)
        if column is None:
            column = Cells.of_null(rows)
        if isinstance(column, Cells):
            coded.append((_coded(field, column), slots))
        else:
            _fill(field, column, ids[:, slots], values[:, slots])
    for start in range(0, rows, ROWS_AT_ONCE):
        at = slice(start, start + ROWS_AT_ONCE)
        for known, slots in coded:
            codes = known.codes[at]
            ids[at, slots] = known.ids.take(codes, axis=0)  # several times as fast as [codes]
            values[at, slots] = known.values.take(codes, axis=0)
    return Encoded(ids, values, group.unknown(ids))


@dataclass(frozen=True)
class _Coded:
    # what a field's slots hold for each of the values that a column's codes [B] stand for

    codes: Codes
    ids: Ids
    values: Values


def _coded(field: FieldEncoder, column: Cells) -> _Coded:
    used, places = column.used()
    some_ids = np.empty((len(used), field.width), np.int64)
    some_values = np.zeros(some_ids.shape, np.float32)
    try:
        field.fill(used, some_ids, some_values)
    except InputError:
        shape = len(column), field.width  # by row it fails as well, and says in which
        field.fill(column, np.empty(shape, np.int64), np.zeros(shape, np.float32))
        raise
    ids = np.zeros((len(column.distinct), field.width), np.int64)
    values = np.zeros(ids.shape, np.float32)
    ids[places], values[places] = some_ids, some_values
    return _Coded(column.codes, ids, values)


def _fill(field: FieldEncoder, column: Column, ids: Ids, values: Values) -> None:
    if not (isinstance(column, Numbers) and isinstance(field, NumberEncoder)):
        field.fill(column, ids, values)
        return
    missing = np.isnan(column.array)
    if missing.any():
        field.write(np.where(missing, 0.0, column.array), missing, ids, values)
    else:
        field.write(column.array, None, ids, values)
