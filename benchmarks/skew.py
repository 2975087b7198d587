"""Training/serving skew: every row of a log by `/predict`, with JSON typed as callers type it,
beside `afm-train predict` on the file. Nothing of the product reads the file for the callers: they
read its cells themselves, and send each as what it looks like, or all as text.

    .venv/bin/python benchmarks/skew.py --data DIR [--logs kdd,coupon] [--net lr] [--no-write]

The schema is drafted, the net fitted for one epoch, since no difference depends on how good it is.
Ends with an error where two probabilities of one row are further apart than 1e-7.
"""

import argparse
import csv
import gzip
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from logs.splits import CONFIGS, LOGS
from processes.product import run
from processes.servers import service
from results import circumstances, keep, say, table
from traffic.load import Connection, request_bytes

from model.bundle.bundle import Bundle

REQUEST_ROWS = 500
MOST = 1e-7
ONE_EPOCH = "baseline = false\n[fit]\nepochs = 1\nbatch = 1024\n[attention]\nepochs = 1\n"
WHOLE = re.compile(r"-?(0|[1-9]\d{0,14})")
NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})\.\d{1,14}")
WORDS = {"true": True, "false": False, "yes": True, "no": False}


def main() -> None:
    """Measure each log; print a table and keep it."""
    parser = argparse.ArgumentParser(description="One row by file and by HTTP.")
    parser.add_argument("--data", type=Path, required=True, help="the directory of the logs")
    parser.add_argument("--logs", default=",".join((*LOGS, "frappe")))
    parser.add_argument("--net", default="lr")
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    lines = []
    for name in options.logs.split(","):
        say(name)
        with tempfile.TemporaryDirectory(prefix="afm-bench-") as scratch:
            lines.append([name, *measured(options.data, name, options.net, Path(scratch))])
    head = ["log", "rows", "values", "numbers, booleans, nulls", "typed", "as text"]
    text = f"{table(head, lines)}\n\n{circumstances('onnxruntime', 'polars')} Net {options.net}."
    print(text)
    if not options.no_write:
        keep("skew", text)


def measured(data: Path, name: str, net: str, home: Path) -> list[object]:
    """The rows, the values sent, and the largest difference for each way to type them."""
    bundle, log = fitted(data, name, net, home)
    out = home / "scores.parquet"
    run("afm-train", "predict", str(bundle.directory), str(log), "--out", str(out))
    expected = pl.read_parquet(out)["probability"].to_numpy()
    sources = set(bundle.schema.sources.values())
    rows = [{k: v for k, v in row.items() if k in sources} for row in cells(log)]
    typed = [{key: as_looks(cell) for key, cell in row.items()} for row in rows]
    others = sum(not isinstance(value, str) for row in typed for value in row.values())
    with service(home, bundle, AFM_TIMEOUT_MS="600000", AFM_MAX_ROWS="1000") as port:
        apart = [largest(port, asked, expected) for asked in (typed, rows)]
    if max(apart) > MOST:
        raise SystemExit(f"{name}: probabilities of one row differ by {max(apart):.2g}")
    values = sum(map(len, rows))
    shown = (f"{worst:.1e}" for worst in apart)
    return [f"{len(rows):,}", f"{values:,}", f"{others / values:.0%}", *shown]


def fitted(data: Path, name: str, net: str, home: Path) -> tuple[Bundle, Path]:
    """A bundle of a log, and the log."""
    schema, config = home / "schema.toml", home / "config.toml"
    config.write_text(ONE_EPOCH)
    if name == "frappe":
        log, schema = data / "frappe" / "valid.csv.gz", CONFIGS / "frappe-schema.toml"
    else:
        label, drop = LOGS[name]
        log = data / name / f"{name}.csv.gz"
        dropped = [word for column in drop for word in ("--drop", column)]
        run("afm-train", "schema", str(log), "--label", label, "--out", str(schema), *dropped)
    words = ["--schema", str(schema), "--config", str(config), "--net", net]
    run("afm-train", "fit", str(log), *words, "--out", str(home / "bundle"))
    return Bundle.open(home / "bundle"), log


def cells(log: Path) -> Iterator[dict[str, str]]:
    """The rows of a packed CSV by the standard library."""
    with gzip.open(log, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def as_looks(cell: str) -> bool | int | float | str | None:
    """A cell as a caller types it who knows JSON's types."""
    if not cell:
        return None
    if WHOLE.fullmatch(cell):
        return int(cell)
    if NUMBER.fullmatch(cell):
        return float(cell)
    return WORDS.get(cell.lower(), cell)


def largest(port: int, rows: Sequence[dict[str, Any]], expected: np.ndarray) -> float:
    """How far an answer is from what is expected, at most."""
    connection = Connection(port)
    answered: list[float] = []
    for at in range(0, len(rows), REQUEST_ROWS):
        body = request_bytes("/predict", {"instances": rows[at : at + REQUEST_ROWS]})
        answered += connection.ask(body)["probabilities"]
    connection.close()
    return float(np.abs(np.array(answered) - expected).max())


if __name__ == "__main__":
    main()
