"""What a field learnt from the training split: its values' ids, its scale, or its bins.

Ids within a field: 0 absent (padding), 1 missing (null, where the schema asks for a token),
2 unknown, 3.. the vocabulary. A field takes `size` consecutive rows of the one embedding table.
"""

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import BundleError
from model.schema import CategoricalField, Field, MultivalueField, NumericField
from model.values import LETTERS, PLAIN, TRUTHS, Column, Reading, Scalar, truths

Floats = NDArray[np.float64]

ABSENT, MISSING, UNKNOWN, FIRST = 0, 1, 2, 3
LEAST_KEPT = 1000  # values too rare so far whose counts are kept, however few a field has


class Ids(Protocol):
    """Values to rows of the embedding table: as much of a dict as an encoder needs."""

    def get(self, value: Any, /) -> int | None:
        """The row of a value; None where it has none."""


@dataclass(frozen=True)
class Vocabulary:
    """The values of a categorical or multi-valued field, most frequent first, then those that newer
    logs brought.

    `refused`: how often values were seen that are too rare so far, which the counts of newer logs
    are added to. As many as the field has values, or LEAST_KEPT, the most frequent; scoring needs
    none of them.
    """

    kind: ClassVar[str] = "vocabulary"
    values: tuple[str, ...]
    refused: Mapping[str, int] = field(default_factory=dict, kw_only=True)

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
        held = frozenset(self.values)
        counts: Counter[str] = Counter()
        # counted raw first: most values repeat, and their text form takes longest
        for value, count in Counter(_typed(value) for value in values).items():
            text = reading.text(value[1])
            if text is not None:
                counts[text] += count
        if not reading.as_text:
            self._join_truths(counts)
        new = sorted(
            (-count - self.refused.get(value, 0), value)
            for value, count in counts.items()
            if value not in held
        )
        values = self.values + tuple(value for less, value in new if -less >= min_count)
        rare = [(value, -less) for less, value in new if -less < min_count]
        # behind those of today, which are the likelier to come again
        rare += ((value, n) for value, n in self.refused.items() if value not in counts)
        rare.sort(key=lambda one: -one[1])
        return Vocabulary(values, refused=dict(rare[: max(len(values), LEAST_KEPT)]))

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


def _typed(value: Scalar) -> tuple[type, Scalar]:
    # 1 == True == 1.0 for a dict, but they are different texts
    return value.__class__, value


@dataclass(frozen=True)
class Scaler:
    """A number as a factor of its field's one embedding: x = (f(v) - shift) / scale.

    v is first moved into [low, high], the range seen in training: a number outside it is scored as
    the nearest one seen, not extrapolated. f is sign(v) log(1 + |v|) where `log` is set, else v.
    """

    kind: ClassVar[str] = "scaler"
    low: float
    high: float
    shift: float = 0.0
    scale: float = 1.0
    log: bool = False

    @property
    def size(self) -> int:
        """Rows of the embedding table: one carries the number."""
        return FIRST + 1

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], transform: str) -> "Scaler":
        """Learn range and scale. `transform`: standardise (mean 0, deviation 1), log1p (root mean
        square 1, zero stays zero) or none.
        """
        if not len(numbers):
            return cls(0.0, 0.0, log=transform == "log1p")
        low, high = float(numbers.min()), float(numbers.max())
        if transform == "none":
            return cls(low, high)
        if transform == "log1p":
            logs = _log1p(numbers)
            return cls(low, high, 0.0, float(np.sqrt((logs**2).mean())) or 1.0, log=True)
        return cls(low, high, float(numbers.mean()), float(numbers.std()) or 1.0)

    def transform(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw numbers to x."""
        clipped = np.clip(numbers, self.low, self.high)
        return ((_log1p(clipped) if self.log else clipped) - self.shift) / self.scale

    def transform_one(self, number: float) -> float:
        """What `transform` gives a finite number, without the overhead of an array."""
        clipped = min(max(number, self.low), self.high)
        if self.log:  # numpy's logarithm, since the C library's may differ in the last bit
            clipped = float(_log1p(np.float64(clipped)))  # type: ignore[arg-type]  # 0-d does
        return (clipped - self.shift) / self.scale


@dataclass(frozen=True)
class Bins:
    """A number made categorical: id FIRST + how many of the ascending `edges` are <= it."""

    kind: ClassVar[str] = "bins"
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Rows of the embedding table."""
        return FIRST + len(self.edges) + 1

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], bins: int) -> "Bins":
        """A number that more than 1/`bins` of all are has a bin of its own; those between two of
        them are cut at their quantiles, into a share of the bins that are left.

        There is no bin without a number, whose row nothing would train: few distinct numbers give
        few bins. Numbers on both sides of a frequent one may take a bin more than `bins`.
        """
        values, counts = np.unique(numbers, return_counts=True)
        frequent = counts * bins > len(numbers)
        left = bins - int(frequent.sum())
        share = left / max(int(counts[~frequent].sum()), 1)
        # a run: one frequent number, or those between two of them
        starts = np.flatnonzero(frequent | np.roll(frequent, 1))
        edges: list[float] = []
        for run in np.split(np.arange(len(values)), starts):
            if not len(run):
                continue
            edges += _first_edge(values, frequent, int(run[0]))
            parts = max(1, round(share * int(counts[run].sum())))
            edges += _quantiles(np.repeat(values[run], counts[run]), parts)
        return cls(tuple(edges))

    def locate(self, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
        """Raw numbers to ids."""
        return FIRST + np.searchsorted(np.asarray(self.edges), numbers, side="right")

    def locate_one(self, number: float) -> int:
        """What `locate` gives a number, without the overhead of an array."""
        return FIRST + bisect_right(self.edges, number)


def _first_edge(values: Floats, frequent: NDArray[np.bool_], run: int) -> list[float]:
    # where the run that begins with the value numbered `run` begins: none at the very beginning, as
    # nothing is below it. Behind a frequent number at once, so that its bin holds nothing else.
    if run == 0:
        return []
    behind = frequent[run - 1] and not frequent[run]
    return [float(np.nextafter(values[run - 1], np.inf) if behind else values[run])]


def _quantiles(numbers: Floats, parts: int) -> list[float]:
    # the inner edges of about equal parts, none of them empty
    inner = np.quantile(numbers, np.arange(1, parts) / parts, method="higher")
    return [float(edge) for edge in np.unique(inner) if edge > numbers.min()]


FieldVocabulary = Vocabulary | Scaler | Bins


def fit_vocabulary(described: Field, column: Column) -> FieldVocabulary:
    """Learn a field's vocabulary, scale or bins from its source's column of the training split."""
    if not isinstance(described, NumericField):
        return grow_vocabulary(Vocabulary(()), described, column)
    found = map(described.reading.number, described.own(column))
    numbers = np.array([v for v in found if v is not None], dtype=np.float64)
    if described.transform == "quantile":
        return Bins.fit(numbers, described.bins)
    return Scaler.fit(numbers, described.transform)


def grow_vocabulary(known: FieldVocabulary, described: Field, column: Column) -> FieldVocabulary:
    """What a field knows after newer rows: new values stand behind the known ones, while a scale or
    bins stay, as their rows of the table mean nothing under others.
    """
    match known, described:
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
    if not body.get("refused", True):  # as before there were any
        del body["refused"]
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
                return _checked_values(Vocabulary(tuple(body["values"]), refused=refused))
            case "scaler":
                return _checked_scaler(Scaler(**body))
            case "bins":
                return _checked_edges(Bins(tuple(body["edges"])))
            case kind:
                raise ValueError(f"unknown kind {kind!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{source}: not a vocabulary: {error}", "vocabulary") from error


def _checked_values(vocabulary: Vocabulary) -> Vocabulary:
    if not all(isinstance(value, str) for value in vocabulary.values):
        raise ValueError("a value that is not text")
    if len(set(vocabulary.values)) != len(vocabulary.values):
        raise ValueError("a value that stands twice")
    if not all(isinstance(count, int) and count > 0 for count in vocabulary.refused.values()):
        raise ValueError("a count that is not a whole number above 0")
    return vocabulary


def _checked_scaler(scaler: Scaler) -> Scaler:
    if not all(map(math.isfinite, (scaler.low, scaler.high, scaler.shift, scaler.scale))):
        raise ValueError("a number that is not finite")
    if scaler.scale <= 0 or scaler.low > scaler.high:
        raise ValueError("a scale that is not positive, or an empty range")
    return scaler


def _checked_edges(bins: Bins) -> Bins:
    if not all(map(math.isfinite, bins.edges)) or sorted(set(bins.edges)) != list(bins.edges):
        raise ValueError("edges that do not ascend")
    return bins


def _log1p(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(numbers) * np.log1p(np.abs(numbers))
