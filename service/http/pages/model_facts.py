"""What the model page shows of a version: its fields, what pairs of them do on held-out rows, how
recent requests differ from those, and what changed since the version before.

Private fields are not among it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded
from model.errors import InputError
from model.page.beginning import shown_fields
from model.pairs import pair_slots
from model.scorer import ScoreTerms
from model.values.ids import FIRST
from model.values.values import Row
from model.vocabulary import Vocabulary
from service.scoring.live_version import Live

MOST_ROWS = 300  # of the held-out ones, and of recent requests
BINS = 20


class HeldOut:
    """What a version does on rows that it was not trained on; of its golden rows where it kept
    none.
    """

    def __init__(self, live: Live) -> None:
        bundle = live.bundle
        kept = bundle.read_validation()
        rows = bundle.read_golden()[0].request["instances"] if kept is None else kept.rows
        self.vocabularies = bundle.read_vocabularies()
        self.encoded = live.encoder.encode(rows[:MOST_ROWS])
        self.answers = live.scorer.predict_plainly(self.encoded).predictions
        self.pairs = _pair_map(live, live.scorer.explain(self.encoded))


def facts(live: Live, held_out: HeldOut, recent: Sequence[Row]) -> dict[str, Any]:
    """What there is to say of the live version; `recent`: rows that were asked for lately."""
    manifest, schema = live.bundle.manifest, live.bundle.schema
    shown = shown_fields(schema)
    asked = _encoded(live, recent[-MOST_ROWS:])
    answers = None if asked is None else live.scorer.predict_plainly(asked).predictions
    shares = {"held_out": _shares(live, held_out.encoded)}
    shares["recent"] = {} if asked is None else _shares(live, asked)
    return {
        "model": live.model,
        "version": live.version,
        "net": manifest.net,
        "task": manifest.task,
        "created": manifest.created,
        "private": len(schema.fields) - len(shown),
        "fields": [
            {
                "name": name,
                "kind": field.kind,
                "role": field.role,
                "missing": field.missing,
                "values": _size(held_out.vocabularies[name]),
                **{when: found.get(name) for when, found in shares.items()},
            }
            for name, field in shown.items()
        ],
        "metrics": manifest.metrics,
        "warnings": [] if len(shown) < len(schema.fields) else manifest.warnings,
        "pairs": held_out.pairs,
        "histogram": _histogram(held_out.answers, answers),
    }


def changes(live: Live, new: HeldOut, before: Live, old: HeldOut) -> dict[str, Any]:
    """What changed from the version before to the live one."""
    now, earlier = shown_fields(live.bundle.schema), shown_fields(before.bundle.schema)
    sizes = {
        name: [_size(old.vocabularies[name]), _size(new.vocabularies[name])]
        for name in now
        if name in earlier
    }
    return {
        "version": before.version,
        "net": before.bundle.manifest.net,
        "created": before.bundle.manifest.created,
        "metrics": before.bundle.manifest.metrics,
        "added": [name for name in now if name not in earlier],
        "removed": [name for name in earlier if name not in now],
        "values": {name: both for name, both in sizes.items() if both[0] != both[1]},
    }


def _size(vocabulary: object) -> int | None:
    return vocabulary.size - FIRST if isinstance(vocabulary, Vocabulary) else None


def _encoded(live: Live, rows: Sequence[Row]) -> Encoded | None:
    try:
        return live.encoder.encode(rows) if rows else None
    except InputError:  # a version before took it
        return None


def _shares(live: Live, encoded: Encoded) -> dict[str, dict[str, float]]:
    # of each field: in how many rows a value is unknown, and in how many there is none
    unknown, present = live.encoder.unknown(encoded.ids), encoded.values != 0
    given = present & (encoded.ids - live.encoder.offsets > 1)
    found: dict[str, dict[str, float]] = {}
    slots = live.bundle.schema.slots
    for name in live.bundle.schema.fields:
        of_field = np.array([slot == name for slot in slots])
        found[name] = {
            "unknown": float((unknown & present)[:, of_field].any(1).mean()),
            "missing": float((~given[:, of_field].any(1)).mean()),
        }
    return found


def _pair_map(live: Live, terms: ScoreTerms) -> dict[str, Any] | None:
    # mean absolute contribution, and mean attention, of each two fields
    contribution = terms.contribution
    if contribution is None or not contribution.shape[1]:
        return None
    slots = live.bundle.schema.slots
    names = list(shown_fields(live.bundle.schema))
    first, second = pair_slots(len(slots))

    def by_fields(values: NDArray[np.float32]) -> list[list[float]]:
        means = values.mean(0, dtype=np.float64)
        table: Mapping[str, dict[str, float]] = {name: dict.fromkeys(names, 0.0) for name in names}
        for place, (i, j) in enumerate(zip(first, second, strict=True)):
            one, other = slots[i], slots[j]
            if one in table and other in table:
                table[one][other] += float(means[place])
                if one != other:
                    table[other][one] += float(means[place])
        return [list(row.values()) for row in table.values()]

    return {
        "rows": len(contribution),
        "names": names,
        "contribution": by_fields(np.abs(contribution)),
        "attention": None if terms.attention is None else by_fields(terms.attention),
    }


def _histogram(held_out: NDArray[np.float32], recent: NDArray[np.float32] | None) -> dict[str, Any]:
    # shares of the rows by answer, in bins that hold as many held-out rows each, about
    edges = np.unique(np.quantile(held_out.astype(np.float64), np.linspace(0, 1, BINS + 1)))
    inner = edges[1:-1]

    def shares(answers: NDArray[np.float32]) -> list[float]:
        places = np.searchsorted(inner, answers, side="right")
        counts = np.bincount(places, minlength=len(inner) + 1)
        return [float(count) for count in counts / len(answers)]

    return {
        "edges": edges.tolist(),
        "held_out": shares(held_out),
        "rows": len(held_out),
        "recent": None if recent is None else shares(recent),
        "recent_rows": 0 if recent is None else len(recent),
    }
