"""Following the active version: verified before it goes live, swapped whole, never worse off."""

import gc
import hashlib
import json
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from model.bundle.bundle import Bundle
from model.errors import BundleError
from narrowing import not_none
from service.errors import NoModel
from service.observe.metrics import Telemetry
from service.scoring.live_version import make_live
from service.store.bundle_store import BundleStore
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.follower import Follower, Times
from service.versions.publish import publish

POLL_SECONDS = 0.02


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


def until(condition: Any, seconds: Any = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def metric(telemetry: Any, name: Any, **labels: Any) -> Any:
    for family in text_string_to_metric_families(telemetry.scrape().decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def stored(tmp_path: Path, version: Any) -> Any:
    return tmp_path / "bundles" / "ads" / version


def test_the_active_version_is_live_after_the_first_poll(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, follower: Any
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    follower.start()
    follower.wait(30)
    assert follower.status.require().version == tiny_bundle.version


def test_live_version_scores_as_the_bundle_does(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, follower: Any
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    follower.start()
    follower.wait(30)
    rows: list[dict[str, Any]] = [{"device": "ios", "ad": "a1", "price": 3.5}, {"ad": "never seen"}]
    expected = tiny_bundle.read_scorer().predict(tiny_bundle.read_encoder().encode(rows))
    live = follower.status.require()
    found = live.scorer.predict(live.encoder.encode(rows))
    assert found.probabilities.tolist() == not_none(expected.probabilities).tolist()


def test_worker_without_a_version_says_what_to_run(follower: Any) -> None:
    follower.start()
    follower.wait(30)
    with pytest.raises(NoModel, match="afm-serve publish BUNDLE --model ads"):
        follower.status.require()


def test_a_version_published_later_goes_live(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, follower: Any
) -> None:
    follower.start()
    follower.wait(30)
    publish(tiny_bundle.directory, store, bundles)
    until(lambda: follower.status.live is not None)
    assert follower.status.live.version == tiny_bundle.version


def test_a_swap_and_a_rollback_are_followed(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    telemetry: Any,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(first.directory, store, bundles)
    follower.start()
    follower.wait(30)
    publish(second.directory, store, bundles)
    until(lambda: follower.status.live.version == second.version)
    store.rollback()
    until(lambda: follower.status.live.version == first.version)
    assert metric(telemetry, "afm_live_version", version=first.version) == 1
    assert metric(telemetry, "afm_live_version", version=second.version) == 0


@pytest.mark.parametrize("times", [Times(poll=POLL_SECONDS, retired=0.1)])
def test_the_old_version_is_freed_away_from_the_requests(
    make_bundle: Callable[..., Bundle], store: VersionStore, bundles: BundleStore, follower: Any
) -> None:
    first, second, third = make_bundle(), make_bundle(net="fm", seed=2), make_bundle(net="fm")
    publish(first.directory, store, bundles)
    follower.start()
    follower.wait(30)
    freed_by = []
    graphs = follower.status.live.scorer
    old = weakref.ref(graphs, lambda _: freed_by.append(threading.current_thread().name))
    del graphs
    publish(second.directory, store, bundles)
    until(lambda: follower.status.live.version == second.version)
    assert old() is not None  # for a rollback
    publish(third.directory, store, bundles)
    until(lambda: old() is None)  # only by its count: the collector does not see frozen objects
    assert freed_by == ["follower"]


def harm_bundle(kind: Any, directory: Any) -> Any:
    match kind:
        case "a byte changed":
            path = directory / "weights.bin"
            data = bytearray(path.read_bytes())
            data[0] ^= 1
            path.write_bytes(data)
            return "weights.bin"
        case "a file missing":
            (directory / "explain.onnx").unlink()
            return "explain.onnx"
        case "an extra link":
            (directory / "vocabulary" / "extra.json").symlink_to("/etc/hostname")
            return "extra.json"
        case "a hard link":
            (directory.parent / "other").hardlink_to(directory / "predict.onnx")
            return "predict.onnx"
        case "nothing there":
            shutil.rmtree(directory)
            return directory.name


@pytest.mark.parametrize(
    "kind", ["a byte changed", "a file missing", "an extra link", "a hard link", "nothing there"]
)
def test_a_damaged_bundle_is_refused_by_name_and_the_live_version_stays(
    kind: str,
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    telemetry: Any,
    tmp_path: Path,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(first.directory, store, bundles)
    follower.start()
    follower.wait(30)
    publish(second.directory, store, bundles, activate=False)
    named = harm_bundle(kind, stored(tmp_path, second.version))
    with structlog.testing.capture_logs() as logged:
        store.activate(second.version)
        until(lambda: follower.status.refusal is not None)
    assert follower.status.live.version == first.version
    assert named in follower.status.refusal.reason
    (entry,) = [entry for entry in logged if entry["event"] == "version refused"]
    assert entry["version"] == second.version
    assert named in entry["reason"]
    assert (
        metric(telemetry, "afm_refused_activations_total", code=follower.status.refusal.code) == 1
    )
    store.rollback()
    until(lambda: follower.status.active == first.version)
    assert follower.status.live.version == first.version


@pytest.mark.parametrize("times", [Times(poll=POLL_SECONDS, first_retry=2.0)])
def test_a_refused_version_is_not_tried_in_a_hot_loop_but_again_later(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    telemetry: Any,
    tmp_path: Path,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    directory = stored(tmp_path, tiny_bundle.version)
    directory.rename(tmp_path / "away")  # a store that is not mounted yet
    follower.start()
    until(lambda: follower.status.refusal is not None)
    time.sleep(20 * POLL_SECONDS)
    assert (
        metric(telemetry, "afm_refused_activations_total", code=follower.status.refusal.code) == 1
    )
    (tmp_path / "away").rename(directory)
    until(lambda: follower.status.live is not None)
    assert follower.status.refusal is None


@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_vocabulary_in_redis_that_is_not_the_bundle_s_is_refused(
    harm: str,
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    raw_redis: Any,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    key = f"afm:ads:vocabulary:{tiny_bundle.version}"
    if harm == "changed":
        raw_redis.hset(key, "ad", raw_redis.hget(key, "ad").replace("a1", "a2"))
    else:
        raw_redis.hdel(key, "ad")
    follower.start()
    follower.wait(30)
    assert follower.status.live is None
    assert "'ad'" in follower.status.refusal.reason
    with pytest.raises(NoModel, match=r"was refused: vocabulary of 'ad'"):
        follower.status.require()


def test_golden_rows_that_differ_are_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    directory = shutil.copytree(tiny_bundle.directory, tmp_path / "forged")
    golden = directory / "golden.jsonl"
    lines = [json.loads(line) for line in golden.read_text().splitlines()]
    lines[-1]["probabilities"][0] = 0.5
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = json.loads((directory / "manifest.json").read_text())
    data = golden.read_bytes()
    manifest["files"]["golden.jsonl"] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    forged = Bundle.open(directory)
    with pytest.raises(BundleError, match="golden"):
        make_live("ads", forged, forged.read_vocabulary_bytes())


def test_live_version_stays_without_redis_and_the_fault_is_shown(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    telemetry: Any,
    redis_url: str,
    raw_redis: Any,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    follower.start()
    follower.wait(30)
    assert metric(telemetry, "afm_redis_up") == 1
    raw_redis.client_pause(1500)
    until(lambda: follower.status.redis_fault is not None)
    assert redis_url in follower.status.redis_fault
    assert follower.status.require().version == tiny_bundle.version
    assert metric(telemetry, "afm_redis_up") == 0
    until(lambda: follower.status.redis_fault is None)
    assert metric(telemetry, "afm_redis_up") == 1


def test_a_pointer_that_vanishes_takes_nothing_away(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    raw_redis: Any,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    follower.start()
    follower.wait(30)
    raw_redis.flushall()
    until(lambda: follower.status.active is None)
    assert follower.status.require().version == tiny_bundle.version


def test_a_redis_that_may_drop_vocabularies_is_warned_of(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    raw_redis: Any,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    raw_redis.config_set("maxmemory", 10**9)
    raw_redis.config_set("maxmemory-policy", "allkeys-lru")
    with structlog.testing.capture_logs() as logged:
        follower.start()
        follower.wait(30)
    assert "allkeys-lru" in follower.status.redis_warning
    assert any(entry["event"] == "redis may drop vocabularies" for entry in logged)
    assert follower.status.require().version == tiny_bundle.version


def test_an_error_that_nobody_foresaw_does_not_end_the_following(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    own: Any,
    follower: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    faults = iter([RuntimeError("unforeseen")])
    active = own.active

    def sometimes() -> Any:
        for fault in faults:
            raise fault
        return active()

    monkeypatch.setattr(own, "active", sometimes)
    follower.start()
    until(lambda: follower.status.live is not None)


def test_a_version_that_was_live_before_needs_no_load_to_be_so_again(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    tmp_path: Path,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(first.directory, store, bundles)
    follower.start()
    follower.wait(30)
    kept = follower.status.live.ads
    assert kept.encode([b"1", b"2"], lambda places: [{"ad": f"a{place}"} for place in places])
    publish(second.directory, store, bundles)
    until(lambda: follower.status.live.version == second.version)
    assert follower.status.live.ads is not kept
    shutil.rmtree(stored(tmp_path, first.version))
    store.rollback()
    until(lambda: follower.status.live.version == first.version)
    assert follower.status.refusal is None
    assert follower.status.live.ads is kept  # and what it knows


def test_the_text_of_an_error_that_nobody_foresaw_is_told_to_nobody(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    empty: dict[str, Any] = {}
    monkeypatch.setattr(bundles, "open", lambda *_: empty["private-4711"])
    with structlog.testing.capture_logs() as logged:
        follower.start()
        until(RefusalBoard(store).refusals_of_workers)
    assert "KeyError at " in follower.status.refusal.reason
    assert "test_versions.py" in RefusalBoard(store).refusals_of_workers()[0].reason
    for said in (
        follower.status.refusal.reason,
        RefusalBoard(store).refusals_of_workers()[0].reason,
        str(logged),
    ):
        assert "private-4711" not in said


def test_a_worker_that_starts_on_a_bad_version_answers_by_the_one_before(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    tmp_path: Path,
    telemetry: Any,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    for bundle in (first, second):
        publish(bundle.directory, store, bundles)
    harm_bundle("a byte changed", stored(tmp_path, second.version))
    follower.start()
    until(lambda: follower.status.live is not None)
    assert (follower.status.live.version, follower.status.active) == (first.version, second.version)
    assert follower.status.refusal.version == second.version
    assert not follower.status.confirmed
    assert metric(telemetry, "afm_unconfirmed_version") == 1
    store.rollback()
    until(lambda: follower.status.confirmed)
    assert metric(telemetry, "afm_unconfirmed_version") == 0
