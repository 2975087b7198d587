"""Work on each block of a log, on several threads, and where processes of a group share it
(`training.group`) by all of them; its results come in the order of the log.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Generic, TypeVar

from model.errors import DataError
from training.data.files import Data, data_files
from training.data.table import Table, require_columns
from training.stream.ahead import ahead_of_all
from training.stream.blocks import Block, blocks_of
from training.stream.pace import Pace

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Done(Generic[Result]):
    # of one block; `absent`: the columns that it lacks

    rows: int = 0
    absent: frozenset[str] = frozenset()
    found: Result | None = None
    error: DataError | None = None


def by_block(
    work: Callable[[int, Table], Result],
    data: Data,
    columns: Sequence[str],
    readers: int,
    name: str,
    say: Callable[[str], None],
) -> Iterator[Result]:
    """What `work` makes of each block that has rows, given its number and its table, in the order
    of the log. `name` and `say`: for lines about the pace, see `Pace`.

    Raises:
        DataError: a file or a block that cannot be read, a column that a file lacks, or no row; a
            row in it counts from 1 in its file, or in text from behind a row that is named.
    """

    def done(numbered: tuple[int, Block]) -> _Done[Result]:
        number, block = numbered
        try:
            table, absent = block.table()
            rows = len(table.frame)
            return _Done(rows, absent, work(number, table) if rows else None)
        except DataError as error:
            return _Done(error=error)

    pace = Pace(name, sum(file.path.stat().st_size for file in data_files(data)), say)
    file = _File()
    rows = 0
    blocks, again = tee(blocks_of(data, columns))
    for block, one in zip(blocks, ahead_of_all(done, enumerate(again), readers), strict=True):
        if block.file.path != file.path:
            file.end()
            file = _File(block)
        file.add(block, one)
        rows += one.rows
        pace.add(one.rows, block.size)
        if one.found is not None:
            yield one.found
    file.end()
    if not rows:
        raise DataError(f"{data}: no rows, only a header")
    pace.ended()


class _File:
    # what is known of the blocks of a file so far

    def __init__(self, first: Block | None = None) -> None:
        self._first = first
        self.path: Path | None = None if first is None else first.file.path
        self._rows = 0
        self._absent: frozenset[str] | None = None

    def add(self, block: Block, one: _Done[Result]) -> None:
        if one.error is not None:
            counted = self._rows and block.first is None
            behind = f" (rows counted from behind row {self._rows:,})" if counted else ""
            raise DataError(f"{one.error}{behind}") from one.error
        self._rows += one.rows
        self._absent = one.absent if self._absent is None else self._absent & one.absent

    def end(self) -> None:
        # a file of objects may lack a column in some blocks, not in all
        if self._first is None or not self._absent or not self._rows:
            return
        block = self._first
        there = Table(block.frame(), block.data, [(block.file.path, 0)])
        require_columns(there, sorted(self._absent))
