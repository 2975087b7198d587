"""What fields learn of whole columns: as `model.vocabulary` does row by row, from the counts of the
different values.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.schema import CategoricalField, MultivalueField, NumericField, Schema
from model.schema import Field as Described
from model.values.values import Column
from model.vocabulary import (
    Buckets,
    FieldVocabulary,
    Vocabulary,
    bucketed,
    fit_numbers,
    fit_vocabulary,
    grow_vocabulary,
)
from training.columns.cells import Cells, Numbers


def learnt(schema: Schema, columns: Mapping[str, Column]) -> dict[str, FieldVocabulary]:
    """What each field learns of its source's column."""
    return {
        name: _fitted(field, columns[schema.sources[name]]) for name, field in schema.fields.items()
    }


def grown(
    schema: Schema, known: Mapping[str, FieldVocabulary], columns: Mapping[str, Column]
) -> dict[str, FieldVocabulary]:
    """What each field knows after newer rows; see `grow_vocabulary`."""
    return {
        name: _grown(known[name], field, columns[schema.sources[name]])
        for name, field in schema.fields.items()
    }


def counted(described: Described, values: Iterable[Any], counts: Iterable[int]) -> Any:
    """Pairs of a scalar that a field with a vocabulary is fed and how often, of the values of its
    source and how often each comes.
    """
    if isinstance(described, MultivalueField):
        # cut as the encoder cuts: a value that is never fed would keep an untrained row
        most, members = described.max_values, described.reading.members
        for cell, count in zip(values, counts, strict=True):
            for value in members(cell)[:most]:
                yield value, count
    else:
        own = described.own(list(values))
        yield from zip(own, counts, strict=True)


def numbers_of(described: NumericField, column: Column) -> NDArray[np.float64]:
    """The numbers of a field by its source's column, without nulls, in the order of the rows."""
    if isinstance(column, Numbers) and described.part is None:
        return column.array[~np.isnan(column.array)]
    if isinstance(column, Cells):
        used, places = column.used()
        known = np.full(len(column.distinct), np.nan)
        found = map(described.reading.number, described.own(used))
        known[places] = [np.nan if number is None else number for number in found]
        of_rows: NDArray[np.float64] = known.take(column.codes)
        return of_rows[~np.isnan(of_rows)]
    found = map(described.reading.number, described.own(column))
    return np.array([number for number in found if number is not None], np.float64)


def _fitted(described: Described, column: Column) -> FieldVocabulary:
    if isinstance(described, NumericField):
        return fit_numbers(described, numbers_of(described, column))
    if not isinstance(column, Cells):
        return fit_vocabulary(described, column)
    seen = _grown(Vocabulary(()), described, column)
    return seen if described.buckets is None else bucketed(seen, described.buckets)


def _grown(known: FieldVocabulary, described: Described, column: Column) -> FieldVocabulary:
    if (
        isinstance(known, Vocabulary)
        and not isinstance(known, Buckets)
        and isinstance(described, CategoricalField | MultivalueField)
        and isinstance(column, Cells)
    ):
        used, places = column.used()
        pairs = counted(described, used, column.counts()[places].tolist())
        return known.grown_by(pairs, described.min_count, described.reading)
    return grow_vocabulary(known, described, column)
