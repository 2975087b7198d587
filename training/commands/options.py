"""What the commands have in common: the types of their options, and logs read as these say.

>>> rate("--test-share")("0.2")
0.2
>>> seed("--seed")("-1")
Traceback (most recent call last):
model.errors.ConfigError: --seed '-1': a whole number from 0 to 2^63 - 1
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from typer import Argument, Option

from model.errors import ConfigError
from training.config import DEVICE, NetName

if TYPE_CHECKING:
    from model.schema import Schema
    from training.config import Config
    from training.data.files import Data
    from training.data.log import Log
    from training.fit.material import Streamed

Number = TypeVar("Number", int, float)


def at_least(option: str, kind: Callable[[str], Number], least: Number) -> Callable[[str], Number]:
    """A parser of numbers from `least` on."""
    return _ranged(option, kind, lambda number: number >= least, f"{least} or more")


def rate(option: str) -> Callable[[str], float]:
    """A parser of shares above 0 and up to 1; NaN is refused as well."""
    return _ranged(option, float, lambda share: 0 < share <= 1, "a number above 0 and up to 1")


def _ranged(
    option: str, kind: Callable[[str], Number], fits: Callable[[Number], bool], wanted: str
) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not fits(number):
            raise ConfigError(f"{option} {text}: {wanted}")
        return number

    return parse


def seed(option: str) -> Callable[[str], int]:
    """A parser of seeds that numpy and torch both take."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = -1
        if not 0 <= number < 2**63:
            raise ConfigError(f"{option} {text!r}: a whole number from 0 to 2^63 - 1")
        return number

    return parse


def device(option: str) -> Callable[[str], str]:
    """A parser of the names of devices."""

    def parse(text: str) -> str:
        if not re.fullmatch(DEVICE, text):
            raise ConfigError(f"{option} {text}: cpu, cuda, or a number with it as cuda:1")
        return text

    return parse


LogFiles = Annotated[
    list[Path],
    Argument(
        metavar="DATA",
        help="One log: files, folders, patterns or URLs of CSV, TSV, JSON lines or Parquet.",
    ),
]
Separator = Annotated[
    str | None, Option(metavar="MARK", help="The mark between the cells of CSV files.")
]
SchemaFile = Annotated[Path, Option(metavar="FILE", help="TOML; `afm-train schema` drafts one.")]
ConfigFile = Annotated[
    Path | None, Option(metavar="FILE", help="TOML; docs/training.md has its keys.")
]
OutFolder = Annotated[Path, Option(metavar="DIR", help="The folder to write.")]
BundleFolder = Annotated[Path, Argument(metavar="BUNDLE", help="A bundle that `fit` wrote.")]
Net = Annotated[NetName | None, Option(help="Default: the configuration's, else ffm.")]
Seed = Annotated[
    int, Option(parser=seed("--seed"), metavar="S", help="The seed of all random numbers.")
]
ValidFiles = Annotated[
    list[Path] | None,
    Option(metavar="DATA", help="Rows held out; may be repeated. Default: a part of DATA."),
]
Stream = Annotated[
    bool, Option("--stream", help="Read DATA in blocks: for a log larger than memory.")
]
Readers = Annotated[
    int | None,
    Option(
        parser=at_least("--readers", int, 1),
        metavar="N",
        help="With --stream, how many threads read; the result is the same. Default: 2.",
    ),
]
TestFiles = Annotated[
    list[Path] | None,
    Option(metavar="DATA", help="Rows for the figures; may be repeated. Default: none."),
]


def data_given(files: list[Path], separator: str | None) -> "Data":
    """The files of the argument DATA as one log's."""
    from training.data.files import data_of

    data = data_of(files, separator)
    assert data is not None  # noqa: S101  of an argument that takes one or more
    return data


def optional_log(files: list[Path] | None, schema: "Schema", separator: str | None) -> "Log | None":
    """The log of an option that may be absent."""
    from training.data.files import data_of
    from training.data.read_log import read_log

    data = data_of(files or None, separator)
    return None if data is None else read_log(data, schema)


def fit_inputs(
    files: list[Path],
    schema: Path,
    config: Path | None,
    net: NetName | None,
    separator: str | None,
    stream: bool,
    readers: int | None,
    say: Callable[[str], None],
) -> tuple["Schema", "Config", "Log | Streamed"]:
    """What a command that fits nets reads first, the log itself unless it is to be streamed, by so
    many readers; `say`: for lines about its progress. Freed memory is kept from then on.

    Raises:
        ConfigError, DataError: a file that cannot be read, or not as it should be.
    """
    from model.schema import Schema
    from training.fit.malloc import keep_freed_memory
    from training.fit.material import READERS, Streamed

    if not stream:
        return read_inputs(files, schema, config, net, separator)
    keep_freed_memory()
    log = Streamed(data_given(files, separator), readers or READERS, say)
    return Schema.load(schema), configuration(config, net), log


def read_inputs(
    files: list[Path],
    schema: Path,
    config: Path | None,
    net: NetName | None,
    separator: str | None,
) -> tuple["Schema", "Config", "Log"]:
    """The same of a log that is read into memory.

    Raises:
        ConfigError, DataError: see `fit_inputs`.
    """
    from model.schema import Schema
    from training.data.read_log import read_log
    from training.fit.malloc import keep_freed_memory

    keep_freed_memory()
    fields, settings = Schema.load(schema), configuration(config, net)
    return fields, settings, read_log(data_given(files, separator), fields)


def configuration(path: Path | None, net: NetName | None) -> "Config":
    """The configuration of a file, or the defaults, with the net that is given beside it."""
    from training.config import Config

    config = Config.load(path)
    return config if net is None else config.model_copy(update={"net": net})


def print_progress(line: str) -> None:
    """A line about what runs now, on stderr."""
    print(line, file=sys.stderr)


def print_warnings(lines: Sequence[str]) -> None:
    """Warnings, a line each, on stderr."""
    for line in lines:
        print_progress(f"afm-train: warning: {line}")
