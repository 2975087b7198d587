"""How much of a log a model can read: missing and unknown values, field by field."""

from typing import NamedTuple

import numpy as np

from model.encoding import Encoded, Encoder
from model.values.ids import ABSENT, MISSING, UNKNOWN


class Coverage(NamedTuple):
    """`missing`: share of the rows without a value of the field. `unknown`: share of its values
    that are not in the vocabulary; None where there is no value at all.
    """

    missing: float
    unknown: float | None


def coverage(encoded: Encoded, encoder: Encoder) -> dict[str, Coverage]:
    """The coverage of each field over B >= 1 encoded rows."""
    slots = np.array(encoder.schema.slots)
    local = encoded.ids - encoder.offsets
    found = {}
    for name in encoder.schema.fields:
        ids = local[:, slots == name]
        missing = np.isin(ids[:, 0], (ABSENT, MISSING))
        # by id and not by value: a number that is scaled to 0 is there
        given = ids[~np.isin(ids, (ABSENT, MISSING))]
        unknown = float((given == UNKNOWN).mean()) if len(given) else None
        found[name] = Coverage(float(missing.mean()), unknown)
    return found
