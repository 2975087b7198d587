"""The keys by which rows are held out, of whole columns: as `model.held_out` has them of rows."""

from collections.abc import Mapping

import numpy as np

from model.held_out import Keys, keys_by, value_hashes
from model.values.values import Column
from training.columns.cells import Cells, Numbers


def column_keys(columns: Mapping[str, Column], rows: int) -> Keys:
    """See `model.held_out.field_keys`."""
    return keys_by((_hashes(name, column) for name, column in columns.items()), rows)


def _hashes(name: str, column: Column) -> Keys:
    if isinstance(column, Numbers):
        distinct, codes = np.unique(column.array, return_inverse=True)
        return value_hashes(name, Numbers(distinct))[codes]
    if isinstance(column, Cells):
        used, places = column.used()
        known = np.zeros(len(column.distinct), np.uint64)
        known[places] = value_hashes(name, used)
        return known.take(column.codes)
    return value_hashes(name, column)
