"""The draft of a log that a test has as columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from model.schema import Schema
from training.draft.draft_schema import draft_schema


def draft_of(folder: Path, columns: Mapping[str, Any]) -> tuple[Path, str, Schema]:
    """The file of the log, the text of its draft, and what that says."""
    path = folder / "log.csv"
    pl.DataFrame(columns, strict=False).write_csv(path)
    text = draft_schema(path, "click")
    return path, text, Schema.parse(text)


def comment(text: str, name: str) -> str:
    """What a draft says above a field."""
    return text.partition(f"\n[fields.{name}]")[0].rpartition("\n")[2]
