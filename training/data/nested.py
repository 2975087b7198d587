"""Objects within the columns of a table, as Parquet has them: a column by its path, as the objects
of JSON lines are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from training.data.json_lines import BID_REQUEST, rows_as_text


def flattened(
    frame: pl.DataFrame,
    path: Path,
    columns: Sequence[str] | None,
    refused: dict[str, str] | None = None,
) -> pl.DataFrame:
    """The table with a column for each value that stands in an object, named by its path; the
    others stay as they are. Lists of objects, and bid requests, are read as JSON lines are: then
    `columns` are those that are wanted, None for all, and `refused` as there.

    Raises:
        DataError: see `read_json_lines`.
    """
    if isinstance(frame.schema.get(BID_REQUEST), pl.Struct):
        return rows_as_text(frame.to_dicts(), path, columns, refused)
    lists = [name for name, kind in frame.schema.items() if _has_lists_of_objects(kind)]
    read = None
    if lists:
        inner = None if columns is None else [name for name in columns if name not in frame.columns]
        read = rows_as_text(frame.select(lists).to_dicts(), path, inner, refused)
        frame = frame.drop(lists)
    while any(isinstance(kind, pl.Struct) for kind in frame.dtypes):
        frame = frame.select(
            part for name, kind in frame.schema.items() for part in _parts(name, kind)
        )
    return frame if read is None else pl.concat([frame, read], how="horizontal")


def has_objects(schema: Mapping[str, pl.DataType]) -> bool:
    """Whether some column holds objects, so that `flattened` would change the table."""
    return any(
        isinstance(kind, pl.Struct) or _has_lists_of_objects(kind) for kind in schema.values()
    )


def _parts(name: str, kind: pl.DataType) -> list[pl.Expr]:
    if not isinstance(kind, pl.Struct):
        return [pl.col(name)]
    inner = pl.col(name).struct
    return [inner.field(field.name).alias(f"{name}.{field.name}") for field in kind.fields]


def _has_lists_of_objects(kind: object) -> bool:
    if isinstance(kind, pl.Struct):
        return any(_has_lists_of_objects(field.dtype) for field in kind.fields)
    return isinstance(kind, pl.List | pl.Array) and isinstance(kind.inner, pl.Struct)
