"""Twelve daily retrains on a log that grows, with the defaults: each honest one goes live, and no
spoilt one does.

    .venv/bin/python benchmarks/faults.py retrains

Every day the log so far is fitted and published past the gate, on a real Redis. Before that the
same log is spoilt in three ways and published as well: its labels shuffled, one field emptied
(another one each day), and the honest bundle's probabilities multiplied by 1.3. Two logs: one that
is simulated and drifts, and the coupon log where the data sets of the tests are at hand.
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from logs.worlds import simulate_days
from results import say

from model.bundle.bundle import Bundle
from model.schema import Schema
from service.errors import GateError
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.gate.publish_gate import PublishGate
from service.versions.publish import publish
from training.config import Config
from training.data.log import Log
from training.data.read_log import read_log
from training.draft.draft_schema import write_draft
from training.fit.fit import fit
from training.fit.malloc import keep_freed_memory
from training.fit.step.watcher import Watcher
from training.simulate.simulation import simulate

sys.path.append(str(Path(__file__).parents[2] / "tests/support"))
from altered import scale_output, whole

RETRAINS = 12
SIMULATED_ROWS = 2000  # of a day
HONEST, SHUFFLED, EMPTIED, SCALED = "honest", "labels shuffled", "a field emptied", "scores x 1.3"


def measure() -> Iterator[tuple[str, str, str]]:
    """What was done, and what came of it."""
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="afm-retrains-") as folder:
        home = Path(folder)
        for name, (log, schema) in _logs(home):
            live = run(home / name, log, schema, Config())
            shown = ", ".join(f"{kind} {live[kind]}" for kind in (SHUFFLED, EMPTIED, SCALED))
            yield (
                f"{RETRAINS} daily retrains on {name}: honest ones that go live; spoilt ones",
                f"{live[HONEST]} of {RETRAINS}; {shown} of {RETRAINS}",
                f"{RETRAINS}; 0",
            )


def run(
    home: Path, log: Log, schema: Schema, config: Config, retrains: int = RETRAINS
) -> Counter[str]:
    """How many bundles of each kind the gate let through, of `retrains` days after the first."""
    settings, live = Settings(), Counter[str]()
    home.mkdir()
    with EmbeddedRedis(home / "redis") as server:
        store, bundles = VersionStore(server.url, "daily"), BundleStore(home / "bundles")
        gate = PublishGate(
            settings.gate_max_calibration_ratio, None, False, settings.gate_max_loss_increase
        )

        def passes(bundle: Bundle, kind: str, day: int) -> bool:
            try:
                done = publish(bundle.directory, store, bundles, activate=False, gate=gate)
            except GateError as refused:
                say(f"day {day}, {kind}: {refused}")
                return False
            say(f"day {day}, {kind}: let through: {'; '.join(done.saw)}")
            return True

        for day in range(retrains + 1):
            rows = len(log) * (day + 1) // (retrains + 1)
            made = dict(_bundles(home / f"{day}", log.take(np.arange(rows)), schema, config, day))
            for kind, bundle in made.items():
                if day and passes(bundle, kind, day):
                    live[kind] += 1
                    if kind == HONEST:
                        store.activate(bundle.version)
                elif day == 0 and kind == HONEST:
                    publish(bundle.directory, store, bundles)
            shutil.rmtree(home / f"{day}")
        store.close()
    return live


def _bundles(
    home: Path, log: Log, schema: Schema, config: Config, day: int
) -> Iterator[tuple[str, Bundle]]:
    # the spoilt ones first: none may take the honest one's place before it is judged
    honest = fitted(home / "honest", log, schema, config)
    if day:
        yield SHUFFLED, fitted(home / "shuffled", shuffled(log, day), schema, config)
        field = list(schema.fields)[day % len(schema.fields)]
        yield EMPTIED, fitted(home / "emptied", emptied(log, schema, field), schema, config)
        yield SCALED, whole(honest, home / "scaled", f"scaled-{day}", scores_times_1_3)
    yield HONEST, honest


def fitted(out: Path, log: Log, schema: Schema, config: Config) -> Bundle:
    """A bundle of a log, by `fit`."""
    out.parent.mkdir(exist_ok=True)
    fit(log, None, None, schema, config, out, 1, Watcher())
    return Bundle.open(out)


def shuffled(log: Log, seed: int) -> Log:
    """The log with its labels in another order."""
    return replace(log, labels=np.random.default_rng(seed).permutation(log.labels))


def emptied(log: Log, schema: Schema, field: str) -> Log:
    """The log with a field that is null in every row."""
    column = schema.sources[field]
    return replace(log, columns={**log.columns, column: [None] * len(log)})


def scores_times_1_3(directory: Path) -> None:
    """Every probability, whatever graph it comes from."""
    for name in ("predict.onnx", "rank.onnx"):
        if (directory / name).exists():
            scale_output(directory / name, 1.3)


def _logs(home: Path) -> Iterator[tuple[str, tuple[Log, Schema]]]:
    path = home / "days.parquet"
    days: Sequence[pl.DataFrame] = simulate_days(SIMULATED_ROWS, RETRAINS + 1, seed=1)
    pl.concat(days).write_parquet(path)
    schema = simulate(100, 1).schema
    yield "a drifting simulated log", (read_log(path, schema), schema)
    beside = Path(__file__).parents[3] / "shared" / "data"
    coupon = Path(os.environ.get("AFM_TEST_DATA", beside)) / "coupon" / "coupon.csv.gz"
    if coupon.exists():
        write_draft(coupon, "Y", home / "coupon.toml")
        drafted = Schema.load(home / "coupon.toml")
        yield "the coupon log", (read_log(coupon, drafted), drafted)
