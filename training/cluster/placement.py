"""What a process asks of Ray: one core, and as much memory as was measured (docs/scale.md)."""

from pathlib import Path
from typing import Any

import polars as pl
import ray

from model.errors import ConfigError
from training.data.files import Data, data_files, is_parquet, parquet_rows

MB = 1 << 20
PROCESS = 400 * MB  # torch, polars and Ray, before they do anything (measured: 380)
SHARD = 300 * MB  # beside it, for one of 131,000 rows and 39 fields (measured: 257)
TIMES_SHARED = 3  # what the trial or the fit of a task takes, of the size of the rows it is given
CELL = 20  # bytes of a fit for each row and field, at least (measured: 20 to 50)


def of_task(shared: Any) -> int:
    """Bytes that a task takes which is given an object of Ray's."""
    locations = ray.experimental.get_object_locations([shared])
    size = int(locations[shared]["object_size"] or 0)
    return PROCESS + max(SHARD, TIMES_SHARED * size)


def of_member(log: Data, fields: int) -> int:
    """Bytes that a process takes at least which works on a fit of a log; of files of text, whose
    rows are not known before they are read, without the rows.
    """
    parquet = [file.path for file in data_files(log) if is_parquet(file.path)]
    return PROCESS + CELL * fields * sum(map(_rows, parquet))


def _rows(path: Path) -> int:
    try:
        return parquet_rows(path)
    except (pl.exceptions.PolarsError, OSError):
        return 0  # whoever reads it says why it cannot be read


def check_room(workers: int | None, memory: int) -> int:
    """How many processes the cluster has room for, of a core and so much memory each, whatever else
    is at work there.

    Raises:
        ConfigError: for fewer than `workers`, or for none.
    """
    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            room += min(int(has.get("CPU", 0)), int(has.get("memory", 0)) // memory)
    if room < (workers or 1):
        raise ConfigError(
            f"--workers {workers or 1}: the cluster has room for {room}, which need a core and "
            f"{memory / MB:,.0f} MB of memory each"
        )
    return room
