"""The keys by which rows are held out, of whole columns: as `model.held_out` has them of rows."""

from collections.abc import Mapping

import numpy as np

from model.held_out import Keys, Known, keys_by, value_hashes
from model.values.values import Column
from training.columns.cells import Cells, Numbers

MOST_KNOWN = 1 << 14


def column_keys(
    columns: Mapping[str, Column], rows: int, known: "KnownHashes | None" = None
) -> Keys:
    """See `model.held_out.field_keys`. `known`: the hashes of the values of other rows."""
    known = KnownHashes() if known is None else known
    return keys_by(
        (_hashes(name, column, known.of(name)) for name, column in columns.items()), rows
    )


class KnownHashes:
    """The hashes of values that were met before, by column: of each, about MOST_KNOWN. It may be
    used by several threads.
    """

    def __init__(self) -> None:
        self._columns: dict[str, Known] = {}

    def of(self, name: str) -> Known:
        """Those of one column, to which more may be put."""
        known = self._columns.get(name)
        if known is None or len(known) > MOST_KNOWN:  # most of those that come often come again
            known = self._columns[name] = {}
        return known


def _hashes(name: str, column: Column, known: Known) -> Keys:
    if isinstance(column, Numbers):
        distinct, codes = np.unique(column.array, return_inverse=True)
        return value_hashes(name, Numbers(distinct), known)[codes]
    if isinstance(column, Cells):
        used, places = column.used()
        hashes = np.zeros(len(column.distinct), np.uint64)
        hashes[places] = value_hashes(name, used, known)
        return hashes.take(column.codes)
    return value_hashes(name, column, known)
