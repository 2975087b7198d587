"""What a fit is made of: the parts of its logs, the vocabularies, and the encoded rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import FieldVocabulary
from training.config import Config
from training.cores import only_deterministic
from training.data.files import Data
from training.data.log import Log
from training.fit.beginnings import Beginning
from training.fit.prepare import (
    Parts,
    Rows,
    cautions_before,
    check_settings,
    encode_rows,
    encoded_rows,
    prepare,
    rows_beside,
    sampled,
    weighed,
)
from training.state.warm_start import WarmStart
from training.stream.asked import Asked
from training.stream.cache.encoded_log import EncodedLog
from training.stream.cache.replayed import Replayed
from training.stream.cache.shards import Shards
from training.stream.encode_log import encoded_log

READERS = 2  # of a log that is streamed


@dataclass(frozen=True)
class Material:
    """The material of one fit.

    `replayed`: how many older rows are among those trained on. `warnings`: what is to be said of
    the logs before the first epoch, a line each.
    """

    parts: Parts
    replayed: int
    vocabularies: Mapping[str, FieldVocabulary]
    rows: Rows
    warnings: Sequence[str]

    @property
    def encoder(self) -> Encoder:
        """The encoder of the rows."""
        return self.rows.encoder

    @property
    def schema(self) -> Schema:
        """The schema of the rows."""
        return self.encoder.schema


@dataclass(frozen=True)
class Streamed:
    """A log that need not fit into memory, read by so many threads, which change no result. `say`:
    for lines about the progress. `found`: its encoded rows, where they were made before.
    """

    data: Data
    readers: int
    say: Callable[[str], None]
    found: EncodedLog | None = None

    def encoded(
        self,
        schema: Schema,
        config: Config,
        seed: int,
        start: WarmStart | None = None,
        *,
        holds_out: bool,
    ) -> EncodedLog:
        """Its encoded rows, for a fit from `start`; `holds_out`: whether a part is judged on.
        Processes that ask for the same at the same time wait for the first of their machine.

        Raises:
            ConfigError: see `check_settings`.
            DataError: it cannot be read or trained on, or its rows cannot be written.
        """
        check_settings(config, schema)
        if self.found is not None:
            return self.found
        asked = Asked(config.valid_share if holds_out else None, config.negatives_rate, seed)
        if start is not None:
            asked = replace(asked, known=start.vocabularies, version=start.bundle.version)
        return encoded_log(self.data, schema, asked, self.readers, self.say)


def streamed_material(
    log: EncodedLog,
    valid: Log | None,
    test: Log | None,
    config: Config,
    seed: int,
    readers: int,
    start: WarmStart | None = None,
    *,
    one_pass: bool = False,
) -> Material:
    """The material of a log on disk; `valid` in place of the rows that it holds out. Torch is
    seeded. `start`: may replay older rows. `one_pass`: the rows are trained on in the order of the
    log.

    Raises:
        ConfigError: see `check_settings`.
        DataError: a part that cannot be judged on.
    """
    schema = log.schema
    is_own = valid is None
    if valid is None:
        valid = replace(log.held_out(), held_out=log.rule)
    parts = weighed(log.looked_at(), valid, test, schema, config)
    all_labels = log.all_labels()
    old = None
    if start is not None:
        old = start.replayed(len(all_labels), schema, parts.valid.held_out, seed)
    asked = Asked(None, config.negatives_rate, seed)
    behind = None if old is None else Replayed.of(old, log, asked)
    _seed(seed)
    seen = Shards(log, seed, readers, behind, one_pass=one_pass)
    held_out = (
        log.held_out_rows(parts.valid)
        if is_own
        else encoded_rows(log.encoder, parts.valid, schema.task)
    )
    rows = rows_beside(seen, held_out, log.encoder, parts.valid, parts.test, schema.task)
    warnings = cautions_before(parts, log.vocabularies, rows, all_labels)
    return Material(parts, 0 if old is None else len(old), log.vocabularies, rows, warnings)


def material_of(
    beginning: Beginning,
    log: Log,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    seed: int,
) -> Material:
    """Prepare and encode the logs of a fit, and seed torch; the parameters are those of `fit`.

    Raises:
        ConfigError: see `check_settings`.
        DataError: a log that cannot be trained on.
    """
    parts = prepare(log, valid, test, schema, config)
    given = beginning.rows(parts.train, schema, parts.valid.held_out, seed)
    train = sampled(given, config, seed)
    vocabularies = beginning.vocabularies(schema, parts.train, train, config, seed)
    _seed(seed)
    rows = encode_rows(Encoder(schema, vocabularies), train, parts.valid, parts.test, schema.task)
    warnings = cautions_before(parts, vocabularies, rows)
    return Material(parts, len(given) - len(parts.train), vocabularies, rows, warnings)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    only_deterministic()
