"""The files of a log: one, several, those of a folder or of a pattern, partitioned as Hive does it.

log.csv                         CSV, .csv.gz, .csv.zst; .tsv with tabs
log.jsonl, log.ndjson           an object a line; .gz, .zst
log.parquet, log.pq
logs/, "logs/*.parquet"         all such files below; names with _ or . at the start left out
logs/day=2026-11-28/1.parquet   below a folder or a pattern, `day` is a column
s3://ads/logs/, https://...     any of these at a URL that fsspec knows
"""

import glob
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from model.errors import ConfigError, DataError
from training.data.csv_file import UNQUOTED
from training.remote.copies import local

TEXT = (".csv", ".tsv", ".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
SUFFIXES = (*TEXT, *(f"{kind}{packed}" for kind in TEXT for packed in PACKED))
PARQUET = (".parquet", ".pq")
_MARK = re.compile(r'[^"\r\n\x80-\U0010ffff]')  # what may stand between cells
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Data:
    """What a command was given as a log: files, folders or patterns, one log in their order.

    `separator`: of the cells of CSV files; None for what their names say.
    """

    paths: tuple[Path, ...]
    separator: str | None = None

    @property
    def name(self) -> str:
        """The name of the first."""
        return self.paths[0].name

    def absolute(self) -> "Data":
        """With absolute paths, for other processes."""
        return Data(tuple(path.absolute() for path in self.paths), self.separator)

    def __str__(self) -> str:
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"


@dataclass(frozen=True)
class DataFile:
    """One file, and the columns that its folders say."""

    path: Path
    partition: Mapping[str, str | None] = field(default_factory=dict)


def is_csv(path: Path) -> bool:
    """Whether its name says that cells are separated by a mark; it may be packed."""
    name = path.name.lower()
    return ".csv" in name or ".tsv" in name


def separator_of(path: Path) -> str:
    """The mark between the cells of a CSV file, by its name."""
    return "\t" if ".tsv" in path.name.lower() else ","


def is_parquet(path: Path) -> bool:
    """Whether its name says that it is Parquet."""
    return path.name.lower().endswith(PARQUET)


def is_packed(path: Path) -> bool:
    """Whether its name says that its text is packed."""
    return path.name.lower().endswith(PACKED)


def parquet_rows(path: Path) -> int:
    """How many rows a file of Parquet says that it has.

    Raises:
        OSError, PolarsError: it cannot be read.
    """
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def data_of(paths: Sequence[Path] | None, separator: str | None) -> Data | None:
    """What a command was given, None of nothing; a separator may be written as \\t, or be UNQUOTED
    of `training.data.csv_file`. Files at a URL are copied first, see `training.remote.copies`.

    Raises:
        ConfigError: a separator of more than one character, or a URL that needs more installed.
        DataError: a URL that cannot be read.
    """
    mark = "\t" if separator == "\\t" else separator
    if mark not in (None, UNQUOTED) and not _MARK.fullmatch(mark):
        raise ConfigError(f"--separator {separator!r}: one character, \\t, or {UNQUOTED}")
    return Data(tuple(map(local, paths)), mark) if paths else None


def as_data(given: "Path | Data") -> Data:
    """A path by itself is a log."""
    return given if isinstance(given, Data) else Data((given,))


def data_files(data: Data) -> list[DataFile]:
    """The files of a log, those of a folder or a pattern in the order of their names.

    Raises:
        DataError: nothing there, or a file of an unknown kind.
    """
    found = [file for path in data.paths for file in _files(path)]
    for file in found:
        if not is_log(file.path):
            kinds = ", ".join((*TEXT, *PARQUET))
            raise DataError(
                f"{file.path}: unknown kind of file, expected {kinds}, or with .gz or .zst"
            )
    return found


def is_log(path: Path) -> bool:
    """Whether a file's name is that of a log."""
    return path.name.lower().endswith((*SUFFIXES, *PARQUET))


def text_of(path: Path) -> bytes:
    """The bytes of a file of text, unpacked.

    Raises:
        OSError, EOFError, PolarsError: it cannot be read.
    """
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.decompress(path.read_bytes())
    if name.endswith(".zst"):
        lines = pl.read_lines(path).to_series()
        return "\n".join([*lines.to_list(), ""]).encode()
    return path.read_bytes()


def _files(path: Path) -> Iterator[DataFile]:
    if path.is_dir():
        below: Sequence[Path] = sorted(path.rglob("*"))
        root = path
    elif not path.exists() and glob.has_magic(str(path)):
        below = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  absolute patterns too
        parts = path.parts
        fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        root = Path(*parts[:fixed])
    elif path.exists() and not path.is_file():
        raise DataError(f"{path}: not a file")
    elif not path.exists():
        raise DataError(f"{path}: no such file")
    else:
        yield DataFile(path)
        return
    logs = [file for file in below if file.is_file() and is_log(file) and _is_shown(file, root)]
    if not logs:
        raise DataError(f"{path}: not a file, and no log below it")
    for file in logs:
        yield DataFile(file, dict(_partition(file.relative_to(root))))


def _is_shown(file: Path, root: Path) -> bool:
    return not any(part.startswith(("_", ".")) for part in file.relative_to(root).parts)


def _partition(path: Path) -> Iterator[tuple[str, str | None]]:
    for folder in path.parts[:-1]:
        name, equals, value = folder.partition("=")
        if name and equals:
            yield unquote(name), None if value == _NO_VALUE else unquote(value)
