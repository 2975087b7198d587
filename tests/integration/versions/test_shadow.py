"""A version is judged on the last real requests before it goes live: real bundles, a real Redis."""

import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from altered import scale_output, slow_down, whole
from model.bundle.bundle import Bundle
from model.bundle.files import vocabulary_file
from model.schema import Schema
from service.limits import CacheLimits, ShadowLimits
from service.observe.metrics import Telemetry
from service.scoring.live_version import make_live
from service.scoring.payloads import PayloadDecoder
from service.scoring.unread_rows import RawRows
from service.settings import Settings
from service.store.active_notes import NOTE
from service.store.bundle_store import BundleStore
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.follower import DEFAULT_TIMES, Follower, Times
from service.versions.publish import publish
from service.versions.shadow import PAUSE_FACTOR, Shadow
from tiny import tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from until import until

OPEN = ShadowLimits(200, mean=1e9, rank=-1, unknown=1, latency=1e9, latency_ms=0)
LIVE, REFUSED = "version is live", "version refused"
UNJUDGED = "version goes live unjudged by recent requests"
GRAPHS = ("predict.onnx", "rank.onnx")


class WatchedShadow(Shadow):
    """Says whether a judgement is under way."""

    judging = False

    def judge(self, *given: Any, **how: Any) -> Any:
        self.judging = True
        try:
            return super().judge(*given, **how)
        finally:
            self.judging = False


def bodies(count: Any = 60) -> Any:
    """Requests of either form, as they come in."""
    rows = [{k: v for k, v in row.items() if k != "click"} for row in tiny_rows(20 * count, seed=9)]
    made: list[dict[str, Any]] = []
    for number in range(count):
        some = rows[20 * number : 20 * number + 20]
        if number % 3 == 0:
            made.append({"instances": some})
            continue
        context = {name: some[0][name] for name in ("device", "hour", "interests")}
        ads = [{name: row[name] for name in ("ad", "price")} for row in some]
        made.append({"context": context, "candidates": ads})
    return [json.dumps(body).encode() for body in made]


def noted(kept: Any, some: Any) -> None:
    decoder = PayloadDecoder(1000)
    for body in some:
        kept.record(decoder.decode(body), len(body))


def values_of(directory: Any, field: Any, change: Any) -> None:
    path = directory / vocabulary_file(field)
    body = json.loads(path.read_text())
    path.write_text(json.dumps(body | {"values": change(body["values"])}))


def scaled(factor: Any) -> Any:
    def change(directory: Any) -> None:
        for name in GRAPHS:
            scale_output(directory / name, factor)

    return change


def shuffled(directory: Any) -> None:
    for field in ("device", "ad"):
        values_of(directory, field, lambda values: values[1:] + values[:1])


def renamed(directory: Any) -> None:
    values_of(directory, "ad", lambda values: [f"new-{value}" for value in values])


def slower(directory: Any) -> None:
    for name in GRAPHS:
        slow_down(directory / name, size=256, times=300)


CHANGES = {
    "scores x 1.3": scaled(1.3),
    "scores x 0.75": scaled(0.75),
    "shuffled vocabulary": shuffled,
    "renamed ads": renamed,
    "slow graphs": slower,
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_schema: Schema) -> Any:
    """A bundle by the seed of its rows, which are enough of them to learn what they hold."""
    home = tmp_path_factory.mktemp("fitted")

    def of(seed: Any) -> Any:
        out = home / str(seed)
        if not out.exists():
            rows = tiny_rows(4000, seed=seed)
            columns = {name: [row[name] for row in rows] for name in tiny_schema.fields}
            log = Log(columns, np.array([row["click"] for row in rows], np.float32))
            step = Step(epochs=4, batch=128, learning_rate=0.02)
            config = Config(net="fm", embedding=4, fit=step)
            fit(log, None, None, tiny_schema, config, out, seed, Watcher())
        return Bundle.open(out)

    return of


@pytest.fixture(scope="module")
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


def decided(store: VersionStore, bundles: BundleStore, bundle: Any, **how: Any) -> Any:
    """Publishes a version; what was logged until it was live or refused."""
    with structlog.testing.capture_logs() as logged:
        publish(bundle.directory, store, bundles, **how)
        until(lambda: any(entry["event"] in (LIVE, REFUSED) for entry in logged))
    return logged


def only(logged: Any, event: Any) -> Any:
    (entry,) = [entry for entry in logged if entry["event"] == event]
    return entry


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


def test_a_restarted_worker_does_not_serve_what_requests_refused(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any, started: Any
) -> None:
    first = served(Settings.load().shadow_limits)
    only(decided(store, bundles, changed("scores x 1.3")), REFUSED)
    first.stop()
    second = started(Settings.load().shadow_limits)
    until(lambda: second.status.refusal is not None)
    assert (second.status.live.version, second.status.confirmed) == (fitted(1).version, False)
    assert second.status.refusal.code == "shadow_mean"
    assert "on the last 60 requests" in second.status.refusal.reason


def test_a_new_worker_does_not_serve_what_the_others_requests_refused(
    changed: Any,
    fitted: Any,
    store: VersionStore,
    bundles: BundleStore,
    served: Any,
    started: Any,
    tmp_path: Path,
) -> None:
    served(Settings.load().shadow_limits)
    only(decided(store, bundles, changed("scores x 1.3")), REFUSED)
    until(RefusalBoard(store).refusals_of_workers)
    # as where no worker can write notes, and the publishers' are all there is
    note = tmp_path / "bundles" / "ads" / NOTE
    note.write_text(f"{changed('scores x 1.3').version}\n{fitted(1).version}\n")
    second = started(Settings.load().shadow_limits)
    until(lambda: second.status.live is not None)
    assert second.status.live.version == fitted(1).version
    assert second.status.refusal.code == "shadow_mean"


def test_a_worker_without_requests_hears_first_what_the_others_found(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any, started: Any
) -> None:
    limits = Settings.load().shadow_limits
    publish(fitted(1).directory, store, bundles)
    idle = started(limits, poll_seconds=0.2)
    busy = served(limits, poll_seconds=0.2)
    publish(changed("scores x 1.3").directory, store, bundles)
    until(lambda: busy.status.refusal is not None and idle.status.refusal is not None)
    assert idle.status.refusal.code == "shadow_mean"
    assert {busy.status.live.version, idle.status.live.version} == {fitted(1).version}


def test_a_restarted_worker_waits_for_requests_to_judge_on(
    changed: Any, fitted: Any, store: VersionStore, bundles: BundleStore, served: Any, started: Any
) -> None:
    served().stop()
    publish(changed("scores x 1.3").directory, store, bundles)
    second = started(Settings.load().shadow_limits)
    assert second.status.live.version == fitted(1).version
    time.sleep(0.3)
    assert (second.status.live.version, second.status.refusal) == (fitted(1).version, None)
    noted(second.shadow, bodies(60))
    until(lambda: second.status.refusal is not None)
    assert second.status.refusal.code == "shadow_mean"
    assert second.status.live.version == fitted(1).version


def test_a_service_that_starts_anew_takes_what_is_active_at_once(
    fitted: Any, store: VersionStore, bundles: BundleStore, served: Any, started: Any
) -> None:
    served().stop()
    publish(fitted(2).directory, store, bundles)
    second = started(Settings.load().shadow_limits, replaces=False)
    assert second.status.live.version == fitted(2).version


def test_a_restarted_worker_does_not_wait_for_ever(
    fitted: Any, store: VersionStore, bundles: BundleStore, served: Any, started: Any
) -> None:
    served().stop()
    publish(fitted(2).directory, store, bundles)
    second = started(Settings.load().shadow_limits, patience=0.3)
    assert second.status.live.version == fitted(1).version
    until(lambda: second.status.live.version == fitted(2).version)


def test_a_restarted_worker_takes_what_is_forced_at_once(
    changed: Any, store: VersionStore, bundles: BundleStore, served: Any, started: Any
) -> None:
    served(Settings.load().shadow_limits).stop()
    bad = changed("scores x 1.3")
    publish(bad.directory, store, bundles, force=True)
    second = started(Settings.load().shadow_limits, patience=1e9)
    assert second.status.live.version == bad.version
