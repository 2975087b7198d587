"""One field of the schema: its column of raw values to ids and values. A class for each kind."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError
from model.schema import CategoricalField, Field, MultivalueField, NumericField
from model.values.buckets import BucketIds
from model.values.ids import ABSENT, FIRST, MISSING, UNKNOWN
from model.values.scales import Bins, Floats, Scaler
from model.values.values import Column
from model.vocabulary import Buckets, FieldVocabulary, Vocabulary

Ids = NDArray[np.int64]
Values = NDArray[np.float32]


class FieldEncoder(ABC):
    """What the kinds share. A field has `width` slots and table rows from `offset` on; it reads the
    key `source` of a row.
    """

    def __init__(self, name: str, described: Field, offset: int) -> None:
        self.name = name
        self.source = described.source or name
        self.offset = offset
        self.width = described.width
        self._reading = described.reading
        # a missing value is a feature of its own (x = 1), or no feature (x = 0)
        token = described.missing == "token"
        self.missing_id = offset + (MISSING if token else ABSENT)
        self.missing_value = 1.0 if token else 0.0

    @abstractmethod
    def fill(self, column: Column, ids: Ids, values: Values) -> int:
        """Write a column of B values into [B, width] views, of which `values` comes as zeros, and
        return how many of them training never saw.

        Raises:
            InputError: a value that the field cannot hold.
        """

    def append(self, value: Any, ids: list[int], values: list[float]) -> int:
        """Put `width` ids and values of one value behind those of other fields, as `fill` would,
        and return how many training never saw. A kind may have a faster way.

        Raises:
            InputError: see `fill`.
        """
        shape = 1, self.width
        some_ids, some_values = np.empty(shape, np.int64), np.zeros(shape, np.float32)
        unseen = self.fill((value,), some_ids, some_values)
        ids += some_ids[0].tolist()
        values += some_values[0].tolist()
        return unseen

    def texts(self, value: Any) -> list[str | None]:
        """A value as text, one for each slot that it takes."""
        return [self._reading.text(value)]

    def _fault(self, code: str, position: int, message: str) -> InputError:
        return InputError(code, f"field {self.name!r}: {message}", row=position, field=self.name)

    def _wrong_type(self, position: int, wanted: str, value: object) -> InputError:
        return self._fault("wrong_type", position, f"expected {wanted}, got {_json_type(value)}")


class _Values(FieldEncoder):
    # what the fields with a vocabulary share: the table row of one scalar

    def __init__(self, name: str, described: Field, vocabulary: Vocabulary, offset: int) -> None:
        super().__init__(name, described, offset)
        self.unknown_id = offset + UNKNOWN
        self._ids = vocabulary.ids(offset)
        if isinstance(vocabulary, Buckets):
            self._ids = BucketIds(self._reading, offset + FIRST, vocabulary.buckets)
        # of a large field all values at once: see PackedIds
        self._find: Callable[[Column], list[Any]] | None = getattr(self._ids, "find", None)
        self._words = {} if self._reading.as_text else vocabulary.words(offset)

    def _id_of(self, value: Any, position: int) -> int | None:
        # None of a value that is null
        if value.__class__ not in (str, int, float, bool):
            raise self._wrong_type(position, "a string, number or boolean", value)
        if value.__class__ is float and value - value != 0.0:
            raise self._fault("not_finite", position, "NaN and Infinity are not values")
        text = self._reading.text(value)
        if text is None:
            return None
        row = self._ids.get(text)
        if row is None and self._words:
            row = self._words.get(text.lower())
        return self.unknown_id if row is None else row


class _Categorical(_Values):
    def fill(self, column: Column, ids: Ids, values: Values) -> int:
        get, find = self._ids.get, self._find
        try:
            # nearly every value is text in its canonical form: one look-up, no more
            found: list[Any] = [get(value) for value in column] if find is None else find(column)
        except TypeError:  # a list or an object is not hashable
            found = [None] * len(column)
        values[:, 0] = 1.0
        unseen = 0
        if None in found:
            for position, known in enumerate(found):
                if known is None:
                    found[position], values[position, 0] = self._encoded(column[position], position)
                    unseen += found[position] == self.unknown_id
        ids[:, 0] = found
        return unseen

    def append(self, value: Any, ids: list[int], values: list[float]) -> int:
        known = self._ids.get(value) if value.__class__ is str else None
        if known is not None:
            ids.append(known)
            values.append(1.0)
            return 0
        row, x = self._encoded(value, 0)
        ids.append(row)
        values.append(x)
        return int(row == self.unknown_id)

    def _encoded(self, value: Any, position: int) -> tuple[int, float]:
        row = None if value is None else self._id_of(value, position)
        return (self.missing_id, self.missing_value) if row is None else (row, 1.0)


class _Multivalue(_Values):
    def __init__(
        self,
        name: str,
        described: MultivalueField,
        vocabulary: Vocabulary,
        offset: int,
        strict: bool,
    ) -> None:
        super().__init__(name, described, vocabulary, offset)
        self._most = described.max_values
        self._strict = strict

    def fill(self, column: Column, ids: Ids, values: Values) -> int:
        ids[:] = self.offset + ABSENT
        cells = [self._reading.members(value) for value in column]
        get = self._ids.get
        if self._find is not None:
            known = [part for parts in cells for part in parts if isinstance(part, str)]
            get = dict(zip(known, self._find(known), strict=True)).get
        unseen = 0
        for position, parts in enumerate(cells):
            if not parts:
                ids[position, 0], values[position, 0] = self.missing_id, self.missing_value
            if len(parts) > self._most:
                if self._strict:
                    said = f"{len(parts)} values, the schema allows {self._most}"
                    raise self._fault("too_many_values", position, said)
                del parts[self._most :]
            for slot, member in enumerate(parts):
                row = get(member) if isinstance(member, str) else None
                if row is None:
                    row = self._id_of(member, position)
                assert row is not None  # noqa: S101  members are not null
                unseen += row == self.unknown_id
                ids[position, slot], values[position, slot] = row, 1.0
        return unseen

    def append(self, value: Any, ids: list[int], values: list[float]) -> int:
        parts = self._reading.members(value)
        known = [self._ids.get(part) if part.__class__ is str else None for part in parts]
        empty = self.width - len(known)
        if not known or empty < 0 or None in known:
            return super().append(value, ids, values)
        ids += [*known, *[self.offset + ABSENT] * empty]  # type: ignore[list-item]  # None is above
        values += [1.0] * len(known) + [0.0] * empty
        return 0

    def texts(self, value: Any) -> list[str | None]:
        return [self._reading.text(member) for member in self._reading.members(value)]


class NumberEncoder(FieldEncoder):
    """Of a field whose values are numbers: a scale, or bins."""

    def __init__(self, name: str, described: Field, vocabulary: Scaler | Bins, offset: int) -> None:
        super().__init__(name, described, offset)
        self._vocabulary = vocabulary

    def fill(self, column: Column, ids: Ids, values: Values) -> int:
        """See `FieldEncoder`."""
        kinds = set(map(type, column))
        if not kinds <= {float, int, type(None)} or self._reading.null_numbers:
            column = [self._number(value, position) for position, value in enumerate(column)]
            kinds = set(map(type, column))
        missing = None
        if type(None) in kinds:
            missing = np.array([value is None for value in column])
            column = [0.0 if value is None else value for value in column]
        try:
            numbers = np.array(column, dtype=np.float64)
        except OverflowError:  # an integer of over 308 digits
            numbers = np.array([float(v) if abs(v) < 2**1023 else np.inf for v in column])
        finite = np.isfinite(numbers)
        if not finite.all():
            raise self._fault("not_finite", int(np.argmin(finite)), "a number must be finite")
        self.write(numbers, missing, ids, values)
        return 0

    def write(
        self, numbers: Floats, missing: NDArray[np.bool_] | None, ids: Ids, values: Values
    ) -> None:
        """As `fill`, of B finite numbers, those that are `missing` aside."""
        if isinstance(self._vocabulary, Bins):
            ids[:, 0] = self.offset + self._vocabulary.locate(numbers)
            values[:, 0] = 1.0
        else:
            ids[:, 0] = self.offset + FIRST
            values[:, 0] = self._vocabulary.transform(numbers)
        if missing is not None:
            ids[missing, 0], values[missing, 0] = self.missing_id, self.missing_value

    def append(self, value: Any, ids: list[int], values: list[float]) -> int:
        """See `FieldEncoder`."""
        plain = value.__class__ is float or (value.__class__ is int and abs(value) < 2**53)
        if not plain or value - value != 0.0 or value in self._reading.null_numbers:
            return super().append(value, ids, values)
        vocabulary = self._vocabulary
        if isinstance(vocabulary, Bins):
            ids.append(self.offset + vocabulary.locate_one(value))
            values.append(1.0)
        else:
            ids.append(self.offset + FIRST)
            values.append(vocabulary.transform_one(value))
        return 0

    def _number(self, value: Any, position: int) -> float | int | None:
        try:
            return self._reading.number(value)
        except ValueError:
            raise self._wrong_type(position, "a number", value) from None


class _Part(FieldEncoder):
    # a field that is a part of the moment that its source is

    def __init__(self, described: CategoricalField | NumericField, whole: FieldEncoder) -> None:
        super().__init__(whole.name, described, whole.offset)
        self._described = described
        self._whole = whole

    def fill(self, column: Column, ids: Ids, values: Values) -> int:
        parts = [self._part_of(value, position) for position, value in enumerate(column)]
        return self._whole.fill(parts, ids, values)

    def append(self, value: Any, ids: list[int], values: list[float]) -> int:
        return self._whole.append(self._part_of(value, 0), ids, values)

    def texts(self, value: Any) -> list[str | None]:
        return self._whole.texts(self._part_of(value, 0))

    def _part_of(self, value: Any, position: int) -> int | None:
        try:
            return self._described.part_of(value)
        except ValueError:
            form, got = self._described.format, _json_type(value)
            wanted = f"a time of the form {form}" if form else "a date, an ISO 8601 or a Unix time"
            text = f"field {self.source!r}: expected {wanted}, got {got} that is none"
            raise InputError("wrong_type", text, row=position, field=self.source) from None


def field_encoder(
    name: str, described: Field, vocabulary: FieldVocabulary, offset: int, strict: bool
) -> FieldEncoder:
    """The encoder of one field, whose rows of the embedding table start at `offset`."""
    whole = _whole_encoder(name, described, vocabulary, offset, strict)
    if isinstance(described, MultivalueField) or described.part is None:
        return whole
    return _Part(described, whole)


def _whole_encoder(
    name: str, described: Field, vocabulary: FieldVocabulary, offset: int, strict: bool
) -> FieldEncoder:
    match described, vocabulary:
        case CategoricalField(), Vocabulary():
            return _Categorical(name, described, vocabulary, offset)
        case MultivalueField(), Vocabulary():
            return _Multivalue(name, described, vocabulary, offset, strict)
        case NumericField(), Scaler() | Bins():
            return NumberEncoder(name, described, vocabulary, offset)
    raise TypeError(f"field {name!r}: a {described.kind} field cannot have a {vocabulary.kind}")


def _json_type(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "null")
