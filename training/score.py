"""A published form of a model on a log: `afm-train evaluate` and `predict`, by the serving path."""

from pathlib import Path

import numpy as np
import polars as pl

from model.bundle import Bundle
from model.errors import DataError
from training.data import read_log
from training.fit import encode
from training.metrics import Metrics
from training.pack import measure


def evaluate(bundle: Path, data: Path) -> Metrics:
    """Metrics of a bundle on a labelled log.

    Raises:
        BundleError, DataError: either cannot be used.
    """
    opened = Bundle.open(bundle)
    log = read_log(data, opened.schema)
    return measure(opened.scorer(), encode(opened.encoder(), log), log)


def predict(bundle: Path, data: Path, out: Path) -> int:
    """Write a column `probability`, one row a row of the log, as CSV or Parquet by `out`'s ending.

    Raises:
        BundleError, DataError: bundle or log cannot be used, or `out` cannot be written.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"{out}: write .csv or .parquet")
    opened = Bundle.open(bundle)
    log = read_log(data, opened.schema, labelled=False)
    scores = opened.scorer().predict(encode(opened.encoder(), log))
    frame = pl.DataFrame({"probability": scores.probabilities.astype(np.float32)})
    scratch = out.with_name(f".{out.name}.partial")
    try:
        frame.write_csv(scratch) if out.suffix == ".csv" else frame.write_parquet(scratch)
        scratch.replace(out)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise DataError(f"{out}: cannot be written: {error.strerror}") from error
    return len(log)
