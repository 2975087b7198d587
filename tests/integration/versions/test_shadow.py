"""A version is judged on the last real requests before it goes live: real bundles, a real Redis."""

import time
from typing import Any

import pytest
import structlog

from recent_requests import (
    CHANGES,
    LIVE,
    OPEN,
    REFUSED,
    UNJUDGED,
    bodies,
    decided,
    noted,
    only,
)
from service.limits import CacheLimits
from service.scoring.live_version import make_live
from service.scoring.payloads import PayloadDecoder
from service.scoring.unread_rows import RawRows
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.follower import DEFAULT_TIMES
from service.versions.publish import publish
from service.versions.shadow import Shadow
from until import until


def test_a_judged_version_knows_the_ads_it_was_judged_on(fitted: Any) -> None:
    limits = CacheLimits(entries=1000, bytes=1 << 20)
    live, new = (
        make_live("ads", bundle, bundle.read_vocabulary_bytes(), limits)
        for bundle in (fitted(1), fitted(2))
    )
    live.scorer.rank_from = new.scorer.rank_from = 1
    kept, some = Shadow(OPEN), bodies()
    noted(kept, some)
    kept.judge(live, new, lambda _: None)
    asked = [PayloadDecoder(1000).decode(body).rows for body in some]
    ads = {raw for rows in asked if isinstance(rows, RawRows) for raw in rows.raws()}
    assert len(new.ads) == len(ads)
    assert new.ads.take_counts() == (0, 0, 0)  # no caller asked
    assert len(live.ads) == 0  # its own belongs to the event loop
    kept.judge(new, live, lambda _: None, never_live=False)
    assert len(live.ads) == 0  # as it still may where it was live before
    assert live.ads.take_counts() == (0, 0, 0)


def test_a_judgement_rests_after_each_of_its_steps(fitted: Any) -> None:
    live, new = (
        make_live("ads", one, one.read_vocabulary_bytes()) for one in (fitted(1), fitted(2))
    )
    kept: Any = Shadow(OPEN)
    rests: list[Any] = []
    noted(kept, bodies())
    seen = kept.judge(live, new, rests.append)
    assert len(rests) == 4 * seen["requests"]  # encoded and scored, by both
    assert min(rests) > 0


def test_shadow_takes_only_a_version_that_never_was_live_as_new(
    fitted: Any,
    store: VersionStore,
    bundles: BundleStore,
    served: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower, fresh = served(OPEN), []
    judge = follower.shadow.judge

    def watched(*given: Any, **how: Any) -> Any:
        fresh.append(how["never_live"])
        return judge(*given, **how)

    monkeypatch.setattr(follower.shadow, "judge", watched)
    decided(store, bundles, fitted(2))
    store.activate(fitted(1).version)
    until(lambda: follower.status.live.version == fitted(1).version)
    assert fresh == [True, False]


@pytest.mark.parametrize(
    ("name", "limits", "code", "says"),
    [
        ("scores x 1.3", {"mean": 1.25}, "shadow_mean", "mean probability is 1.300 of the live"),
        ("scores x 0.75", {"mean": 1.25}, "shadow_mean", "mean probability is 0.750 of the live"),
        ("shuffled vocabulary", {"rank": 0.5}, "shadow_rank", "a rank correlation of"),
        ("renamed ads", {"unknown": 0.1}, "shadow_unknown", "the share of values"),
        ("slow graphs", {"latency": 1.5}, "shadow_latency", "times as long to score"),
    ],
)
def test_a_version_that_differs_too_much_on_recent_requests_is_refused(
    name: str,
    limits: Any,
    code: str,
    says: str,
    changed: Any,
    store: VersionStore,
    bundles: BundleStore,
    served: Any,
) -> None:
    follower = served(OPEN._replace(**limits))
    before = follower.status.live
    entry = only(decided(store, bundles, changed(name)), REFUSED)
    assert entry["code"] == follower.status.refusal.code == code
    assert says in entry["reason"]
    assert follower.status.live is before
    until(RefusalBoard(store).refusals_of_workers)
    assert RefusalBoard(store).refusals_of_workers()[0].code == code


def test_each_altered_version_is_refused_by_default_limits(
    changed: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(Settings.load().shadow_limits)
    for name in CHANGES:
        assert "shadow_" in only(decided(store, bundles, changed(name)), REFUSED)["code"], name
        store.rollback()
        until(lambda: follower.status.refusal is None)


def test_a_good_retrain_passes(
    fitted: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(Settings.load().shadow_limits)
    entry = only(decided(store, bundles, fitted(2)), LIVE)
    assert entry["judged"]["rows"] == 1200
    assert entry["judged"]["rank"] < 1  # it is another net, of other rows
    assert follower.status.live.version == fitted(2).version


def test_log_has_the_figures_of_the_judgement(
    changed: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    served(OPEN)
    seen = only(decided(store, bundles, changed("scores x 1.3")), LIVE)["judged"]
    assert seen["mean"] == pytest.approx(1.3, rel=1e-5)
    assert seen["rank"] == pytest.approx(1)
    assert (seen["unknown"], seen["requests"], seen["rows"]) == (0, 60, 1200)


def test_force_makes_it_live_and_the_log_says_who(
    changed: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(Settings.load().shadow_limits)
    bad = changed("scores x 1.3")
    decided(store, bundles, bad)
    with structlog.testing.capture_logs() as logged:
        store.activate(bad.version, force=True)  # it is active already, and refused
        until(lambda: follower.status.live.version == bad.version)
    entry = only(logged, UNJUDGED)
    assert (entry["version"], entry["why"]) == (bad.version, "force")
    assert "@" in entry["by"]


def test_a_rollback_is_not_judged(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(Settings.load().shadow_limits)
    only(decided(store, bundles, changed("scores x 1.3"), force=True), UNJUDGED)
    with structlog.testing.capture_logs() as logged:
        assert store.rollback() == fitted(1).version
        until(lambda: follower.status.live.version == fitted(1).version)
    assert only(logged, UNJUDGED)["why"] == "rollback"


def test_a_version_activated_later_is_judged_again(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(Settings.load().shadow_limits)
    bad = changed("scores x 1.3")
    decided(store, bundles, bad, force=True)
    store.rollback()
    until(lambda: follower.status.live.version == fitted(1).version)
    store.activate(bad.version)
    until(lambda: follower.status.refusal is not None)
    assert follower.status.refusal.code == "shadow_mean"


def test_too_little_traffic_judges_nothing(
    changed: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    served(Settings.load().shadow_limits, requests=4)  # 80 rows
    seen = only(decided(store, bundles, changed("scores x 1.3")), LIVE)["judged"]
    assert seen == {"requests": 4, "rows": 80}


def test_a_version_that_was_given_up_while_it_was_judged_does_not_go_live(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(OPEN, pause_factor=30.0)
    with structlog.testing.capture_logs() as logged:
        publish(changed("scores x 1.3").directory, store, bundles)
        until(lambda: follower.shadow.judging)
        store.rollback()
        until(lambda: not follower.shadow.judging)
        time.sleep(0.2)
    assert follower.status.live.version == fitted(1).version
    assert [entry["event"] for entry in logged if entry["event"] in (LIVE, REFUSED)] == []


def test_a_rollback_while_a_version_is_judged_takes_effect_within_a_second(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any
) -> None:
    follower = served(poll_seconds=DEFAULT_TIMES.poll, pause_factor=30.0)
    decided(store, bundles, fitted(2), force=True)
    publish(changed("scores x 1.3").directory, store, bundles)
    until(lambda: follower.shadow.judging)
    store.rollback()
    store.rollback()
    began = time.monotonic()
    until(lambda: follower.status.live.version == fitted(1).version)
    assert time.monotonic() - began < 1
