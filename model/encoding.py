r"""Raw rows to what the graphs read: ids and values. The one encoder of training and serving.

It works field by field on columns, because training has columns and an ad request has few fields
and many candidates; a row is a mapping from the fields' sources (their names, for most) to values.

>>> from model.schema import Schema
>>> from model.vocabulary import Vocabulary
>>> schema = Schema.parse('label = "click"\n[fields.device]\nkind = "categorical"\n')
>>> encoder = Encoder(schema, {"device": Vocabulary(("ios", "web"))})
>>> encoder.encode([{"device": "web"}, {"device": "tv"}, {"device": None}]).ids.tolist()
[[4], [2], [1]]
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError
from model.fields import FieldEncoder, field_encoder
from model.schema import NumericField, Schema
from model.values.ids import UNKNOWN
from model.values.paths import Paths
from model.values.values import Column, Row
from model.vocabulary import FieldVocabulary

NO_ROW: Row = {}
SMALL_BATCH_ROWS = 8  # rows that are encoded one by one; more are faster by column


@dataclass(frozen=True, slots=True)
class Encoded:
    """B rows of S slots: all F of them, or those of one side.

    `ids`: int64 [B, S], rows of the embedding table. `values`: float32 [B, S], the x_i; 0 where the
    feature is not there, so `values != 0` is the paper's R_x. `unknown`: how many values of a field
    training never saw. `ignored`: how many different keys no field names.
    """

    ids: NDArray[np.int64]
    values: NDArray[np.float32]
    unknown: dict[str, int] = field(default_factory=dict)
    ignored: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, start: int, stop: int) -> "Encoded":
        """Rows start..stop, without the counts."""
        return Encoded(self.ids[start:stop], self.values[start:stop])


@dataclass(frozen=True, slots=True)
class Slate:
    """One context with its N ads, each in the slots of its own side, C and A of them.

    `context`: one row. `ad_partials`: what the rank graph needs of each ad whatever the context is,
    float32 [N, D]; None where it has still to be computed.
    """

    context: Encoded
    ads: Encoded
    ad_partials: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ads)


class FieldGroup:
    """Some fields of the schema, side by side in slots: the context's, the ads', or all.

    `fields`: their encoders with their slots. `names`: the keys of a row that they read. `width`:
    all of their slots.
    """

    def __init__(self, encoders: Iterable[FieldEncoder]) -> None:
        self.fields: list[tuple[FieldEncoder, slice]] = []
        self.width = 0
        for encoder in encoders:
            self.fields.append((encoder, slice(self.width, self.width + encoder.width)))
            self.width += encoder.width
        self.names = frozenset(encoder.source for encoder, _ in self.fields)
        unknown = [e.offset + UNKNOWN for e, _ in self.fields for _ in range(e.width)]
        self._unknown: NDArray[np.int64] = np.array(unknown, dtype=np.int64)

    def columns(
        self, columns: Mapping[str, Column], varying: Collection[str], rows: int
    ) -> Encoded:
        """Rows by their columns; a field that is not `varying` has one value for all of them."""
        ids = np.empty((rows, self.width), dtype=np.int64)
        values = np.zeros((rows, self.width), dtype=np.float32)
        unknown: dict[str, int] = {}
        for encoder, slots in self.fields:
            source = encoder.source
            if source in varying:
                unseen = encoder.fill(columns[source], ids[:, slots], values[:, slots])
            else:  # the same for every row: encoded once, then repeated
                one_id = np.empty((1, encoder.width), dtype=np.int64)
                one_value = np.zeros(one_id.shape, dtype=np.float32)
                try:
                    unseen = encoder.fill(columns.get(source, (None,)), one_id, one_value)
                except InputError as error:
                    error.row = None
                    raise
                ids[:, slots], values[:, slots] = one_id, one_value
            if unseen:
                unknown[encoder.name] = unseen
        return Encoded(ids, values, unknown)

    def rows(self, rows: Sequence[Row]) -> Encoded:
        """A few rows, without the overhead of columns.

        Raises:
            InputError: a value that its field cannot hold.
        """
        ids: list[int] = []
        values: list[float] = []
        unknown: dict[str, int] = {}
        for position, row in enumerate(rows):
            get = row.get
            for encoder, _ in self.fields:
                try:
                    unseen = encoder.append(get(encoder.source), ids, values)
                except InputError as error:
                    error.row = position
                    raise
                if unseen:
                    unknown[encoder.name] = unknown.get(encoder.name, 0) + unseen
        shape = len(rows), self.width
        return Encoded(
            np.array(ids, dtype=np.int64).reshape(shape),
            np.array(values, dtype=np.float32).reshape(shape),
            unknown,
        )

    def readers(self, source: str) -> list[tuple[FieldEncoder, slice]]:
        """The encoders that read this source, each with its slots."""
        return [(encoder, slots) for encoder, slots in self.fields if encoder.source == source]

    def unknown(self, ids: NDArray[np.int64]) -> dict[str, int]:
        """How many of the ids [B, width] are the unknown row, by field."""
        found = ids == self._unknown
        if not np.count_nonzero(found):  # much faster than any()
            return {}
        counts = found.sum(0)
        return {
            encoder.name: count
            for encoder, slots in self.fields
            if (count := int(counts[slots].sum()))
        }


class Encoder:
    """Encodes rows by a schema and what each of its fields learnt in training.

    `offsets`: int64 [F], the first table row of each slot's field. `rows`: V, rows of the table.
    `whole`: all fields; `context`, `ads`: those of either role.
    """

    def __init__(self, schema: Schema, vocabularies: Mapping[str, FieldVocabulary]) -> None:
        self.schema = schema
        offsets: list[int] = []
        self._fields: list[FieldEncoder] = []
        self.rows = 0
        for name, described in schema.fields.items():
            encoder = field_encoder(name, described, vocabularies[name], self.rows, schema.strict)
            self._fields.append(encoder)
            offsets += [self.rows] * encoder.width
            self.rows += vocabularies[name].size
        self.offsets: NDArray[np.int64] = np.array(offsets, dtype=np.int64)
        self.whole = FieldGroup(self._fields)
        self._paths = Paths.of(schema.sources)
        self.context, self.ads = (
            FieldGroup(e for e in self._fields if schema.fields[e.name].role == role)
            for role in ("context", "candidate")
        )

    def encode(self, rows: Sequence[Row]) -> Encoded:
        """Encode rows that each stand for themselves.

        Raises:
            InputError: a row without any field of the schema, or a value its field cannot hold.
        """
        return self.encode_request(NO_ROW, rows)

    def encode_request(self, context: Row, candidates: Sequence[Row]) -> Encoded:
        """Encode one context with each of its candidates to whole rows; where both have a field,
        the candidate's value wins.

        Raises:
            InputError: see `encode`; `row` is the candidate's position, None for the context.
        """
        if self._paths is not None:
            context, candidates = self._paths.flat(context), self._paths.flat_rows(candidates)
        names = self.whole.names
        if names.isdisjoint(context):
            self._require_a_field(candidates)
        varying: set[str] = set().union(*candidates)
        if not context and len(candidates) <= SMALL_BATCH_ROWS:
            encoded = self.whole.rows(candidates)
            ignored = len(varying - names)
            return Encoded(encoded.ids, encoded.values, encoded.unknown, ignored)
        columns: dict[str, Column] = {name: [context[name]] for name in context if name in names}
        for name in varying & names:
            shared = context.get(name)
            columns[name] = [row.get(name, shared) for row in candidates]
        encoded = self.whole.columns(columns, varying, len(candidates))
        extra = len(varying - names) + sum(name not in names for name in context)
        return Encoded(encoded.ids, encoded.values, encoded.unknown, extra)

    def encode_context(self, context: Row) -> Encoded | None:
        """Encode a context by itself, [1, C]; None where it has fields of the ads, or none of its
        own: then it has to be encoded with them.

        Raises:
            InputError: a value that its field cannot hold.
        """
        context = self.flat(context)
        known = len(self.context.names & context.keys())
        if not known or not self.ads.names.isdisjoint(context):
            return None
        try:
            encoded = self.context.rows([context])
        except InputError as error:
            error.row = None
            raise
        ignored = len(context) - known
        return Encoded(encoded.ids, encoded.values, encoded.unknown, ignored)

    def encode_ads(self, ads: Sequence[Row]) -> Encoded | None:
        """Encode ads by themselves, [N, A]; None where one has a field of the context.

        Raises:
            InputError: a value that its field cannot hold; `row` is the ad's position.
        """
        if self._paths is not None:
            ads = self._paths.flat_rows(ads)
        varying: set[str] = set().union(*ads)
        if not self.context.names.isdisjoint(varying):
            return None
        known = varying & self.ads.names
        if len(ads) <= SMALL_BATCH_ROWS:
            encoded = self.ads.rows(ads)
        else:
            columns = {name: [row.get(name) for row in ads] for name in known}
            encoded = self.ads.columns(columns, known, len(ads))
        ignored = len(varying) - len(known)
        return Encoded(encoded.ids, encoded.values, encoded.unknown, ignored)

    def encode_columns(self, columns: Mapping[str, Column], rows: int) -> Encoded:
        """Encode a log: one column of `rows` values for each source of the schema; a field without
        one is missing.

        Raises:
            InputError: a value that its field cannot hold.
        """
        return self.whole.columns(columns, columns, rows)

    def _require_a_field(self, rows: Sequence[Row]) -> None:
        for position, row in enumerate(rows):
            if self.whole.names.isdisjoint(row):
                raise InputError(
                    "no_known_field", "the row has no field that the model knows", row=position
                )

    def readers(self, source: str) -> list[tuple[FieldEncoder, slice]]:
        """The encoders of the fields that read this source, each with its slots of the F."""
        return self.whole.readers(source)

    def flat(self, row: Row) -> Row:
        """A row by only the fields' sources; see `Paths.flat`."""
        return row if self._paths is None else self._paths.flat(row)

    def texts(self, row: Row) -> list[str | None]:
        """What stands in each of the F slots of a flat row, as text; None where nothing does."""
        found: list[str | None] = []
        for encoder in self._fields:
            given = encoder.texts(row.get(encoder.source))[: encoder.width]
            found += given + [None] * (encoder.width - len(given))
        return found

    def unknown(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the ids [B, F] are the unknown row of their field."""
        is_unknown: NDArray[np.bool_] = ids - self.offsets == UNKNOWN
        return is_unknown

    @property
    def slot_fields(self) -> list[int]:
        """[F]: the field of each slot, counted from 0 in the order of the schema."""
        names = list(self.schema.fields)
        return [names.index(name) for name in self.schema.slots]

    @property
    def droppable(self) -> NDArray[np.bool_]:
        """[F]: the slots whose values come from a vocabulary, so that an unknown one can occur."""
        fields = (self.schema.fields[name] for name in self.schema.slots)
        return np.array([not isinstance(f, NumericField) and f.buckets is None for f in fields])
