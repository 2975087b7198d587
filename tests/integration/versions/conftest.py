"""Followers of versions, and the bundles that they judge, each fitted once a session."""

import gc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altered import whole
from followed import POLL_SECONDS
from judged_bundles import made
from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.files.file_locks import locked
from model.schema import Schema
from recent_requests import CHANGES, OPEN, WatchedShadow, bodies, noted
from service.observe.metrics import Telemetry
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.follower import Follower, Times
from service.versions.publish import publish
from service.versions.shadow import PAUSE_FACTOR
from tiny import tiny_rows, unlabelled_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher


def once(out: Path, write: Callable[[Path], object]) -> Bundle:
    """The bundle at `out`, written by the first worker of the session that needs it."""
    with locked(out.with_suffix(".lock")):
        if not out.exists():
            write(out)
    return Bundle.open(out)


@pytest.fixture
def telemetry() -> Any:
    return Telemetry()


@pytest.fixture
def times() -> Any:
    return Times(poll=POLL_SECONDS)


@pytest.fixture
def own(redis_url: str) -> Any:
    """The store of the follower."""
    return VersionStore(redis_url, "ads", 0.5)


@pytest.fixture
def follower(own: Any, bundles: BundleStore, telemetry: Any, times: Any) -> Iterator[Any]:
    made = Follower(own, bundles, telemetry, times)
    yield made
    made.stop()
    gc.unfreeze()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all tests of a file."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def good(session_folder: Path) -> Bundle:
    return once(session_folder / "good", made)


@pytest.fixture(scope="session")
def constant(session_folder: Path) -> Bundle:
    """A net that was not fitted: it gives every row the click rate."""
    return once(session_folder / "constant", partial(made, fit=Step(epochs=0)))


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Newer labelled rows in a file."""
    labels = np.array([float(row["click"]) for row in tiny_rows(2000, seed=9)])
    path = tmp_path_factory.mktemp("fresh") / "fresh.jsonl"
    rows = LabelledRows(unlabelled_rows(2000, seed=9), labels, np.ones(len(labels)))
    path.write_bytes(rows.dumps())
    return path


@pytest.fixture(scope="session")
def fitted(session_folder: Path, tiny_schema: Schema) -> Any:
    """A bundle by the seed of its rows, which are enough of them to learn what they hold."""

    def of(seed: Any) -> Any:
        def write(out: Path) -> None:
            rows = tiny_rows(4000, seed=seed)
            columns = {name: [row[name] for row in rows] for name in tiny_schema.fields}
            log = Log(columns, np.array([row["click"] for row in rows], np.float32))
            step = Step(epochs=4, batch=128, learning_rate=0.02)
            config = Config(net="fm", embedding=4, fit=step)
            fit(log, None, None, tiny_schema, config, out, seed, Watcher())

        return once(session_folder / f"fitted-{seed}", write)

    return of


@pytest.fixture(scope="session")
def changed(fitted: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle changed in one way, as sound by itself as any."""
    home, made = tmp_path_factory.mktemp("changed"), {}

    def by_name(name: Any) -> Any:
        if name not in made:
            version = name.replace(" ", "-")
            made[name] = whole(fitted(1), home / version, version, CHANGES[name])
        return made[name]

    return by_name


@pytest.fixture
def started(bundles: BundleStore, redis_url: str) -> Iterator[Any]:
    """Starts a follower with these limits, which has met no request; one that was started before
    has died.
    """
    running: list[Any] = []

    def start(
        limits: Any = OPEN,
        poll_seconds: Any = 0.02,
        *,
        replaces: Any = None,
        pause_factor: Any = PAUSE_FACTOR,
        patience: Any = 10.0,
    ) -> Any:
        own = VersionStore(redis_url, "ads")
        times = Times(poll=poll_seconds, patience=patience)
        replaces = bool(running) if replaces is None else replaces
        shadow = WatchedShadow(limits, pause_factor)
        follower = Follower(own, bundles, Telemetry(), times, shadow=shadow, replaces=replaces)
        running.append(follower)
        follower.start()
        follower.wait(30)
        return follower

    yield start
    for follower in running:
        follower.stop()
    gc.unfreeze()


@pytest.fixture
def served(fitted: Any, store: VersionStore, bundles: BundleStore, started: Any) -> Any:
    """Starts a follower with these limits on which `fitted(1)` is live."""

    def start(limits: Any = OPEN, requests: Any = 60, poll_seconds: Any = 0.02, **how: Any) -> Any:
        publish(fitted(1).directory, store, bundles)
        follower = started(limits, poll_seconds, **how)
        noted(follower.shadow, bodies(requests))
        return follower

    return start
