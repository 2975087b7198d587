"""What a field learnt from the training split: its values' ids, its scale, or its bins.

>>> vocabulary = Vocabulary.fit(["ios", "web", "ios"], min_count=2)
>>> vocabulary.values, vocabulary.rare_counts
(('ios',), {'web': 1})
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import BundleError
from model.schema import MOST_BUCKETS, CategoricalField, Field, MultivalueField, NumericField
from model.values.ids import FIRST
from model.values.packed_ids import PackedField, PackedIds
from model.values.scales import Bins, Scaler
from model.values.values import LETTERS, PLAIN, TRUTHS, Column, Reading, Scalar, truths

SHOWN_VALUES = 1000  # of a field with buckets
LEAST_KEPT = 1000  # values too rare so far whose counts are kept, however few a field has


class Ids(Protocol):
    """Values to rows of the embedding table: as much of a dict as an encoder needs."""

    def get(self, value: Any, /) -> int | None:
        """The row of a value; None where it has none."""


@dataclass(frozen=True)
class Vocabulary:
    """The values of a categorical or multi-valued field, most frequent first, then those that newer
    logs brought.

    `rare_counts`: how often values were seen that are too rare so far; the counts of newer logs are
    added to them. The most frequent are kept: as many as the field has values, or LEAST_KEPT.
    Scoring needs none of them.
    """

    kind: ClassVar[str] = "vocabulary"
    values: tuple[str, ...]
    rare_counts: Mapping[str, int] = field(default_factory=dict, kw_only=True)

    @property
    def size(self) -> int:
        """Rows of the embedding table."""
        return FIRST + len(self.values)

    def ids(self, offset: int) -> "Ids":
        """The table row of each value, where the field's rows start at `offset`."""
        return {value: offset + FIRST + i for i, value in enumerate(self.values)}

    def words(self, offset: int) -> dict[str, int]:
        """The table row of each lower-case word for true and false, where the field has one."""
        found = truths(dict.fromkeys(self.values))
        rows: dict[bool, int] = {}
        for i, value in enumerate(self.values if found else ()):
            if value in found:
                rows.setdefault(found[value], offset + FIRST + i)
        letters = len(found) == len(self.values)
        words = TRUTHS | LETTERS if letters else TRUTHS
        return {word: rows[truth] for word, truth in words.items() if truth in rows}

    @classmethod
    def fit(
        cls, values: Iterable[Scalar], min_count: int, reading: Reading = PLAIN
    ) -> "Vocabulary":
        """Keep the values seen at least `min_count` times; the rest will be unknown."""
        return cls(()).grown(values, min_count, reading)

    def grown(
        self, values: Iterable[Scalar], min_count: int, reading: Reading = PLAIN
    ) -> "Vocabulary":
        """With those of newer `values` at its end that it lacks and that are now seen at least
        `min_count` times, over all logs: what it holds keeps its id.
        """
        # counted raw first: most values repeat, and their text form takes longest
        typed = Counter((value.__class__, value) for value in values)  # as 1 == True for a dict
        counts = ((value, count) for (_, value), count in typed.items())
        return self.grown_by(counts, min_count, reading)

    def grown_by(
        self, counted: Iterable[tuple[Scalar, int]], min_count: int, reading: Reading = PLAIN
    ) -> "Vocabulary":
        """See `grown`: by how often each value was seen."""
        held = frozenset(self.values)
        counts: Counter[str] = Counter()
        for value, count in counted:
            text = reading.text(value)
            if text is not None:
                counts[text] += count
        if not reading.as_text:
            self._join_truths(counts)
        new = sorted(
            (-count - self.rare_counts.get(value, 0), value)
            for value, count in counts.items()
            if value not in held
        )
        values = self.values + tuple(value for less, value in new if -less >= min_count)
        rare = [(value, -less) for less, value in new if -less < min_count]
        # behind those of today, which are the likelier to come again
        rare += ((value, n) for value, n in self.rare_counts.items() if value not in counts)
        rare.sort(key=lambda one: -one[1])
        return Vocabulary(values, rare_counts=dict(rare[: max(len(values), LEAST_KEPT)]))

    def _join_truths(self, counts: Counter[str]) -> None:
        # all words for true, or for false, are one value: the one held, else the most frequent
        found = truths(dict.fromkeys(self.values) | counts)
        for truth in (True, False):
            words = [word for word in found if found[word] is truth]
            known = next((value for value in self.values if value in words), None)
            new = sorted((word for word in words if word in counts), key=lambda w: (-counts[w], w))
            kept = new[0] if known is None and new else known
            for word in new:
                if word != kept and kept is not None:
                    counts[kept] += counts.pop(word)


@dataclass(frozen=True)
class Buckets(Vocabulary):
    """A field whose values share so many `buckets`; `values` are the most frequent ones, for people
    alone, who would else see none.
    """

    kind: ClassVar[str] = "buckets"
    buckets: int

    @property
    def size(self) -> int:
        """See `Vocabulary`."""
        return FIRST + self.buckets

    def words(self, offset: int) -> dict[str, int]:  # noqa: ARG002  `Vocabulary` needs it
        """None: each text has its own bucket."""
        return {}


@dataclass(frozen=True)
class PackedVocabulary(Vocabulary):
    """The vocabulary of the field `name` of a packed file: its values are known by their keys."""

    packed: PackedIds
    name: str

    @property
    def size(self) -> int:
        """See `Vocabulary`."""
        return FIRST + self._field.values

    def ids(self, offset: int) -> Ids:
        """See `Vocabulary`."""
        return self.packed.ids(self.name, offset + FIRST)

    def words(self, offset: int) -> dict[str, int]:
        """See `Vocabulary`."""
        return {word: offset + FIRST + place for word, place in self._field.words.items()}

    @property
    def sha256(self) -> str:
        """The digest of the vocabulary file that it was made of."""
        return self._field.sha256

    @property
    def _field(self) -> PackedField:
        return self.packed.fields[self.name]


FieldVocabulary = Vocabulary | Scaler | Bins


def fit_vocabulary(described: Field, column: Column) -> FieldVocabulary:
    """Learn a field's vocabulary, scale or bins from its source's column of the training split."""
    if not isinstance(described, NumericField):
        if described.buckets is not None:
            return bucketed(grow_vocabulary(Vocabulary(()), described, column), described.buckets)
        return grow_vocabulary(Vocabulary(()), described, column)
    found = map(described.reading.number, described.own(column))
    return fit_numbers(described, np.array([v for v in found if v is not None], dtype=np.float64))


def fit_numbers(described: NumericField, numbers: NDArray[np.float64]) -> Scaler | Bins:
    """Learn a scale or bins from a field's numbers."""
    if described.transform == "quantile":
        return Bins.fit(numbers, described.bins)
    return Scaler.fit(numbers, described.transform)


def bucketed(seen: FieldVocabulary, buckets: int) -> Buckets:
    """What a field with buckets knows, whose values would be the vocabulary `seen`."""
    assert isinstance(seen, Vocabulary)  # noqa: S101  such a field has no other
    return Buckets(seen.values[:SHOWN_VALUES], buckets=buckets)


def grow_vocabulary(known: FieldVocabulary, described: Field, column: Column) -> FieldVocabulary:
    """What a field knows after newer rows: new values stand behind the known ones, while a scale or
    bins stay, as their rows of the table mean nothing under others.
    """
    match known, described:
        case Buckets(), _:
            return known
        case Vocabulary(), CategoricalField():
            return known.grown(described.own(column), described.min_count, described.reading)
        case Vocabulary(), MultivalueField(max_values=most, reading=reading):
            # cut as the encoder cuts: a value that is never fed would keep an untrained row
            fed = (value for cell in column for value in reading.members(cell)[:most])
            return known.grown(fed, described.min_count, reading)
    return known


def to_bytes(vocabulary: FieldVocabulary) -> bytes:
    """The one written form; equal vocabularies give equal bytes, so a digest identifies them."""
    body = {"kind": vocabulary.kind, **asdict(vocabulary)}
    if rare := body.pop("rare_counts", None):
        body["refused"] = rare  # as files call it
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def from_bytes(data: bytes, source: str) -> FieldVocabulary:
    """Read what `to_bytes` wrote; `source` names it in errors.

    Raises:
        BundleError: not a vocabulary.
    """
    try:
        body = json.loads(data)
        match body.pop("kind"):
            case "vocabulary":
                refused = dict(body.get("refused", {}))
                return _checked_values(Vocabulary(tuple(body["values"]), rare_counts=refused))
            case "buckets":
                names = _checked_values(Vocabulary(tuple(body["values"])))
                return _checked_buckets(Buckets(names.values, buckets=body["buckets"]))
            case "scaler":
                return Scaler(**body).checked()
            case "bins":
                return Bins(tuple(body["edges"])).checked()
            case kind:
                raise ValueError(f"unknown kind {kind!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{source}: not a vocabulary: {error}", "vocabulary") from error


def _checked_buckets(found: Buckets) -> Buckets:
    if type(found.buckets) is not int or not 0 < found.buckets <= MOST_BUCKETS:
        raise ValueError(f"{found.buckets!r} buckets")
    return found


def _checked_values(vocabulary: Vocabulary) -> Vocabulary:
    if not set(map(type, vocabulary.values)) <= {str}:
        raise ValueError("a value that is not text")
    if len(set(vocabulary.values)) != len(vocabulary.values):
        raise ValueError("a value that stands twice")
    if not all(isinstance(count, int) and count > 0 for count in vocabulary.rare_counts.values()):
        raise ValueError("a count that is not a whole number above 0")
    return vocabulary
