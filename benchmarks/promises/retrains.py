"""Twelve daily retrains on a log that grows, with the defaults: each honest one goes live, and no
spoilt one does.

    .venv/bin/python benchmarks/faults.py retrains

Every day the log so far is fitted and published past the gate, on a real Redis. Before that the
same log is spoilt in three ways and published as well: its labels shuffled, one field emptied
(another one each day), and the honest bundle's probabilities multiplied by 1.3. Two logs: one that
is simulated and drifts, and the coupon log where the data sets of the tests are at hand. The former
once more by only the rows of a day, where each fit continues from the active version.
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
from training.state.warm_start import WarmStart, completed

sys.path.append(str(Path(__file__).parents[2] / "tests/support"))
from altered import scale_output, whole

RETRAINS = 12
SIMULATED_ROWS = 2000  # of a day
FIRST_DAYS = 4  # of the first fit, where the others are of one day
HONEST, SHUFFLED, EMPTIED, SCALED = "honest", "labels shuffled", "a field emptied", "scores x 1.3"


def measure() -> Iterator[tuple[str, str, str]]:
    """What was done, and what came of it."""
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="afm-retrains-") as folder:
        home = Path(folder)
        for name, (log, schema) in _logs(home):
            yield _line(name, run(home / name, log, schema, Config()))
        name = "a drifting simulated log, each of only a day's rows, from the active version"
        log, schema = _simulated(home, RETRAINS + FIRST_DAYS)
        yield _line(name, run(home / "alone", log, schema, Config(), alone=True))


def _line(name: str, live: Counter[str]) -> tuple[str, str, str]:
    shown = ", ".join(f"{kind} {live[kind]}" for kind in (SHUFFLED, EMPTIED, SCALED))
    return (
        f"{RETRAINS} daily retrains on {name}: honest ones that go live; spoilt ones",
        f"{live[HONEST]} of {RETRAINS}; {shown} of {RETRAINS}",
        f"{RETRAINS}; 0",
    )


def run(
    home: Path,
    log: Log,
    schema: Schema,
    config: Config,
    retrains: int = RETRAINS,
    *,
    alone: bool = False,
) -> Counter[str]:
    """How many bundles of each kind the gate let through, of `retrains` days after the first.
    `alone`: a fit has only its day's rows and continues from the active version; the first one has
    FIRST_DAYS.
    """
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

        first = FIRST_DAYS if alone else 1
        begin, start = 0, None
        for day in range(retrains + 1):
            end = len(log) * (day + first) // (retrains + first)
            rows = log.take(np.arange(begin, end))
            made = dict(_bundles(home / f"{day}", rows, schema, config, day, start))
            for kind, bundle in made.items():
                if day and passes(bundle, kind, day):
                    live[kind] += 1
                    if kind == HONEST:
                        store.activate(bundle.version)
                elif day == 0 and kind == HONEST:
                    publish(bundle.directory, store, bundles)
            if alone:
                begin = end
                start = WarmStart.open(bundles.open("daily", store.active() or "").bundle.directory)
            shutil.rmtree(home / f"{day}")
        store.close()
    return live


def _bundles(
    home: Path, log: Log, schema: Schema, config: Config, day: int, start: WarmStart | None
) -> Iterator[tuple[str, Bundle]]:
    # the spoilt ones first: none may take the honest one's place before it is judged
    honest = fitted(home / "honest", log, schema, config, start)
    if day:
        yield SHUFFLED, fitted(home / "shuffled", shuffled(log, day), schema, config, start)
        field = list(schema.fields)[day % len(schema.fields)]
        yield EMPTIED, fitted(home / "emptied", emptied(log, schema, field), schema, config, start)
        yield SCALED, whole(honest, home / "scaled", f"scaled-{day}", scores_times_1_3)
    yield HONEST, honest


def fitted(
    out: Path, log: Log, schema: Schema, config: Config, start: WarmStart | None = None
) -> Bundle:
    """A bundle of a log, by `fit`."""
    out.parent.mkdir(exist_ok=True)
    used = config if start is None else completed(start.config(), start.bundle)
    fit(log, None, None, schema, used, out, 1, Watcher(), start)
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
    yield "a drifting simulated log", _simulated(home, RETRAINS + 1)
    beside = Path(__file__).parents[3] / "shared" / "data"
    coupon = Path(os.environ.get("AFM_TEST_DATA", beside)) / "coupon" / "coupon.csv.gz"
    if coupon.exists():
        write_draft(coupon, "Y", home / "coupon.toml")
        drafted = Schema.load(home / "coupon.toml")
        yield "the coupon log", (read_log(coupon, drafted), drafted)


def _simulated(home: Path, days: int) -> tuple[Log, Schema]:
    path = home / "days.parquet"
    drawn: Sequence[pl.DataFrame] = simulate_days(SIMULATED_ROWS, days, seed=1)
    pl.concat(drawn).write_parquet(path)
    schema = simulate(100, 1).schema
    return read_log(path, schema), schema
