"""One net on several parts of a log: `afm-train folds`, and how far its figures spread."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from model.errors import DataError, reason
from model.schema import Schema
from training.config import Config
from training.data.folds import folds
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher

RESULTS = "folds.json"
Figures = dict[str, list[float]]


def fit_folds(
    log: Log,
    schema: Schema,
    config: Config,
    count: int,
    out: Path,
    seed: int,
    watcher: Watcher,
    began: Callable[[str], None],
) -> Figures:
    """Fit a bundle for each fold, and write folds.json: the figures of each on its test part, by
    name.

    Args:
        log: the rows, fitted and tested on in turn.
        schema: the fields.
        config: the settings of all folds.
        count: how many folds.
        out: the folder of folds.json and of the bundles fold-N.
        seed: of the folds and of every fit.
        watcher: sees every epoch.
        began: called with a line as each fold begins.

    Raises:
        ConfigError, DataError, BundleError: see `fit` and `folds`.
    """
    measured: list[dict[str, Any]] = []
    for number, (train, test) in enumerate(folds(log, schema, count, seed), 1):
        began(f"fold {number} of {count}: {len(train)} rows, tested on {len(test)}")
        fitted = fit(train, None, test, schema, config, out / f"fold-{number}", seed, watcher)
        measured.append(fitted.manifest.metrics["test"])
    names = [name for name, value in measured[0].items() if isinstance(value, float)]
    figures = {name: [one[name] for one in measured if one[name] is not None] for name in names}
    try:
        (out / RESULTS).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out / RESULTS}: cannot be written: {reason(error)}") from error
    return figures


def printed(figures: Figures) -> str:
    """A line a figure: its mean over the folds, their standard deviation, and each fold's."""
    lines = []
    for name, values in figures.items():
        each = " ".join(f"{value:.4f}" for value in values)
        lines.append(f"{name:18} {mean(values):.4f} +- {spread(values):.4f}   {each}")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> float:
    """The standard deviation of some folds; 0 of a single one."""
    return stdev(values) if len(values) > 1 else 0.0
