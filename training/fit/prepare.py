"""From logs to what a fit is made of: the parts, weighed, and their encoded rows.

`fit`, `tune` and `compare` hold out the same rows of the same log, since they share this.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import FieldVocabulary
from training.columns.learn import learnt
from training.config import Config
from training.data.examples import EncodedRows, examples
from training.data.log import Log, encode
from training.data.parts import require_contrast, sample_negatives, split, weigh_negatives
from training.device import Device
from training.evaluation import cautions
from training.evaluation.coverage import counts_of
from training.fit.step.objective import Objective, objective_of


@dataclass(frozen=True)
class Parts:
    """The parts of a log: `train` before negatives are sampled, of a log on disk only the rows that
    are looked at; `valid` and perhaps `test` weighed
    as the log would count if it held all of its negatives.
    """

    objective: Objective
    train: Log
    valid: Log
    test: Log | None


def check_settings(config: Config, schema: Schema) -> None:
    """Refuse what no log can be fitted by, before one is read.

    Raises:
        ConfigError: a rate of negatives for a task that has none, or a device that is not there.
    """
    objective_of(config, schema)
    Device.of(config)


def prepare(log: Log, valid: Log | None, test: Log | None, schema: Schema, config: Config) -> Parts:
    """Hold out a part of `log` where no `valid` is given, and weigh what is judged on.

    Raises:
        ConfigError: see `check_settings`.
        DataError: a log or a part that cannot be trained or judged on.
    """
    check_settings(config, schema)
    log, valid = held_out(log, valid, schema, config)
    return weighed(log, valid, test, schema, config)


def weighed(log: Log, valid: Log, test: Log | None, schema: Schema, config: Config) -> Parts:
    """The parts of a fit, those that are judged on weighed.

    Raises:
        ConfigError, DataError: see `prepare`.
    """
    require_contrast(valid, schema.task, "the part held out")
    if test is not None and schema.task != "regression":
        require_contrast(test, schema.task, "the test part")
    kept = config.negatives_kept
    tested = None if test is None else weigh_negatives(test, kept)
    return Parts(objective_of(config, schema), log, weigh_negatives(valid, kept), tested)


def held_out(log: Log, valid: Log | None, schema: Schema, config: Config) -> tuple[Log, Log]:
    """The rows to train on, and `valid` or the part of `log` that is held out in its place.

    Raises:
        DataError: a log that cannot be trained on.
    """
    require_contrast(log, schema.task, "training")
    if valid is not None:
        return log, valid
    return split(log, schema, share=config.valid_share)


def vocabularies_of(schema: Schema, train: Log) -> dict[str, FieldVocabulary]:
    """What each field learns from the rows trained on."""
    return learnt(schema, train.columns)


@dataclass(frozen=True)
class Rows:
    """Encoded rows of a fit: `seen` are the training rows, `parts` the rows judged on ("valid",
    perhaps "test") with their logs.
    """

    encoder: Encoder
    seen: EncodedRows
    parts: Mapping[str, tuple[EncodedRows, Log]]

    @property
    def held_out(self) -> EncodedRows:
        """Those of "valid"."""
        return self.parts["valid"][0]


def encode_rows(encoder: Encoder, train: Log, valid: Log, test: Log | None, task: str) -> Rows:
    """Encode the rows that are trained on and those that are judged on.

    Raises:
        DataError: a value that its field cannot hold.
    """
    seen, held_out = (encoded_rows(encoder, log, task) for log in (train, valid))
    return rows_beside(seen, held_out, encoder, valid, test, task)


def rows_beside(
    seen: EncodedRows,
    held_out: EncodedRows,
    encoder: Encoder,
    valid: Log,
    test: Log | None,
    task: str,
) -> Rows:
    """The same of rows that are encoded already, all but those of `test`.

    Raises:
        DataError: see `encode_rows`.
    """
    parts = {"valid": (held_out, valid)}
    if test is not None:
        parts["test"] = (encoded_rows(encoder, test, task), test)
    return Rows(encoder, seen, parts)


def encoded_rows(encoder: Encoder, log: Log, task: str) -> EncodedRows:
    """The rows of a log in memory.

    Raises:
        DataError: a value that its field cannot hold.
    """
    return examples(encode(encoder, log), log, task)


def cautions_before(
    parts: Parts,
    vocabularies: Mapping[str, FieldVocabulary],
    rows: Rows,
    labels: NDArray[np.float32] | None = None,
) -> list[str]:
    """What is to be said of a log before the first epoch, a line each; `labels`: of all training
    rows, where `parts` has only some of them.
    """
    schema = rows.encoder.schema
    said = cautions.of_rows(parts.train, schema.task, labels)
    said += cautions.of_vocabularies(schema, vocabularies)
    for part, (encoded, _) in rows.parts.items():
        found = counts_of(encoded, rows.encoder)
        said += cautions.of_counts(found, f"the {part} part")
    return said


def sampled(log: Log, config: Config, seed: int) -> Log:
    """The rows of a log that are trained on: every click, and the negatives drawn.

    Raises:
        DataError: not a single negative is left.
    """
    return sample_negatives(log, config.negatives_rate, seed)
