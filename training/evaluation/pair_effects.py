"""What a net's pair terms come to over many rows: by pair of fields, and by pair of values.

Attention is a_ij, contribution is a_ij times the interaction: what the pair adds to the logit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.pairs import pair_slots
from model.scorer import Scorer
from model.values.ids import ABSENT, FIRST, MISSING, UNKNOWN
from model.values.scales import Bins, beside
from model.vocabulary import Buckets, FieldVocabulary, Vocabulary
from training.data.examples import EncodedRows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLOSE = 1e-3  # of a logit: nearer than this, terms add up
MOST_CELLS = 3_000_000  # rows times pairs that are looked at
MOST_ROWS = 20_000


@dataclass(frozen=True)
class PairTerms:
    """The pair terms of B rows, each [B, P]: `contribution` is attention times `interaction`, or
    the interaction itself where the net has no `attention`, which then is None.
    """

    encoded: Encoded
    interaction: NDArray[np.float32]
    contribution: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.encoded)

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """|R| of each row, [B]."""
        size: NDArray[np.int64] = self.present.sum(1)
        return size


class FieldPairs(NamedTuple):
    """Means over the rows in which a pair is present, each [fields, fields], symmetric and NaN
    where it never is: `contribution` of its absolute value, `attention` as a multiple of equal
    weights, 1 / |R|; None where there is none.
    """

    contribution: Floats
    attention: Floats | None


class ValuePair(NamedTuple):
    """Two values that stand together in `rows` rows, and the means of what they then add."""

    fields: tuple[str, str]
    values: tuple[str, str]
    rows: int
    contribution: float
    attention: float | None


def pair_terms(scorer: Scorer, encoded: Encoded) -> PairTerms | None:
    """The pair terms of encoded rows; None for a net that has none, or whose logit is not the sum
    of its terms, so that nothing can be said of a pair.
    """
    slots = encoded.ids.shape[1]
    first, second = pair_slots(slots)
    terms = scorer.explain(encoded)
    interaction = terms.interaction
    if interaction is None or interaction.shape[1] != len(first) or not len(first):
        return None
    contribution = interaction if terms.attention is None else terms.attention * interaction
    added = scorer.bias + terms.linear.sum(1, np.float64) + contribution.sum(1, np.float64)
    logits = scorer.predict(encoded).logits
    if not (np.abs(added - logits) <= CLOSE * np.maximum(1, np.abs(logits))).all():
        return None
    there = encoded.values != 0
    present = there[:, first] & there[:, second]
    return PairTerms(encoded, interaction, contribution, terms.attention, present)


def sample(of: EncodedRows, slots: int, seed: int, rows: int | None = None) -> Encoded:
    """Some of the rows, drawn without replacement: `rows`, else as many as can be looked at."""
    pairs = max(1, slots * (slots - 1) // 2)
    most = rows or min(MOST_ROWS, max(1000, MOST_CELLS // pairs))
    if len(of) <= most:
        return of.take(np.arange(len(of)))
    return of.take(np.sort(np.random.default_rng(seed).permutation(len(of))[:most]))


def by_fields(terms: PairTerms, encoder: Encoder) -> FieldPairs:
    """Means by pair of fields; pairs of values of one multi-valued field lie on the diagonal."""
    fields = list(encoder.schema.fields)
    of_slot = np.array([fields.index(name) for name in encoder.schema.slots])
    first, second = pair_slots(len(of_slot))
    # the fields of slots ascend, so that a pair of fields has one cell
    cell = of_slot[first] * len(fields) + of_slot[second]
    counts = np.bincount(cell, terms.present.sum(0), len(fields) ** 2)

    def means(values: NDArray[Any]) -> Floats:
        sums = np.bincount(cell, values.sum(0, np.float64), len(fields) ** 2)
        with np.errstate(invalid="ignore"):
            upper = (sums / counts).reshape(len(fields), len(fields))
        return np.where(np.isnan(upper), upper.T, upper)

    weights = terms.attention
    attention = None if weights is None else means(weights * terms.size[:, None])
    return FieldPairs(means(np.abs(terms.contribution)), attention)


def by_values(
    terms: PairTerms,
    encoder: Encoder,
    vocabularies: Mapping[str, FieldVocabulary],
    most: int,
    fewest: int,
) -> list[ValuePair]:
    """The `most` pairs of values with the largest mean contribution in absolute value, of those
    that stand together in at least `fewest` rows, and in as many as their fields' `min_count`.
    """
    slots = encoder.schema.slots
    first, second = pair_slots(len(slots))
    row, pair = np.nonzero(terms.present)
    ids = terms.encoded.ids
    ends = np.sort(np.stack([ids[row, first[pair]], ids[row, second[pair]]]), axis=0)
    keys, of_key, counts = np.unique(
        ends[0] * encoder.rows + ends[1], return_inverse=True, return_counts=True
    )

    def means(values: NDArray[np.float32]) -> Floats:
        return np.bincount(of_key, values[row, pair].astype(np.float64), len(keys)) / counts

    contribution = means(terms.contribution)
    attention = None if terms.attention is None else means(terms.attention)
    names = _Names(encoder, vocabularies)
    found: list[ValuePair] = []
    for key in np.argsort(-np.abs(contribution), kind="stable"):
        if len(found) == most:
            break
        low, high = divmod(int(keys[key]), encoder.rows)
        if counts[key] < max(fewest, names.min_count(low), names.min_count(high)):
            continue
        (field, value), (other_field, other_value) = names.of(low), names.of(high)
        found.append(
            ValuePair(
                (field, other_field),
                (value, other_value),
                int(counts[key]),
                float(contribution[key]),
                None if attention is None else float(attention[key]),
            )
        )
    return found


class _Names:
    # from a row of the embedding table back to field and value

    def __init__(self, encoder: Encoder, vocabularies: Mapping[str, FieldVocabulary]) -> None:
        self._fields = encoder.schema.fields
        self._vocabularies = vocabularies
        # a multi-valued field's slots share one offset
        offsets = dict(zip(encoder.schema.slots, encoder.offsets.tolist(), strict=True))
        self._names, self._offsets = list(offsets), np.array(list(offsets.values()))

    def _field(self, row: int) -> tuple[str, int]:
        at = int(np.searchsorted(self._offsets, row, side="right")) - 1
        return self._names[at], row - int(self._offsets[at])

    def min_count(self, row: int) -> int:
        return int(getattr(self._fields[self._field(row)[0]], "min_count", 1))

    def of(self, row: int) -> tuple[str, str]:
        name, local = self._field(row)
        special = {ABSENT: "(absent)", MISSING: "(missing)", UNKNOWN: "(unknown)"}
        return name, special.get(local) or value_name(self._vocabularies[name], local - FIRST)


def value_name(vocabulary: FieldVocabulary, index: int) -> str:
    """What the value at `index` of a field's vocabulary is called; a scaled number has no value of
    its own.
    """
    if isinstance(vocabulary, Buckets):
        return f"bucket {index}"
    if isinstance(vocabulary, Vocabulary):
        return vocabulary.values[index]
    if isinstance(vocabulary, Bins):
        return _bin_name(vocabulary.edges, index)
    return "any number"


def _bin_name(edges: Sequence[float], index: int) -> str:
    # an edge right beside a frequent number ends the bin of that number, or begins it
    if not edges:
        return "any number"
    if index == 0:
        last = beside(edges[0])
        is_last = last is not None and last < edges[0]
        return f"{last:.4g} and less" if is_last else f"below {last or edges[0]:.4g}"
    low = edges[index - 1]
    number = beside(low)
    begin = f"{low:.4g}" if number is None else f"{number:.4g}"
    if number is not None and number < low:
        begin = f"above {begin}"
    if index == len(edges):
        return begin if begin.startswith("above") else f"{begin} and more"
    high = edges[index]
    if number is not None and low <= number < high and beside(high) == number:
        return begin
    return f"{begin} to {beside(high) or high:.4g}"
