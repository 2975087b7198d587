"""The logs that nets are compared on: real ones in random splits, and simulated ones."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from logs.worlds import PLAIN, World, simulate_world

from model.schema import Schema
from training.data.log import Log
from training.data.read_log import read_log
from training.draft.draft_schema import write_draft

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
LOGS = {  # label, columns known only afterwards
    "kdd": ("click", ["impression"]),
    "coupon": ("Y", []),
    "bank": ("y", ["duration"]),
    "obd": ("click", []),
}


def write_split(data: Path, name: str, seed: int, home: Path) -> tuple[Path, Path]:
    """A random 80/20 split of a log as two files, the larger one first."""
    frame = pl.read_csv(data / name / f"{name}.csv.gz", infer_schema=False)
    order = np.random.default_rng(seed).permutation(len(frame))
    cut = len(frame) // 5
    train, test = home / "train.csv", home / "test.csv"
    frame[order[cut:]].write_csv(train)
    frame[order[:cut]].write_csv(test)
    return train, test


def splits(data: Path, name: str, seeds: Sequence[int]) -> Iterator[tuple[int, Log, Log, Schema]]:
    """Random 80/20 splits of a log, each with the schema that is drafted of its larger part."""
    label, drop = LOGS[name]
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            parts = write_split(data, name, seed, Path(scratch))
            write_draft(parts[0], label, Path(scratch) / "schema.toml", drop=drop)
            schema = Schema.load(Path(scratch) / "schema.toml")
            train, test = (read_log(part, schema) for part in parts)
        yield seed, train, test, schema


def simulated_logs(
    seeds: Sequence[int], rows: int, unseen: float = 0.05, world: World = PLAIN
) -> Iterator[tuple[int, Log, Log, Schema]]:
    """Simulated logs in their two parts."""
    for seed in seeds:
        drawn = simulate_world(rows, seed, unseen, world)
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            for part in ("train", "test"):
                getattr(drawn, part).write_parquet(home / f"{part}.parquet")
            train, test = (
                read_log(home / f"{part}.parquet", drawn.schema) for part in ("train", "test")
            )
        yield seed, train, test, drawn.schema
