"""The publisher learns what workers decide about a version; what traffic refused stays refused."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from altered import scale_output, whole
from app_server import client_of
from commands import Commands
from model.bundle.bundle import Bundle
from model.schema import Schema
from service.cli import main
from service.errors import RefusedByWorkers, VersionError
from service.store.bundle_store import BundleStore
from service.store.publication import Publication
from service.store.records import FORCED, Record, RefusalNote, WorkerState
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.publish import publish
from service.versions.rollout import Rollout, wait_for_workers
from tiny import TINY_SCHEMA, tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from until import until

MEAN = RefusalNote("v2", "shadow_mean", "on the last 60 requests its mean is 1.3 of the live one's")


def record(version: Any) -> Any:
    return Record(version=version, net="fm", created="", published="", bundle=f"ads/{version}")


def published(store: VersionStore, *versions: Any) -> None:
    for version in versions:
        Publication(store).publish(record(version), {"device": b"x"})


@pytest.mark.parametrize(
    ("states", "live", "refused", "decided"),
    [
        ([], 0, 0, False),
        ([("v2", None)], 1, 0, True),
        ([("v2", None), ("v1", MEAN)], 1, 1, True),
        ([("v2", None), ("v1", None)], 1, 0, False),
        ([("v1", RefusalNote("v0", "damaged", "it is"))], 0, 0, False),
    ],
)
def test_rollout_counts_who_is_live_and_who_refuses(
    states: Any, live: int, refused: int, decided: bool
) -> None:
    workers = [WorkerState(str(at), *state) for at, state in enumerate(states)]
    found = Rollout.of("v2", workers)
    assert (found.workers, found.live, len(found.refused)) == (len(states), live, refused)
    assert found.decided is decided


def test_rollout_that_is_refused_is_an_error_of_status_4() -> None:
    found = Rollout("v2", 2, 1, [MEAN])
    assert found.lines(10)[:1] == ["live in 1 of 2 workers"]
    with pytest.raises(RefusedByWorkers, match=r"v2 is active, but refused by 1 of 2") as caught:
        found.require_not_refused()
    assert caught.value.exit_code == 4
    Rollout("v2", 2, 2).require_not_refused()


def test_wait_ends_when_each_worker_has_decided_and_not_before(
    redis_url: str, store: VersionStore
) -> None:
    workers = [VersionStore(redis_url, "ads") for _ in range(2)]
    first, second = (RefusalBoard(one) for one in workers)
    first.announce("v1", None)
    second.announce("v1", None)

    def decide() -> None:
        first.announce("v2", None)
        second.announce("v1", MEAN)

    later = threading.Timer(0.5, decide)
    later.start()
    found = wait_for_workers(RefusalBoard(store), "v2", 30)
    assert (found.workers, found.live, found.refused) == (2, 1, [MEAN])
    for one in workers:
        one.close()
    until(lambda: RefusalBoard(store).workers() == [])
    assert wait_for_workers(RefusalBoard(store), "v2", 0.1).workers == 0


def test_a_refusal_by_traffic_outlives_the_worker_until_it_is_forced(
    redis_url: str, store: VersionStore
) -> None:
    worker = VersionStore(redis_url, "ads")
    board = RefusalBoard(worker)
    published(store, "v1", "v2")
    board.record(MEAN)
    board.record(MEAN)  # by another worker: once is enough
    worker.close()
    assert store.refused() == {"v2": MEAN}
    assert len(store.redis.xrange(store.key("refused"))) == 1
    store.activate("v1")
    store.activate("v2")
    assert store.refused() == {"v2": MEAN}
    store.activate("v2", force=True)
    assert store.refused() == {}
    assert store.refusals()["v2"].code == FORCED
    board.record(MEAN)  # judged again, after a rollback
    assert store.refused() == {"v2": MEAN}
    worker.close()


def test_rollback_passes_over_what_traffic_refused(store: VersionStore) -> None:
    published(store, "v1", "v2", "v3")
    RefusalBoard(store).record(MEAN)
    assert store.rollback() == "v1"
    with pytest.raises(VersionError, match="no earlier version"):
        store.rollback()


def test_rollback_says_where_all_that_is_left_was_refused(store: VersionStore) -> None:
    published(store, "v2", "v3")
    RefusalBoard(store).record(MEAN)
    with pytest.raises(VersionError, match="live traffic refused each"):
        store.rollback()
    assert store.active() == "v3"


def test_publish_without_workers_says_so_and_exits_0(
    tiny_bundle: Bundle,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AFM_REDIS_URL", redis_url)
    monkeypatch.setenv("AFM_HOME", str(tmp_path))
    assert main(["publish", str(tiny_bundle.directory)]) == 0
    assert "no worker is connected" in capsys.readouterr().out
    assert main(["publish", str(tiny_bundle.directory), "--no-wait"]) == 0
    assert "worker" not in capsys.readouterr().out


def test_publish_waits_for_the_verdict_and_exits_4_where_it_is_a_refusal(
    commands: Commands, make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    first = make_bundle(seed=1)
    scaled = whole(first, tmp_path / "scaled", "scaled", scores_times_1_3)
    with commands.serving(workers=1) as served:
        done = commands.run("publish", str(first.directory), "--wait", "60")
        assert done.returncode == 0, done.stderr
        assert "\n  live in 1 of 1 worker\n" in done.stdout
        rows = [{k: v for k, v in row.items() if k != "click"} for row in tiny_rows(200)]
        for start in range(0, 200, 20):
            httpx.post(f"{served.url}/predict", json={"instances": rows[start : start + 20]})
        refused = commands.run("publish", str(scaled.directory), "--wait", "60")
        assert refused.returncode == 4
        assert "\n  live in 0 of 1 worker\n" in refused.stdout
        assert refused.stderr.startswith(
            "afm-serve: scaled is active, but refused by 1 of 1 worker (shadow_mean): on the last"
        )
        listed = commands.run("versions").stdout
        assert "scaled was refused by live traffic (shadow_mean)" in listed


def scores_times_1_3(directory: Any) -> None:
    """As the shadow's tests have it, and no labelled rows that the gate could see it by."""
    for name in ("predict.onnx", "rank.onnx"):
        scale_output(directory / name, 1.3)
    (directory / "validation.jsonl").unlink()


@pytest.fixture(scope="module")
def other_fields(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle that shares no field with the tiny one."""
    text = TINY_SCHEMA
    for name in Schema.parse(TINY_SCHEMA).fields:
        text = text.replace(f"[fields.{name}]", f"[fields.other_{name}]")
    schema = Schema.parse(text)
    rows = tiny_rows(seed=1)
    columns = {f"other_{k}": [row[k] for row in rows] for k in rows[0] if k != "click"}
    log = Log(columns, np.array([row["click"] for row in rows], np.float32))
    config = Config(net="lr", fit=Step(epochs=1, batch=128, learning_rate=0.02))
    out = tmp_path_factory.mktemp("other") / "bundle"
    fit(log, None, None, schema, config, out, 1, Watcher())
    return Bundle.open(out)


def test_a_model_of_other_fields_is_refused_however_little_traffic_there_is(
    make_bundle: Callable[..., Bundle],
    other_fields: Any,
    store: VersionStore,
    bundles: BundleStore,
    redis_url: str,
    tmp_path: Path,
) -> None:
    publish(make_bundle(seed=1).directory, store, bundles)
    with client_of(redis_url, tmp_path) as client:
        publish(other_fields.directory, store, bundles)
        until(lambda: client.get("/readyz").json()["refused"] is not None)
        refused = client.get("/readyz").json()["refused"]
        assert (refused["version"], refused["code"]) == (other_fields.version, "shadow_schema")
    # containers made anew: no note anywhere, one process after the other
    shutil.rmtree(tmp_path / "notes", ignore_errors=True)
    for note in (tmp_path / "bundles" / "ads").glob(".active*"):
        note.unlink()
    with client_of(redis_url, tmp_path) as client:
        ready = client.get("/readyz").json()
        assert ready["version"] == make_bundle(seed=1).version
        assert (ready["active"], ready["refused"]["code"]) == (
            other_fields.version,
            "shadow_schema",
        )
        store.activate(other_fields.version, force=True)
        until(lambda: client.get("/readyz").json()["version"] == other_fields.version)
