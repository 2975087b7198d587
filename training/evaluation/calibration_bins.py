"""Whether probabilities are honest: overall, by decile, and by the values of each field."""

from collections.abc import Mapping
from dataclasses import dataclass

from model.metrics.ranked_rows import Floats
from model.schema import Schema
from model.values.values import Column
from training.evaluation.curves import Bin, rate_bin, reliability
from training.evaluation.slices import slices

VALUES = 5  # of a field, beside missing and other ones
FEWEST = 30  # rows of a value that is named


@dataclass(frozen=True)
class ValueBin:
    """The rows whose `field` has this `value`, which is None where it is missing."""

    field: str
    value: str | None
    bin: Bin


@dataclass(frozen=True)
class CalibrationReport:
    """Bins: rows, mean probability, click rate, the ratio of the two, and the rate's interval."""

    whole: Bin
    deciles: list[Bin]
    values: list[ValueBin]


def calibration_report(
    labels: Floats,
    probabilities: Floats,
    weights: Floats,
    columns: Mapping[str, Column],
    schema: Schema,
) -> CalibrationReport:
    """Of B rows with labels 0 and 1 and raw values `columns` by source; a row must have a weight.

    The VALUES most frequent values of a field are named, each in FEWEST rows and the field's
    min_count or more; a row of a multi-valued field counts for each of its values.
    """
    whole = rate_bin(labels, probabilities, weights)
    if whole is None:
        raise ValueError("no row has a weight")
    found = []
    for name, described in schema.fields.items():
        fewest = max(FEWEST, int(getattr(described, "min_count", 1)))
        for part in slices(described, columns[schema.sources[name]], VALUES, fewest):
            one = rate_bin(labels[part.rows], probabilities[part.rows], weights[part.rows])
            if one is not None:
                found.append(ValueBin(name, part.value, one))
    return CalibrationReport(whole, reliability(labels, probabilities, weights), found)
