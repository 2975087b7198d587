"""A published form of a model on a log: `afm-train evaluate` and `predict`, by the serving path."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.errors import ConfigError, DataError, reason
from model.metrics.bootstrap import RESAMPLES, intervals, resample
from model.metrics.metrics import metrics
from model.schema import CategoricalField, Field, MultivalueField, NumericField, Schema
from training.data.files import Data, as_data
from training.data.log import Log, encode
from training.data.parts import require_contrast, weigh_negatives
from training.data.read_log import read_log
from training.data.table import Given, as_text, name_of, plain, read_table
from training.evaluation.cautions import of_counts, of_values
from training.evaluation.coverage import Counts, counts
from training.evaluation.slices import Slice, slices


class Scored(NamedTuple):
    """What B rows are answered with, float32 [B], and what their fields have."""

    predictions: NDArray[np.float32]
    counts: Mapping[str, Counts]


def evaluate(
    bundle: Path,
    data: Given,
    by: str | None = None,
    resamples: int = RESAMPLES,
    negatives_kept: float = 1.0,
    scored: Callable[[], Scored] | None = None,
) -> dict[str, Any]:
    """Figures of a bundle on a labelled log, with "intervals" where `resamples` is not 0, and with
    "slices" by the values of `by`, a field or another column of the log, each with figures of its
    own; "warnings" are what must not pass in silence. A log that holds the share `negatives_kept`
    of its negatives is weighed as if it held all. `scored` scores the log elsewhere: then only its
    labels and what they need are read here.

    Raises:
        BundleError, DataError: either cannot be used, the log is of one class, or has no column
            `by`.
    """
    opened = Bundle.open(bundle)
    sources = opened.schema.sources
    read_here = None if scored is None else [sources[name] for name in sources if name == by]
    log = read_log(data, opened.schema, sources=read_here)
    task = opened.schema.task
    if task != "regression":
        require_contrast(log, task)
    if negatives_kept != 1:
        if task != "click":
            raise ConfigError(f"a rate of negatives is for task click, and this is {task}")
        log = weigh_negatives(log, negatives_kept)
    predictions, found = _scored(opened, log) if scored is None else scored()
    measured = _measured(log, task, predictions, np.arange(len(log)), resamples)
    measured["warnings"] = of_counts(found, name_of(data))
    if by is not None:
        measured["slices"] = [
            {"value": part.value, **_measured(log, task, predictions, part.rows, resamples)}
            for part in _parts(by, log, data, opened.schema)
        ]
    return measured


def _scored(opened: Bundle, log: Log) -> Scored:
    encoder = opened.read_encoder()
    encoded = encode(encoder, log)
    return Scored(opened.read_scorer().predict(encoded).predictions, counts(encoded, encoder))


def _parts(by: str, log: Log, data: Given, schema: Schema) -> list[Slice]:
    if by in schema.fields:
        return slices(schema.fields[by], log.columns[schema.sources[by]])
    table = read_table(data, [by])
    cells = plain(table.frame[by], table)
    described: Field = CategoricalField(kind="categorical", null_values=schema.null_values)
    if isinstance(cells.dtype, pl.List):
        described = MultivalueField(kind="multivalue", null_values=schema.null_values)
    elif cells.dtype.is_numeric():  # cut into ranges where there are many
        described = NumericField(kind="numeric", null_values=schema.null_values)
    return slices(described, cells.to_list())


def without_contrast(measured: Mapping[str, Any]) -> str | None:
    """A line for people that names the slices of what `evaluate` gives whose rows hold one class,
    so that figures which need both are null; None where there is no such slice.
    """
    figure = next((name for name in ("auc", "gauc") if measured[name] is not None), None)
    if figure is None:  # of task regression
        return None
    values = [part["value"] for part in measured.get("slices", ()) if part[figure] is None]
    named = ", ".join("(missing)" if value is None else repr(value) for value in values)
    return f"no {figure.upper()} in slices of one class: {named}" if named else None


def _measured(
    log: Log,
    task: str,
    predictions: NDArray[np.float32],
    rows: NDArray[np.int64],
    resamples: int,
) -> dict[str, Any]:
    labels, chosen = log.labels[rows], predictions[rows]
    weights = None if log.weights is None else log.weights[rows]
    group = None if log.group is None else log.group[rows]
    measured: dict[str, Any] = dict(metrics(labels, chosen, weights, group, task))
    if resamples:
        drawn = resample(labels, chosen, weights, group, task=task, resamples=resamples)
        measured["intervals"] = intervals(drawn)
    return measured


def predict(
    bundle: Path, data: Path | Data, out: Path, keep: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """Write a column `probability`, or `score` where the task has none, one row a row of the log,
    as CSV or Parquet by `out`'s ending; the columns to `keep` of the log stand before it. Returns
    how many, and what is to be said of them.

    Raises:
        BundleError, DataError: bundle or log cannot be used, or `out` cannot be written.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"{out}: write .csv or .parquet")
    opened = Bundle.open(bundle)
    log = read_log(data, opened.schema, labelled=False)
    encoder = opened.read_encoder()
    encoded = encode(encoder, log)
    scores = opened.read_scorer().predict(encoded)
    column = "score" if scores.probabilities is None else "probability"
    if column in keep:
        raise DataError(f"{data}: column {column!r} cannot be kept: the scores have its name")
    given = read_table(data, keep).frame if keep else pl.DataFrame()
    predictions = pl.Series(column, scores.predictions.astype(np.float32))
    frame = beside(given, predictions, as_data(data), out.suffix)
    scratch = out.with_name(f".{out.name}.partial")
    try:
        frame.write_csv(scratch) if out.suffix == ".csv" else frame.write_parquet(scratch)
        scratch.replace(out)
    except (OSError, pl.exceptions.PolarsError) as error:  # a full disk is either
        with suppress(OSError):
            scratch.unlink()
        raise DataError(f"{out}: cannot be written: {reason(error)}") from error
    return len(log), of_values(encoded, encoder, as_data(data).name)


def beside(given: pl.DataFrame, scores: pl.Series, data: Data, suffix: str) -> pl.DataFrame:
    """The scores behind the columns that were `given`, as a file of this suffix can hold them."""
    if suffix == ".csv":  # which has no lists
        lists = [cells for cells in given if cells.dtype.is_nested()]
        given = given.with_columns(as_text(cells, data) for cells in lists)
    return pl.DataFrame([*given, scores])
