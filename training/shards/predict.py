"""`afm-train predict` in shards: each is written to a file of its own, which gets its name when it
is whole, so that one which is worked on twice is still there once. In the end they are joined.

`.OUT.parts` beside the output holds them meanwhile. A command that was killed leaves it, and the
same command goes on with what is missing.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl

from model.bundle.bundle import Bundle
from model.errors import AfmError, DataError, reason
from model.files.file_locks import open_folder_lock, take
from model.files.whole_file import whole_file
from training.data.files import Data, data_files
from training.evaluation.cautions import of_counts
from training.evaluation.coverage import Counts, added
from training.evaluation.evaluate import beside
from training.jobs import Doing
from training.shards.cut import Shard, shards
from training.shards.score import Rater, shard_rows

OF = "of.json"  # what the parts are of: others are begun anew


@dataclass(frozen=True)
class _Asked:
    # what each part is made by; `column` holds its scores, `suffix` says which kind of file it is
    rater: Rater
    data: Data
    keep: tuple[str, ...]
    column: str
    folder: Path
    suffix: str

    def part(self, number: int) -> Path:
        return self.folder / f"part-{number:06}{self.suffix}"

    def note(self, number: int) -> Path:
        # what is to be said of the part
        return self.folder / f"part-{number:06}.json"


def predict_in_shards(
    bundle: Path, data: Data, out: Path, keep: Sequence[str], doing: Doing
) -> tuple[int, list[str]]:
    """As `training.evaluation.evaluate.predict`, the same rows and scores; where `out` has no
    ending, it is a folder of Parquet files, part-000000.parquet and so on, in the log's order.

    Raises:
        BundleError, DataError: bundle or log cannot be used, or `out` cannot be written.
    """
    _check(out)
    opened = Bundle.open(bundle)
    scorer = opened.read_scorer()
    column = "probability" if scorer.has_probabilities else "score"
    if column in keep:
        raise DataError(f"{data}: column {column!r} cannot be kept: the scores have its name")
    rater, rows = Rater(bundle.absolute(), opened.version), shard_rows(scorer)
    folder = out.absolute().with_name(f".{out.name}.parts")
    asked = _Asked(rater, data, tuple(keep), column, folder, out.suffix or ".parquet")
    with _held(out, folder, _of(asked, rows)):
        cut = shards(data, [*opened.schema.sources.values(), *keep], rows)
        found = dict(doing(_write_part, asked, cut))
        try:
            _join(asked, len(found), out)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unwritable(out, error) from error
    whole = added(found.values())
    return next(iter(whole.values())).rows, of_counts(whole, data.name)


def _check(out: Path) -> None:
    if out.suffix not in (".csv", ".parquet", ""):
        raise DataError(f"{out}: write .csv or .parquet, or a folder: a name without an ending")
    if not out.suffix and out.exists():
        raise DataError(f"{out}: exists already; choose another folder or remove it")
    if out.is_dir():
        raise DataError(f"{out}: cannot be written: Is a directory")


def _of(asked: _Asked, rows: int) -> str:
    files = [(file.path, file.path.stat()) for file in data_files(asked.data)]
    of = {
        "bundle": asked.rater.version,
        "log": [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files],
        "keep": asked.keep,
        "kind": asked.suffix,
        "rows": rows,
    }
    return json.dumps(of)


@contextmanager
def _held(out: Path, folder: Path, of: str) -> Iterator[None]:
    # the folder of the parts, for this command alone, with parts of nothing else in it
    try:
        folder.mkdir(exist_ok=True)
        handle = open_folder_lock(folder)
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        if not take(handle, 0):
            raise DataError(f"{out}: another command is writing it")
        try:
            _begin(folder, of)
            yield
        except AfmError:  # nothing to go on with
            shutil.rmtree(folder, ignore_errors=True)
            raise
    finally:
        os.close(handle)


def _begin(folder: Path, of: str) -> None:
    # without the parts of anything else
    if (folder / OF).exists() and (folder / OF).read_text() == of:
        return
    for left in folder.iterdir():
        left.unlink()
    with whole_file(folder / OF) as file:
        file.write(of.encode())


def _write_part(asked: _Asked, shard: Shard) -> Mapping[str, Counts]:
    part, note = asked.part(shard.number), asked.note(shard.number)
    if part.exists():  # by a command that was killed, or a job that was thought to be lost
        return {name: Counts(*of) for name, of in json.loads(note.read_text()).items()}
    table = shard.table()
    given = table.frame.select(asked.keep) if asked.keep else pl.DataFrame()
    scored = asked.rater.scored(table)
    scores = pl.Series(asked.column, scored.predictions.astype(np.float32))
    frame = beside(given, scores, asked.data, asked.suffix)
    scratch = part.with_name(f".{uuid4().hex}")
    try:
        scratch.write_text(json.dumps(scored.counts))
        scratch.replace(note)
        if asked.suffix == ".csv":
            frame.write_csv(scratch, include_header=shard.number == 0)
        else:
            frame.write_parquet(scratch)
        scratch.replace(part)
    except (OSError, pl.exceptions.PolarsError) as error:
        scratch.unlink(missing_ok=True)
        raise _unwritable(part, error) from error
    return scored.counts


def _join(asked: _Asked, count: int, out: Path) -> None:
    parts = [asked.part(number) for number in range(count)]
    if not out.suffix:
        for other in set(asked.folder.iterdir()) - set(parts):
            other.unlink()
        asked.folder.rename(out)
        return
    scratch = out.with_name(f".{out.name}.partial")
    if out.suffix == ".csv":
        with scratch.open("wb") as joined:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, joined)
    else:
        pl.scan_parquet(parts, hive_partitioning=False).sink_parquet(scratch)
    scratch.replace(out)
    shutil.rmtree(asked.folder)


def _unwritable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be written: {reason(error)}")
