"""Fields of the active version that a new bundle has no use for any more: lost, or empty in its
log. A net can be as good on a log without a field as on one with it, until requests have it again.
"""

from collections.abc import Sequence

from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.bundle.opened import OpenedBundle
from model.values.values import Row
from model.vocabulary import FieldVocabulary, Vocabulary
from service.versions.gate.rows import FEWEST_ROWS

RARELY_FILLED = 0.05  # a field that so few rows have says little by its absence
EMPTIED = 0.1  # of the share of rows that had the field


def shared_fields(bundle: Bundle, active: Bundle) -> list[str]:
    """The fields that both have, in the order of the bundle's schema."""
    return [name for name in bundle.schema.fields if name in active.schema.fields]


def emptied_fields(
    new: OpenedBundle, old: OpenedBundle, own: LabelledRows, before: LabelledRows | None
) -> list[str]:
    """A line for each field that both have and only the active version, `old`, can use. `own`: rows
    that the new bundle held out, `before`: rows that the active version held out.
    """
    found = []
    bundle, active = new.bundle, old.bundle
    learnt, known = new.vocabularies, old.vocabularies
    for name in shared_fields(bundle, active):
        if bundle.schema.fields[name].kind != active.schema.fields[name].kind:
            continue
        now = _filled(own.rows, bundle.schema.sources[name])
        then = 0.0
        if before is not None and min(len(own), len(before)) >= FEWEST_ROWS:
            then = _filled(before.rows, active.schema.sources[name])
        if then > RARELY_FILLED and now < EMPTIED * then:
            found.append(
                f"field {name} is empty: {now:.1%} of its held-out rows have it, {then:.1%} of the "
                "active version's"
            )
        elif _values(learnt[name]) <= 1 < _values(known[name]):
            found.append(
                f"field {name} is lost: it learnt {_values(learnt[name])} of its values, the "
                f"active version {_values(known[name])}"
            )
    return found


def _filled(rows: Sequence[Row], column: str) -> float:
    return sum(row.get(column) not in (None, "", []) for row in rows) / len(rows)


def _values(vocabulary: FieldVocabulary) -> int:
    return len(vocabulary.values) if isinstance(vocabulary, Vocabulary) else 2
