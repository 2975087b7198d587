"""Following the active version: verified before it goes live, swapped whole, never worse off."""

import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from followed import POLL_SECONDS, metric, stored
from model.bundle.bundle import Bundle
from narrowing import not_none
from service.errors import NoModel
from service.store.bundle_store import BundleStore
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.follower import Times
from service.versions.publish import publish
from until import until


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
