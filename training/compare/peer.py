"""LightGBM beside the nets: trees on the same split and the same columns, to say what a model of
pairs that explains itself gives up for that.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.errors import ConfigError
from model.metrics.bootstrap import Resampled, resample
from model.schema import MultivalueField, NumericField, Schema
from model.values.ids import FIRST
from training.data.log import Log, encode
from training.data.parts import weigh_negatives
from training.fit.prepare import vocabularies_of

PEERS = ("lightgbm",)
ROUNDS, PATIENCE = 2000, 50
OBJECTIVES = {"click": ("binary", "binary_logloss"), "regression": ("regression", "rmse")}
MOST_MEMBERS = 100  # of a multi-valued field, each a column of its own

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Peer:
    """A model that is no net: its figures on the part that the nets are judged on."""

    name: str
    trees: int
    seconds: float
    resampled: Resampled


def require_peer(name: str, task: str) -> None:
    """Refuse, before anything is fitted, what could not be compared.

    Raises:
        ConfigError: an unknown peer, a task it is not for, or it is not installed.
    """
    if name not in PEERS:
        raise ConfigError(f"--against: no {name!r}; there is {', '.join(PEERS)}")
    if task not in OBJECTIVES:
        raise ConfigError(f"--against {name}: for tasks click and regression, not {task}")
    try:
        import lightgbm  # noqa: F401  an extra, and half a second
    except ImportError as error:
        raise ConfigError(f"--against {name}: pip install 'ctr-afm[lightgbm]' first") from error


def fit_peer(
    name: str, train: Log, valid: Log, judged: Log, schema: Schema, kept: float, seed: int
) -> Peer:
    """Fit LightGBM on the split of the nets. Categorical fields are categories; a value that
    training saw less than min_count times is unknown to both.

    Args:
        name: of the peer, "lightgbm".
        train: the rows to fit.
        valid: the rows that choose the number of trees.
        judged: the rows to judge on, weighed already.
        schema: the fields.
        kept: the share of their negatives that `train` and `valid` hold; they are weighed as whole.
        seed: of the fit.
    """
    import lightgbm

    encoder = Encoder(schema, vocabularies_of(schema, train))
    columns = _Columns(encoder, schema)
    objective, metric = OBJECTIVES[schema.task]
    settings = {
        "objective": objective,
        "metric": metric,
        "learning_rate": 0.05,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 2,
        "verbosity": -1,
    }
    began = time.perf_counter()
    parts = [weigh_negatives(part, kept) for part in (train, valid)]
    seen = lightgbm.Dataset(
        columns.of(parts[0]),
        parts[0].labels,
        weight=parts[0].weights,
        categorical_feature=columns.categories,
        params=settings,
    )
    held = lightgbm.Dataset(
        columns.of(parts[1]), parts[1].labels, weight=parts[1].weights, reference=seen
    )
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(settings, seen, ROUNDS, valid_sets=[held], callbacks=[stop])
    predictions: Any = booster.predict(columns.of(judged), num_iteration=booster.best_iteration)
    return Peer(
        name,
        booster.best_iteration,
        time.perf_counter() - began,
        resample(judged.labels, predictions, judged.weights, judged.group, task=schema.task),
    )


class _Columns:
    # a log as LightGBM's matrix: a category by its number, a number as it is, a column for each of
    # the most frequent members of a multi-valued field

    def __init__(self, encoder: Encoder, schema: Schema) -> None:
        self._encoder, self._schema = encoder, schema
        self.categories = []
        place = 0
        for field in schema.fields.values():
            if isinstance(field, MultivalueField):
                place += MOST_MEMBERS
                continue
            if not isinstance(field, NumericField):
                self.categories.append(place)
            place += 1

    def of(self, log: Log) -> Floats:
        """Float64 [B, columns]; NaN where a number is missing."""
        encoded = encode(self._encoder, log)
        return np.column_stack([self._of_field(name, encoded, log) for name in self._schema.fields])

    def _of_field(self, name: str, encoded: Encoded, log: Log) -> Floats:
        field = self._schema.fields[name]
        slots = np.array(self._schema.slots) == name
        local = (encoded.ids - self._encoder.offsets)[:, slots]
        if isinstance(field, MultivalueField):
            members = np.arange(FIRST, FIRST + MOST_MEMBERS)
            there: Floats = (local[:, :, None] == members).any(axis=1).astype(np.float64)
            return there
        if isinstance(field, NumericField):
            column = field.own(log.columns[self._schema.sources[name]])
            numbers = [None if v is None else field.reading.number(v) for v in column]
            return np.array(numbers, np.float64)
        return local[:, 0].astype(np.float64)
