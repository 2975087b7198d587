"""Every single change of one field of a row: what else could stand there, and the rows that result.

A categorical field takes each value of its vocabulary, one of several values is put in or taken
out, a number takes the ends of its range and points between them, or each of its bins; and each
may be missing. A field that is a part of a moment moves its source to a moment of that part.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from model.encoding import Encoded, Encoder
from model.fields import FieldEncoder, field_encoder
from model.schema import CategoricalField, Field, MultivalueField, NumericField
from model.values.moments import Part, moment
from model.values.scales import Bins, Scaler
from model.values.values import Value
from model.vocabulary import FieldVocabulary, Vocabulary

POINTS = 101  # of the range of a number
SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday, for a moment that is missing

NO_OTHERS: Mapping[str, FieldVocabulary] = {}

Alternative = str | int | float | None


@dataclass(frozen=True)
class Changes:
    """`values`: what the field could hold, None for missing. `given`: what its source holds then.
    `left_out`: how many values of its vocabulary, the rarest, are not among them.
    """

    values: Sequence[Alternative]
    given: Sequence[Value]
    left_out: int


def changes_of(field: Field, vocabulary: FieldVocabulary, now: Any, most: int) -> Changes:
    """At most so many changes of a field whose source now holds `now`."""
    left_out = 0
    values: list[Any]
    match vocabulary:
        case Vocabulary(values=known):
            values = list(known[: max(most - 1, 0)])
            left_out = len(known) - len(values)
        case Scaler(low=low, high=high):
            values = [low, *np.linspace(low, high, POINTS)[1:-1].tolist(), high]
            values = sorted(set(values))
        case Bins():
            values = [*vocabulary.examples()]
    if isinstance(field, MultivalueField):
        return _toggled(field, values, now, left_out)
    if field.part is not None:
        return _moved(field, values, now, left_out)
    return Changes([*values, None], [*values, None], left_out)


def _toggled(field: MultivalueField, values: list[str], now: Any, left_out: int) -> Changes:
    read = field.reading
    texts = [read.text(member) for member in read.members(now)][: field.max_values]
    held = [text for text in texts if text is not None]
    full = len(held) >= field.max_values
    possible = [value for value in values if value in held or not full]
    given = [
        [one for one in held if one != value] if value in held else [*held, value]
        for value in possible
    ]
    return Changes([*possible, None], [*given, []], left_out)


def _moved(
    field: CategoricalField | NumericField, values: list[Any], now: Any, left_out: int
) -> Changes:
    assert field.part is not None  # noqa: S101  only such fields are asked
    try:
        at = SOME_DAY if now is None else moment(now, field.format)
    except ValueError:
        at = SOME_DAY
    wanted = sorted({int(float(value)) for value in values if _is_whole(value)})
    moved = [(part, _with_part(at, field.part, part)) for part in wanted]
    found = [(part, when) for part, when in moved if when is not None]
    given: list[Value] = [_written(when, field.format) for _, when in found]
    return Changes([*(str(part) for part, _ in found), None], [*given, None], left_out)


def _is_whole(value: Any) -> bool:
    try:
        return float(value).is_integer()
    except ValueError:
        return False


def _with_part(at: datetime, part: Part, value: int) -> datetime | None:
    try:
        match part:
            case "minute":
                return at.replace(minute=value)
            case "hour":
                return at.replace(hour=value)
            case "weekday":
                return at + timedelta(days=value - at.isoweekday()) if 1 <= value <= 7 else None
            case "hour_of_week":
                monday = (at - timedelta(days=at.weekday())).replace(hour=0)
                return monday + timedelta(hours=value) if 0 <= value < 168 else None
            case "day":
                longest = monthrange(at.year, at.month)[1]
                return at.replace(day=value) if value <= longest else at.replace(month=1, day=value)
            case "month":
                day = min(at.day, monthrange(at.year, value)[1])
                return at.replace(month=value, day=day)
    except (ValueError, OverflowError):  # no such hour, or month
        return None


def _written(at: datetime, form: str | None) -> str:
    return at.isoformat(timespec="seconds") if form is None else at.strftime(form)


class Changed:
    """Rows that are one encoded row but for what reads one source. `others`: vocabularies that
    fields have instead of the encoder's.
    """

    def __init__(
        self, encoder: Encoder, source: str, others: Mapping[str, FieldVocabulary] = NO_OTHERS
    ) -> None:
        schema = encoder.schema
        self._fields: list[tuple[FieldEncoder, slice]] = []
        for reader, slots in encoder.readers(source):
            name = reader.name
            if name in others:
                of_field = name, schema.fields[name], others[name], reader.offset, schema.strict
                self._fields.append((field_encoder(*of_field), slots))
            else:
                self._fields.append((reader, slots))

    def rows(self, row: Encoded, given: Sequence[Value]) -> Encoded:
        """One row for each of what is given, [V, F].

        Raises:
            InputError: a field of that source cannot hold it.
        """
        ids = np.repeat(row.ids, len(given), axis=0)
        values = np.repeat(row.values, len(given), axis=0)
        for reader, slots in self._fields:
            values[:, slots] = 0.0
            reader.fill(given, ids[:, slots], values[:, slots])
        return Encoded(ids, values)
