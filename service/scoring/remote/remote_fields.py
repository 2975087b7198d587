"""The large fields of one version, whose values are looked up as requests name them.

What was looked up is kept, values that the vocabulary lacks as well: a version never changes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from model.errors import InputError
from model.schema import Schema
from model.values.ids import FIRST
from model.values.paths import steps_of, value_at
from model.values.values import Reading, Row
from model.vocabulary import Ids, Vocabulary
from service.errors import MalformedBody, StoreUnavailable
from service.scoring.payloads import ScoringRequest
from service.scoring.remote.redis_lookups import Lookups
from service.scoring.unread_rows import UnreadRows
from service.store.records import Record
from service.store.version_store import VersionStore

AT_ONCE = 100  # rows that are read in one go
NOWHERE = -1
MOST_KNOWN = 200_000  # values of a field that a worker keeps, about


class KnownValues:
    """Values of one field with their places in its vocabulary, those used last; about `most`.

    Two generations: when the young one is full it becomes the old one. So what was just learnt
    stays for the next `most / 2` values at least, and a request finds what it asked for.
    """

    def __init__(self, most: int) -> None:
        self._half = most // 2 + 1
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def __contains__(self, value: str) -> bool:
        if value in self._young:
            return True
        place = self._old.get(value)
        if place is None:
            return False
        self.learn(value, place)
        return True

    def learn(self, value: str, place: int | None) -> None:
        """Keep where a value stands; None where the vocabulary lacks it."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[value] = NOWHERE if place is None else place

    def place(self, value: str) -> int | None:
        """Where it stands; None if it is not known to stand anywhere."""
        place = self._young.get(value)
        if place is None:
            place = self._old.get(value, NOWHERE)
        return None if place == NOWHERE else place


@dataclass(frozen=True)
class LiveVocabulary(Vocabulary):
    """A vocabulary of `count` values of which only some are `known` here."""

    count: int = 0
    known: KnownValues | None = None

    @property
    def size(self) -> int:
        """See `Vocabulary`."""
        return FIRST + self.count

    def ids(self, offset: int) -> Ids:
        """Those of the values known."""
        assert self.known is not None  # noqa: S101  it is made with them
        return _Ids(self.known, offset + FIRST)


class _Ids:
    # of the values that are known, where an encoder expects a dict

    def __init__(self, known: KnownValues, first: int) -> None:
        self._known = known
        self._first = first

    def get(self, value: Any, /) -> int | None:
        place = self._known.place(value)
        return None if place is None else self._first + place


class LiveValues:
    """The live fields of a `record`'s version and its `schema`, `vocabularies` by name, looked up
    by `lookups`.
    """

    def __init__(
        self, record: Record, schema: Schema, store: VersionStore, lookups: Lookups
    ) -> None:
        version = record.version
        self._model = store.model
        self._sources = {field: schema.sources[field] for field in record.live}
        self._readings = {field: schema.fields[field].reading for field in record.live}
        self._keys = {field: store.values_key(version, field) for field in record.live}
        self._known = {field: KnownValues(MOST_KNOWN) for field in record.live}
        self._lookups = lookups
        self.vocabularies = {
            field: LiveVocabulary((), store.count(version, field), known)
            for field, known in self._known.items()
        }

    def learn(self, record: Record, store: VersionStore, rows: Sequence[Row]) -> None:
        """Look up the values of some rows, on whichever thread owns `store`.

        Raises:
            StoreUnavailable, StoreError: see VersionStore.
        """
        for field, known in self._known.items():
            values = sorted(set(texts(rows, self._sources[field], self._readings[field])))
            places = store.places(record.version, field, values)
            for value, place in zip(values, places, strict=True):
                known.learn(value, place)

    async def resolve(self, asked: ScoringRequest, seconds: float | None) -> bool:
        """Look up what a request names that has so many `seconds` left; False where that failed,
        and values count as unknown.
        """
        wanted: dict[str, set[str]] = {}
        for field, key in self._keys.items():
            known = self._known[field]
            source, reading = self._sources[field], self._readings[field]
            if new := {value for value in _values(asked, source, reading) if value not in known}:
                wanted[key] = new
        if not wanted:
            return True
        try:
            found = await self._lookups.find(self._model, wanted, seconds)
        except StoreUnavailable:
            return False
        for field, key in self._keys.items():
            for value in wanted.get(key, ()):
                self._known[field].learn(value, found[key][value])
        return True


def texts(rows: Iterable[Row], source: str, reading: Reading) -> Iterator[str]:
    """The values of a field as a vocabulary has them; what is none, the encoder will refuse."""
    steps = steps_of(source)
    for row in rows:
        value = row.get(source)
        if value is None and steps:
            with suppress(ValueError):  # the encoder will say so
                value = value_at(row, steps)
        if value.__class__ not in (str, int, float, bool):
            continue
        text = reading.text(value)
        if text is None:
            continue
        # as it stands too: vocabularies of earlier bundles have texts in other forms
        for form in (text, value) if isinstance(value, str) and value != text else (text,):
            if form.isascii() or _is_unicode(form):
                yield form


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def _values(asked: ScoringRequest, source: str, reading: Reading) -> Iterator[str]:
    yield from texts([asked.context], source, reading)
    if not isinstance(asked.rows, UnreadRows):
        yield from texts(asked.rows, source, reading)
        return
    name = source.partition(".")[0].encode()  # of a path, its first step
    for start in range(0, len(asked.rows), AT_ONCE):
        # a candidate hardly ever names a field of the context
        raws = asked.rows.raws(start, start + AT_ONCE)
        named = [start + i for i, raw in enumerate(raws) if name in raw or b"\\" in raw]
        try:
            yield from texts(asked.rows.read(named) if named else (), source, reading)
        except (InputError, MalformedBody):  # the encoder will say so
            continue
