"""What a fit must not pass over in silence: one line each, on stderr, in the report and in the
manifest's `warnings`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.schema import Schema
from model.values.ids import FIRST
from model.values.scales import Bins
from model.vocabulary import FieldVocabulary, Vocabulary
from training.data.leaks import leaks
from training.data.log import Log
from training.evaluation.coverage import Counts, counts

FEWEST_ROWS = 500  # trained on, below which a net mostly learns chance
FEWEST_OF_A_CLASS = 30
FEWEST_BINS = 3
MOSTLY = 0.5  # of a field's values unknown, from which it is said
MOST_NAMED = 8  # fields in a line


def of_rows(train: Log, task: str, labels: NDArray[np.float32] | None = None) -> list[str]:
    """Too few rows to train on, and columns that give the label away. `labels`: of all rows, where
    `train` are only those that are looked at for leaks.
    """
    given = train.labels if labels is None else labels
    if task != "click":
        return _few(len(given), [])
    classes = [int((given == label).sum()) for label in (1, 0)]
    said = _few(len(given), classes)
    for name, why in leaks(train.columns, train.labels).items():
        said.append(
            f"LEAK: column {name!r}: {why}. If it is known only after the click, the net is of no "
            f"use: fit again with --drop-field {name!r}"
        )
    return said


def of_vocabularies(schema: Schema, vocabularies: Mapping[str, FieldVocabulary]) -> list[str]:
    """Fields that learnt nothing of the rows trained on, or next to nothing."""
    empty = [
        name
        for name, known in vocabularies.items()
        if isinstance(known, Vocabulary) and known.size == FIRST
    ]
    said = []
    if empty:
        said.append(
            f"empty vocabulary of {_named(empty)}: no value stands in min_count rows, so every "
            "value is unknown"
        )
    for name, known in vocabularies.items():
        bins = known.size - FIRST
        if isinstance(known, Bins) and bins < FEWEST_BINS:
            asked = getattr(schema.fields[name], "bins", bins)
            said.append(
                f"field {name!r}: {bins} of {asked} bins {'is' if bins == 1 else 'are'} left, "
                "since its numbers hardly differ"
            )
    return said


def of_values(encoded: Encoded, encoder: Encoder, part: str) -> list[str]:
    """Fields most of whose values in `part`, "the test part" say, training never saw."""
    return of_counts(counts(encoded, encoder), part)


def of_counts(found: Mapping[str, Counts], part: str) -> list[str]:
    """The same, of what the fields have."""
    covered = {name: of.coverage.unknown for name, of in found.items()}
    shares = {name: share for name, share in covered.items() if share is not None}
    shares = {name: share for name, share in shares.items() if share > MOSTLY}
    whole = [name for name, share in shares.items() if share == 1]
    said = []
    if whole:
        fields = "1 field" if len(whole) == 1 else f"{len(whole)} fields"
        said.append(f"100 % of the values of {fields} are unknown in {part}: {_named(whole)}")
    partly = {name: share for name, share in shares.items() if share < 1}
    if partly:
        shown = [f"{name!r} {100 * share:.0f} %" for name, share in partly.items()]
        rest = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
        said.append(f"mostly unknown values in {part}: {', '.join(shown[:MOST_NAMED])}{rest}")
    return said


def of_epochs(epochs: Sequence[Mapping[str, Any]], *, from_scratch: bool) -> list[str]:
    """Losses that are no numbers, and a fit of which no epoch was better than its start; the epochs
    as the manifest has them.
    """
    said = []
    broken = sum(
        epoch["diverged"] + (not math.isfinite(epoch["train_loss"] + epoch["valid_loss"]))
        for epoch in epochs
    )
    if broken:
        times = "once" if broken == 1 else f"{broken} times"
        said.append(f"losses were not finite {times}: lower the learning rate")
    if not any(epoch["best"] for epoch in epochs):
        net = "the net is untrained" if from_scratch else "the net is as the bundle had it"
        said.append(f"no epoch of {len(epochs)} was better than the start: {net}")
    return said


def _few(rows: int, classes: Sequence[int]) -> list[str]:
    if rows >= FEWEST_ROWS and min(classes, default=FEWEST_OF_A_CLASS) >= FEWEST_OF_A_CLASS:
        return []
    of = f" ({classes[0]} clicks)" if classes else ""
    return [f"only {rows:,} rows to train on{of}: what the net learns of them is mostly chance"]


def _named(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + rest
