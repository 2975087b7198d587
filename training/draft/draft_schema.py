r"""Drafts a schema by looking at a log: which columns are fields, and of what kind. A draft is a
start to be read and edited, so each field stands with what was seen of it.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     log = Path(folder) / "log.csv"
...     _ = log.write_text("click,device\n" + "1,ios\n0,web\n0,ios\n" * 50)
...     draft_schema(log, "click").splitlines()[-3:]
['role = "context"', 'missing = "token"', 'min_count = 2']
"""

from collections.abc import Sequence
from pathlib import Path

from model.errors import DataError, reason
from model.schema import Schema
from training.data.files import Data
from training.data.read_log import label_array
from training.data.schema_text import schema_text
from training.data.table import Given, Table, plain, read_table, require_columns
from training.draft.drafted_fields import DraftedFields, shown


def draft_schema(
    path: Given,
    label: str,
    *,
    drop: Sequence[str] = (),
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> str:
    """The text of a schema for a log: every column that can say something is a field; those left
    out are named in comments at the end.

    Raises:
        DataError: an unreadable log, a column that is not there, a label that is not 0 or 1 or has
            one class, or no column left for a field.
    """
    refused: dict[str, str] = {}
    table = read_table(path, refused=refused)
    frame = table.frame
    beside = [name for name in (label, weight, group, time) if name is not None]
    for name in refused.keys() & {*beside}:
        raise DataError(f"{table}: column {name!r}, {refused[name]}")
    require_columns(table, [*beside, *(name for name in drop if name not in refused)])
    labels = label_array(frame[label], "click", table)
    if labels.std() == 0:
        raise DataError(f"{table}: column {label!r} has one class, both 0 and 1 are needed")
    columns = DraftedFields(frame.columns, labels)
    for name in frame.columns:
        if name in drop:
            columns.left_out.append(f"{shown(name)}: dropped as asked")
        elif name == time:
            columns.look_at_time(plain(frame[name], table))
        elif name not in beside:
            _look_at(columns, table, name)
    columns.left_out += [f"{shown(name)}: {why}" for name, why in refused.items()]
    fields, left_out = columns.fields, columns.left_out
    if not fields:
        raise DataError(f"{table}: no column is left for a field ({'; '.join(left_out) or 'none'})")
    schema = Schema(
        label=label,
        weight=weight,
        group=group,
        time=time,
        time_format=columns.time_format,
        fields=fields,
    )
    head, *blocks = schema_text(schema).strip("\n").split("\n\n")
    text = [
        f"# Drafted from {shown(table.data.name)}, {len(frame)} rows. Check each kind and role.",
        head,
        *(f"\n# {columns.seen[n]}\n{block}" for n, block in zip(fields, blocks, strict=True)),
        *(["", "# Left out:"] if left_out else []),
        *(f"#   {line}" for line in left_out),
    ]
    return "\n".join(text) + "\n"


def _look_at(columns: DraftedFields, table: Table, name: str) -> None:
    try:
        cells = plain(table.frame[name], table)
    except DataError as error:  # of a type that JSON has no value for
        why = str(error).removeprefix(f"{table}: column {name!r} ")
        columns.left_out.append(f"{shown(name)}: {why}")
    else:
        columns.look_at(cells)


def write_draft(
    path: Path | Data,
    label: str,
    out: Path,
    *,
    drop: Sequence[str] = (),
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> str:
    """Draft a schema into a new file, and return the comments on what was left out.

    Args:
        path: the log.
        label: the column of clicks, 0 or 1.
        out: the file to write.
        drop: columns to leave out.
        weight: the column of weights, or None.
        group: the column of requests or users, or None.
        time: the column of times, or None.

    Raises:
        DataError: `out` exists or cannot be written, or see `draft_schema`.
    """
    if out.exists():
        raise DataError(f"{out}: exists already; choose another file or remove it")
    text = draft_schema(path, label, drop=drop, weight=weight, group=group, time=time)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DataError(f"{out}: cannot write there: {reason(error)}") from error
    return left_out(text)


def left_out(draft: str) -> str:
    """The comments of a draft on what it left out, a line each; empty where nothing was."""
    return draft.partition("\n# Left out:\n")[2].rstrip("\n")
