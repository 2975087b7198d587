"""Raw rows to what the graphs read: ids and values. The one encoder of training and serving.

It works field by field on columns, because training has columns and an ad request has few fields
and many candidates; a row is a mapping from field name to value.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError
from model.fields import FieldEncoder, field_encoder
from model.schema import NumericField, Schema
from model.values import Column, Row
from model.vocabulary import UNKNOWN, FieldVocabulary

NO_ROW: Row = {}


@dataclass(frozen=True, slots=True)
class Encoded:
    """B rows of F slots.

    `ids`: int64 [B, F], rows of the embedding table. `values`: float32 [B, F], the x_i; 0 where the
    feature is not there, so `values != 0` is the paper's R_x. `unknown`: how many values of a field
    training never saw. `ignored`: how many different keys no field names. `shared`: whether the
    fields of the context's role come from one context, so that all rows have the same there.
    """

    ids: NDArray[np.int64]
    values: NDArray[np.float32]
    unknown: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    shared: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, start: int, stop: int) -> "Encoded":
        """Rows start..stop, without the counts."""
        return Encoded(self.ids[start:stop], self.values[start:stop], shared=self.shared)


class Encoder:
    """Encodes rows by a schema and what each of its fields learnt in training.

    `offsets`: int64 [F], the first table row of each slot's field. `rows`: V, rows of the table.
    """

    def __init__(self, schema: Schema, vocabularies: Mapping[str, FieldVocabulary]) -> None:
        self.schema = schema
        self._names = frozenset(schema.fields)
        self._shareable = {n for n, field in schema.fields.items() if field.role == "context"}
        self._fields: list[FieldEncoder] = []
        offsets: list[int] = []
        self.rows = 0
        for name, described in schema.fields.items():
            encoder = field_encoder(name, described, vocabularies[name], self.rows, schema.strict)
            encoder.slots = slice(len(offsets), len(offsets) + described.width)
            self._fields.append(encoder)
            offsets += [self.rows] * described.width
            self.rows += vocabularies[name].size
        self.offsets: NDArray[np.int64] = np.array(offsets, dtype=np.int64)

    def encode(self, rows: Sequence[Row]) -> Encoded:
        """Encode rows that each stand for themselves.

        Raises:
            InputError: a row without any field of the schema, or a value its field cannot hold.
        """
        return self.encode_request(NO_ROW, rows)

    def encode_request(self, context: Row, candidates: Sequence[Row]) -> Encoded:
        """Encode one context with each of its candidates; where both have a field, the candidate's
        value wins.

        Raises:
            InputError: see `encode`; `row` is the candidate's position, None for the context.
        """
        if self._names.isdisjoint(context):
            self._require_a_field(candidates)
        varying: set[str] = set().union(*candidates)
        columns: dict[str, Column] = {
            name: [context[name]] for name in context if name in self._names
        }
        for name in varying & self._names:
            shared = context.get(name)
            columns[name] = [row.get(name, shared) for row in candidates]
        encoded = self._encode(columns, varying, len(candidates))
        extra = len(varying - self._names) + sum(name not in self._names for name in context)
        shared = bool(context) and self._shareable.isdisjoint(varying)
        return Encoded(encoded.ids, encoded.values, encoded.unknown, extra, shared)

    def encode_columns(self, columns: Mapping[str, Column], rows: int) -> Encoded:
        """Encode a log: one column of `rows` values for each field; a field without one is missing.

        Raises:
            InputError: a value that its field cannot hold.
        """
        return self._encode(columns, columns, rows)

    def _encode(
        self, columns: Mapping[str, Column], varying: Collection[str], rows: int
    ) -> Encoded:
        ids = np.empty((rows, len(self.offsets)), dtype=np.int64)
        values = np.zeros((rows, len(self.offsets)), dtype=np.float32)
        unknown: dict[str, int] = {}
        for encoder in self._fields:
            name, slots = encoder.name, encoder.slots
            if name in varying:
                unseen = encoder.fill(columns[name], ids[:, slots], values[:, slots])
            else:  # the same for every row: encoded once, then repeated
                one_id = np.empty((1, slots.stop - slots.start), dtype=np.int64)
                one_value = np.zeros(one_id.shape, dtype=np.float32)
                try:
                    unseen = encoder.fill(columns.get(name, (None,)), one_id, one_value)
                except InputError as error:
                    error.row = None
                    raise
                ids[:, slots], values[:, slots] = one_id, one_value
            if unseen:
                unknown[name] = unseen
        return Encoded(ids, values, unknown)

    def _require_a_field(self, rows: Sequence[Row]) -> None:
        for position, row in enumerate(rows):
            if self._names.isdisjoint(row):
                raise InputError(
                    "no_known_field", "the row has no field that the model knows", row=position
                )

    def texts(self, row: Row) -> list[str | None]:
        """What stands in each of the F slots of one row, as text; None where nothing does."""
        found: list[str | None] = []
        for encoder in self._fields:
            width = encoder.slots.stop - encoder.slots.start
            given = encoder.texts(row.get(encoder.name))[:width]
            found += given + [None] * (width - len(given))
        return found

    def unknown(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the ids [B, F] are the unknown row of their field."""
        is_unknown: NDArray[np.bool_] = ids - self.offsets == UNKNOWN
        return is_unknown

    @property
    def slot_fields(self) -> list[int]:
        """[F]: the field of each slot, counted from 0 in the order of the schema."""
        return [
            number
            for number, field in enumerate(self.schema.fields.values())
            for _ in range(field.width)
        ]

    @property
    def droppable(self) -> NDArray[np.bool_]:
        """[F]: the slots whose values come from a vocabulary, so that an unknown one can occur."""
        return np.array(
            [not isinstance(self.schema.fields[n], NumericField) for n in self.schema.slots]
        )
