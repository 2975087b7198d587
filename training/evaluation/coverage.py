"""How much of a log a model can read: missing and unknown values, field by field."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from model.encoding import Encoded, Encoder
from model.values.ids import ABSENT, MISSING, UNKNOWN
from training.data.examples import EncodedRows


class Coverage(NamedTuple):
    """`missing`: share of the rows without a value of the field. `unknown`: share of its values
    that are not in the vocabulary; None where there is no value at all.
    """

    missing: float
    unknown: float | None


class Counts(NamedTuple):
    """What a field has in so many `rows`: those without a value, and how many values (`given`), of
    which some are not in the vocabulary.
    """

    rows: int
    missing: int
    given: int
    unknown: int

    @property
    def coverage(self) -> Coverage:
        """As shares."""
        unknown = self.unknown / self.given if self.given else None
        return Coverage(self.missing / self.rows, unknown)


def coverage(encoded: Encoded, encoder: Encoder) -> dict[str, Coverage]:
    """The coverage of each field over B >= 1 encoded rows."""
    return {name: found.coverage for name, found in counts(encoded, encoder).items()}


def counts(encoded: Encoded, encoder: Encoder) -> dict[str, Counts]:
    """The counts of each field."""
    slots = np.array(encoder.schema.slots)
    local = encoded.ids - encoder.offsets
    found = {}
    for name in encoder.schema.fields:
        ids = local[:, slots == name]
        missing = np.isin(ids[:, 0], (ABSENT, MISSING))
        # by id and not by value: a number that is scaled to 0 is there
        given = ids[~np.isin(ids, (ABSENT, MISSING))]
        unknown = int((given == UNKNOWN).sum())
        found[name] = Counts(len(ids), int(missing.sum()), len(given), unknown)
    return found


def counts_of(rows: EncodedRows, encoder: Encoder) -> dict[str, Counts]:
    """The counts of rows that need not fit into memory."""
    return added(counts(part, encoder) for part in rows.encoded())


def added(parts: Iterable[Mapping[str, Counts]]) -> dict[str, Counts]:
    """The counts of some rows from those of their parts."""
    found: dict[str, Counts] = {}
    for part in parts:
        for name, of in part.items():
            before = found.get(name, Counts(0, 0, 0, 0))
            found[name] = Counts(*map(sum, zip(before, of, strict=True)))
    return found
