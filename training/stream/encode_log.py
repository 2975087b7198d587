"""Logs into the cache: two passes, or none where an earlier fit has left what they would make.

The processes of a group (`training.group`), one of each machine, share both passes: each works on
every n-th block, and is given the results of the others, so that each writes the same files.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.bundle.files import vocabulary_file
from model.encoding import Encoder
from model.errors import DataError, reason
from model.files.file_locks import is_free, locked_passing
from model.schema import Schema
from model.vocabulary import to_bytes
from training import group
from training.cache_home import cache_home
from training.columns.keys import KnownHashes
from training.data.files import Data, data_files
from training.data.leaks import looked_at
from training.data.log import Ints, Log, encode
from training.data.parts import are_drawn, keys_of
from training.data.read_log import columns_of, rows_of
from training.data.schema_text import schema_text
from training.data.table import Table
from training.stream.asked import Asked
from training.stream.by_block import by_block
from training.stream.cache.encoded_log import (
    ABOUT,
    ALL_LABELS,
    GROUPS,
    HELD_OUT,
    HELD_OUT_ROWS,
    LABELS,
    LOOKED_AT,
    ROWS,
    WEIGHTS,
    EncodedLog,
)
from training.stream.cache.pieces import Pieces
from training.stream.cache.slots import Slots
from training.stream.first_pass import Survey, starts, survey
from training.stream.groups import Runs, RunsInOrder, are_looked_at, ranked_by

Say = Callable[[str], None]


class Made(NamedTuple):
    """Of a block: what goes into which file, rows held out and rows looked at as they were given,
    and for task ranking the runs of those trained on, their rows counted in the whole log.
    """

    arrays: Mapping[str, NDArray[Any]]
    held: pl.DataFrame
    looked: pl.DataFrame
    runs: Runs | None


def encoded_log(data: Data, schema: Schema, asked: Asked, readers: int, say: Say) -> EncodedLog:
    """A log, its rows as they are `asked` for; read by so many threads. `say`: for lines about the
    progress.

    Raises:
        DataError: the log cannot be read or trained on, it is not the same on all machines, or the
            cache cannot be written.
        MemberLostError: another process of the group has ended.
    """
    say("digest of the log")
    try:
        folder = cache_home() / "logs" / _key(data, schema, asked)
        if len(set(group.of_all(folder.name))) > 1:
            raise DataError(f"{data}: the log or the schema is not the same on all machines")
        found = EncodedLog(folder, schema, str(data))
        folder.parent.mkdir(parents=True, exist_ok=True)
        if group.is_shared():
            if not all(group.of_all(folder.exists())):  # then all of them are needed
                _write_aside(folder, data, schema, asked, readers, say)
                return found
        elif not folder.exists():
            lock = folder.with_name(f".{folder.name}.lock")
            if not is_free(lock):
                say("another fit is encoding this log: waiting for it")
            with locked_passing(lock):
                if not folder.exists():
                    _write_aside(folder, data, schema, asked, readers, say)
                    return found
        say(f"encoded rows of an earlier fit: {folder}")
    except (OSError, RuntimeError, pl.exceptions.PolarsError) as error:  # a full disk is any
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{data}: its encoded rows cannot be written: {why}") from error
    return found


def _write_aside(
    folder: Path, data: Data, schema: Schema, asked: Asked, readers: int, say: Say
) -> None:
    _remove_unfinished(folder)
    aside = folder.with_name(f"{_unfinished(folder)}{os.getpid()}")
    aside.mkdir(mode=0o700)  # rows of the log are in it
    try:
        _write(aside, data, schema, asked, readers, say)
        if not folder.exists():  # those that share the passes hold no lock, and it may be there
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_unfinished(folder: Path) -> None:
    # what fits of this machine have left that were killed while they wrote it
    begin = _unfinished(folder)
    for aside in folder.parent.glob(f"{escape(begin)}*"):
        process = int(aside.name.removeprefix(begin))
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            shutil.rmtree(aside, ignore_errors=True)
        except PermissionError:
            continue
        if process == os.getpid():  # a container's numbers come again
            shutil.rmtree(aside)


def _unfinished(folder: Path) -> str:
    # how the names begin that folders have before they are whole, ending with a process's number
    return f".{folder.name}.{platform.node()}."


def _key(data: Data, schema: Schema, asked: Asked) -> str:
    files = []
    for file in data_files(data):
        with file.path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        files.append([file.path.suffixes, dict(file.partition), digest])
    given = [version("ctr-afm"), schema_text(schema), asked.key(), data.separator, files]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:32]


def _write(folder: Path, data: Data, schema: Schema, asked: Asked, readers: int, say: Say) -> None:
    scratch = folder / "scratch"
    found = survey(data, schema, asked, readers, scratch, say)
    shutil.rmtree(scratch)
    (folder / "vocabulary").mkdir()
    for name, vocabulary in found.vocabularies.items():
        (folder / vocabulary_file(name)).write_bytes(to_bytes(vocabulary))
    with _Writer(folder, schema, asked, found) as writer:
        for one in by_block(writer.made, data, columns_of(schema), readers, "second pass", say):
            writer.put(one)
        writer.end()
    rule = None if found.rule is None else found.rule.model_dump()
    (folder / ABOUT).write_text(json.dumps({"rows": found.rows, "held_out": rule}))


class _Writer:
    # makes what is written of a block, on any number of threads, and writes it

    def __init__(self, folder: Path, schema: Schema, asked: Asked, found: Survey) -> None:
        self._schema, self._asked, self._found = schema, asked, found
        self._encoder = Encoder(schema, found.vocabularies)
        self._slots = Slots.of(self._encoder, found.vocabularies)
        self._starts, self._before = starts(found.kept), starts(found.before)
        self._trained_on = sum(found.before.values())
        self._places = looked_at(self._trained_on)
        self._hashes = KnownHashes()
        names = [ROWS, HELD_OUT_ROWS, LABELS, *([WEIGHTS] if schema.weight else [])]
        names += [ALL_LABELS] if asked.rate != 1 else []
        self._ranked_by = ranked_by(schema)
        names += [GROUPS] if self._ranked_by else []
        self._files = {name: (folder / name).open("wb") for name in names}
        self._held, self._looked_at = Pieces(folder / HELD_OUT), Pieces(folder / LOOKED_AT)
        self._order = RunsInOrder()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def made(self, number: int, table: Table) -> Made:
        frame = table.frame.clone()  # reading takes its columns away
        log = rows_of(table, self._schema)
        held = np.zeros(len(log), np.bool_)
        start, before = self._starts[number], self._before[number]
        if (rule := self._found.rule) is not None:
            keys, _ = keys_of(log, self._schema, rule.share, self._hashes)
            held = rule.holds_out(keys)
        rows = np.flatnonzero(~held)
        looked = self._are_looked_at(log, rows, before)
        arrays: dict[str, NDArray[Any]] = {}
        if (rate := self._asked.rate) != 1:
            arrays[ALL_LABELS] = log.labels[rows]
            rows = rows[are_drawn(log.labels[rows], rate, self._asked.seed, before)]
        packed = self._slots.pack(encode(self._encoder, log))
        arrays[ROWS] = packed[rows]
        arrays[HELD_OUT_ROWS] = packed[held]
        arrays[LABELS] = log.labels[rows]
        if log.weights is not None:
            arrays[WEIGHTS] = log.weights[rows]
        runs = None
        if self._ranked_by is not None and log.group is not None:
            runs = Runs.of(log.group[rows])
            runs = Runs(runs.numbers, start + runs.first)
        return Made(arrays, frame.filter(held), frame[looked], runs)

    def put(self, made: Made) -> None:
        """Put what was made of the next block of the log behind the others."""
        for name, array in made.arrays.items():
            self._files[name].write(np.ascontiguousarray(array).data)
        self._held.add(made.held)
        self._looked_at.add(made.looked)
        if made.runs is not None:
            begun = self._order.begun(made.runs)
            self._files[GROUPS].write(np.ascontiguousarray(begun.first).data)

    def end(self) -> None:
        """Write what is left."""
        self._held.end()
        self._looked_at.end()

    def _are_looked_at(self, log: Log, rows: Ints, before: int) -> Ints:
        # of these `rows` of a block, which are trained on: those that are looked at
        if self._ranked_by is not None and log.group is not None:
            return rows[are_looked_at(log.group[rows], self._ranked_by, self._trained_on)]
        first, last = np.searchsorted(self._places, [before, before + len(rows)])
        return rows[self._places[first:last] - before]
