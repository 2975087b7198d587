"""What tests read from a bundle: its probabilities of rows, and the values that a field learnt."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.bundle.bundle import Bundle
from model.vocabulary import Vocabulary
from narrowing import not_none, of_class


def probabilities_of(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(B,) the probabilities of raw rows by the bundle's own encoder and scorer."""
    encoded = bundle.read_encoder().encode(rows)
    return not_none(bundle.read_scorer().predict(encoded).probabilities)


def values_of(bundle: Bundle, field: str) -> tuple[str, ...]:
    """The values that a categorical or multi-valued field learnt, in the order of their ids."""
    return of_class(Vocabulary, bundle.read_vocabularies()[field]).values
