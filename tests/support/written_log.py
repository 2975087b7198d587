"""A log of columns of every kind, drawn and written as files of every kind."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from training.data.files import Data

SCHEMA = """
label = "click"
weight = "worth"
null_values = ["none"]
[fields.device]
kind = "categorical"
min_count = 3
[fields.user]
kind = "categorical"
missing = "absent"
[fields.yes]
kind = "categorical"
[fields.page]
kind = "categorical"
buckets = 50
[fields.tags]
kind = "multivalue"
max_values = 2
[fields.price]
kind = "numeric"
transform = "log1p"
[fields.floor]
kind = "numeric"
transform = "quantile"
bins = 5
missing = "absent"
[fields.age]
kind = "numeric"
[fields.hour]
kind = "categorical"
source = "at"
part = "hour"
[fields.day]
kind = "numeric"
source = "at"
part = "weekday"
"""


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)

    def some(value: Any, share: float = 0.1) -> Any:
        return None if rng.random() < share else value

    return [
        {
            "click": int(rng.random() < 0.3),
            "worth": float(rng.integers(0, 4)),
            "device": some(str(rng.choice(["ios", 'an "odd" one', "two\nlines", "none", "7.0"]))),
            "user": some(int(rng.integers(2000))),
            "yes": some(
                str(
                    rng.choice(["Yes", "yes", "TRUE", "no", "maybe"], p=[0.4, 0.3, 0.1, 0.19, 0.01])
                )
            ),
            "page": f"/p{rng.integers(500)}",
            "tags": some("|".join(map(str, rng.choice(["a", "b", "c", "é"], rng.integers(0, 4))))),
            "price": some(round(float(rng.gamma(2, 3)), 2)),
            "floor": some(int(rng.integers(9))),
            "age": some(float(rng.normal(40, 9))),
            "at": f"2026-11-{1 + rng.integers(28):02d}T{rng.integers(24):02d}:00:00Z",
        }
        for _ in range(count)
    ]


def written(folder: Path, kind: str, given: list[dict[str, Any]]) -> Data:
    folder.mkdir()
    frame = pl.DataFrame(given, infer_schema_length=None)
    text = frame.write_csv()
    lines = "".join(
        json.dumps({key: value for key, value in row.items() if value is not None}) + "\n"
        for row in given
    )
    if kind == "csv":
        (folder / "log.csv").write_text("\ufeff\n" + text)
    elif kind == "csv.gz":
        (folder / "log.csv.gz").write_bytes(gzip.compress(text.encode()))
    elif kind == "jsonl":
        (folder / "log.jsonl").write_text(lines)
    elif kind == "csv.zst":
        frame.write_csv(folder / "log.csv.zst", compression="zstd")
    else:  # several files, in which a column has several types, and one is that of the folders
        for number, part in enumerate((frame[:900], frame[900:])):
            (folder / f"yes={number}").mkdir()
            user = pl.col("user").cast(pl.String) if number else pl.col("user")
            at = pl.col("at") if number else pl.col("at").str.to_datetime(time_zone="UTC")
            part.drop("yes").with_columns(user, at).write_parquet(
                folder / f"yes={number}" / "part.parquet", row_group_size=333
            )
    return Data((folder,))
