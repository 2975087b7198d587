"""A log of 39 fields, 30 of the context and 9 of the ads, of which the benchmarks make a model and
requests. What it says of clicks is next to nothing: speed does not depend on it.
"""

from pathlib import Path

import numpy as np
import polars as pl

CONTEXT, ADS = 30, 9
NUMERIC_EVERY = 6  # every sixth field is a number
ROWS = 40_000
CONFIG = """
net = "afm"
calibration = "platt" # which the naive graph has too
baseline = false
[fit]
epochs = 2
batch = 1024
[attention]
epochs = 1
batch = 1024
"""


def write_wide_log(home: Path, context: int = CONTEXT, ads: int = ADS, rows: int = ROWS) -> None:
    """Write log.parquet, schema.toml and config.toml; values are texts as ids mostly are, of 10 to
    5,000 to a field, a few of them very frequent.
    """
    home.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    columns: dict[str, object] = {}
    described = ['label = "click"']
    logit = np.full(rows, -1.5)
    for number in range(context + ads):
        of_ads = number >= context
        name = f"ad_{number - context + 1}" if of_ads else f"context_{number + 1}"
        numeric = number % NUMERIC_EVERY == NUMERIC_EVERY - 1
        if numeric:
            drawn = np.round(rng.gamma(2, 3, rows), 2)
            columns[name] = drawn
            logit += 0.02 * (drawn - 6)
        else:
            values = int(10 ** rng.uniform(1, 3.7))
            drawn = (values * rng.random(rows) ** 2).astype(int)
            columns[name] = [f"{name}-{value:05x}" for value in drawn]
            logit += rng.normal(0, 0.3, values)[drawn]
        described += [
            f"[fields.{name}]",
            f'kind = "{"numeric" if numeric else "categorical"}"',
            f'role = "{"candidate" if of_ads else "context"}"',
        ]
    columns["click"] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    pl.DataFrame(columns).write_parquet(home / "log.parquet")
    (home / "schema.toml").write_text("\n".join(described) + "\n")
    (home / "config.toml").write_text(CONFIG)
