"""How often each value of a field with a vocabulary comes, exactly and in bounded memory.

Values are counted as they stand in a block, then by their text form. Counts beyond MOST_HELD of all
fields together go to disk, each to one of PARTITIONS files by a hash of its text: so all counts of
a text are in one of them, and one of them at a time is added up.

>>> import tempfile
>>> field = CategoricalField(kind="categorical", min_count=2)
>>> with tempfile.TemporaryDirectory() as folder:
...     counts = Counts(field, Path(folder) / "device")
...     for texts in (["ios", "web"], ["ios", None]):
...         counts.add(block_counts(field, Cells.of(pl.Series(texts))))
...     counts.vocabulary().values, dict(counts.vocabulary().rare_counts)
(('ios',), {'web': 1})
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from model.schema import CategoricalField, MultivalueField
from model.values.values import LETTERS, TRUTHS, Column
from model.vocabulary import LEAST_KEPT, Buckets, FieldVocabulary, Vocabulary, bucketed
from training.columns.cells import Cells
from training.columns.learn import counted

MOST_HELD = 1 << 22  # texts with their counts, of all fields together
PENDING = 1 << 18  # counts of blocks that are added up at once
PARTITIONS = 64
WORDS = sorted(TRUTHS | LETTERS)  # of all counts of these one value may be made

NOTHING = Vocabulary(())

Valued = CategoricalField | MultivalueField


def block_counts(described: Valued, column: Column) -> pl.DataFrame:
    """Each `value` that a field is fed by a block's column, as text that need not be in its one
    form, and its `count`.
    """
    if isinstance(column, Cells):
        used, places = column.used()
        numbers = column.counts()[places]
        plain = isinstance(described, CategoricalField) and described.part is None
        if plain and column.distinct.dtype == pl.String and column.form is None:
            frame = pl.DataFrame({"value": column.distinct[places], "count": numbers})
            return frame.drop_nulls("value")
        pairs: Iterable[tuple[Any, int]] = counted(described, used, numbers.tolist())
    else:
        pairs = counted(described, column, [1] * len(column))
    return _by_text(described, pairs)


class Counts:
    """The counts of one field; `folder`: where they go beyond what is held; `before`: what it knew
    before these rows.
    """

    def __init__(self, described: Valued, folder: Path, before: Vocabulary = NOTHING) -> None:
        self._before = before
        self._described = described
        self._folder = folder
        self._known = _frame(Counter())
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = self._spilled = 0

    def add(self, block: pl.DataFrame) -> None:
        """Add what `block_counts` found."""
        self._pending.append(block)
        self._pending_rows += len(block)
        if self._pending_rows > PENDING:
            self._add_up()

    def __len__(self) -> int:
        """How many counts are held in memory."""
        return len(self._known) + self._pending_rows

    def spill(self) -> None:
        """Put all counts on disk.

        Raises:
            OSError, PolarsError: they cannot be written.
        """
        self._add_up()
        self._folder.mkdir(parents=True, exist_ok=True)
        number = pl.col("value").hash(0) % PARTITIONS
        for key, part in (
            self._known.with_columns(number.alias("at"))
            .partition_by("at", as_dict=True, include_key=False)
            .items()
        ):
            part.write_ipc(self._folder / f"{key[0]}-{self._spilled}.arrow")
        self._spilled += 1
        self._known = _frame(Counter())

    def vocabulary(self) -> FieldVocabulary:
        """What the field knows, as `training.columns.learn` has it of all rows at once: `learnt`,
        or `grown` of what it knew before.

        Raises:
            OSError, PolarsError: what was put on disk cannot be read.
        """
        described, before = self._described, self._before
        if isinstance(before, Buckets):
            return before
        kept, rare = [_frame(Counter())], _frame(Counter())
        for part in self._partitions():
            chosen = (pl.col("count") >= described.min_count) | (
                pl.col("value").str.to_lowercase().is_in(WORDS)
                | pl.col("value").is_in(list(before.rare_counts))
            )
            kept.append(part.filter(chosen))
            rare = pl.concat([rare, part.filter(~chosen)])
            most = sum(map(len, kept)) + len(before.values) + LEAST_KEPT
            rare = rare.sort(["count", "value"], descending=[True, False]).head(most)
        found = pl.concat([*kept, rare])
        pairs = zip(found["value"].to_list(), found["count"].to_list(), strict=True)
        seen = before.grown_by(pairs, described.min_count, described.reading)
        return seen if described.buckets is None else bucketed(seen, described.buckets)

    def _partitions(self) -> Iterator[pl.DataFrame]:
        if not self._spilled:
            self._add_up()
            yield self._known
            return
        if len(self):
            self.spill()
        for number in range(PARTITIONS):
            parts = list(map(pl.read_ipc, self._folder.glob(f"{number}-*.arrow")))
            if parts:
                yield _summed(parts)

    def _add_up(self) -> None:
        if not self._pending:
            return
        block = _summed(self._pending)
        pairs = zip(block["value"].to_list(), block["count"].to_list(), strict=True)
        self._known = _summed([self._known, _by_text(self._described, pairs)])
        self._pending, self._pending_rows = [], 0


def _by_text(described: Valued, pairs: Iterable[tuple[Any, int]]) -> pl.DataFrame:
    text = described.reading.text
    counts: Counter[str] = Counter()
    for value, count in pairs:
        if (found := text(value)) is not None:
            counts[found] += count
    return _frame(counts)


def _frame(counts: Counter[str]) -> pl.DataFrame:
    given = {"value": list(counts), "count": list(counts.values())}
    return pl.DataFrame(given, schema={"value": pl.String, "count": pl.Int64})


def _summed(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).group_by("value").agg(pl.col("count").sum())
