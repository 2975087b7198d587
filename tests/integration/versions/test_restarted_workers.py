"""What a worker that starts anew serves while the active version is refused or not yet judged."""

import time
from pathlib import Path
from typing import Any

from recent_requests import (
    REFUSED,
    bodies,
    decided,
    noted,
    only,
)
from service.settings import Settings
from service.store.active_notes import NOTE
from service.store.bundle_store import BundleStore
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until


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
