"""Why a version may not go live, and when it is tried again."""

from pathlib import Path
from typing import Any

import pytest

from model.errors import BundleError
from service.errors import ShadowError
from service.observe.metrics import Telemetry
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.refusals import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, RefusalTracker

NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
def bundles(tmp_path: Path) -> Any:
    (tmp_path / "store" / "ads").mkdir(parents=True)
    return BundleStore(tmp_path / "store")


@pytest.fixture
def noted(bundles: Any) -> Any:
    return RefusalTracker(VersionStore(NO_REDIS, "ads", 0.1), bundles, Telemetry())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`clock[0]` is what time it is."""
    now = [1000.0]
    monkeypatch.setattr("service.versions.refusals.time.monotonic", lambda: now[0])
    return now


def refuse(noted: Any, version: Any, error: Any = None, active: Any = "v1") -> None:
    noted.refuse(version, error or BundleError("a byte is not as it was", "damaged"), active, "v0")


def test_refused_version_is_tried_again_after_a_while_which_doubles_up_to_a_limit(
    noted: Any, clock: Any
) -> None:
    delays = []
    for _ in range(8):
        refuse(noted, "v1")
        delays.append(noted.standing.delay)
        clock[0] += noted.standing.delay - 0.01
        assert noted.bars("v1")
        clock[0] += 0.02
        assert not noted.bars("v1")
    assert delays[:3] == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
    assert delays[-2:] == [LAST_RETRY_SECONDS] * 2


def test_only_the_version_that_was_refused_is_barred(noted: Any) -> None:
    refuse(noted, "v1")
    assert noted.of("v1").code == "damaged"
    assert noted.of("v2") is None
    assert not noted.bars("v2")
    noted.drop("v2")
    assert noted.bars("v1")
    noted.drop("v1")
    assert not noted.bars("v1")


def test_refusal_of_another_version_is_forgotten_with_its_count(noted: Any) -> None:
    refuse(noted, "v1")
    refuse(noted, "v1")
    noted.drop_all_but("v1")
    assert noted.standing.delay == 2 * FIRST_RETRY_SECONDS
    noted.drop_all_but("v2")
    left = noted.standing
    assert left is None
    refuse(noted, "v1")
    assert noted.standing.delay == FIRST_RETRY_SECONDS


def test_refusal_that_stands_is_of_the_active_version(noted: Any) -> None:
    refuse(noted, "older", active="v1")  # tried as what was live last
    standing = noted.standing
    assert standing is None
    refuse(noted, "older", active=None)  # without Redis
    assert noted.standing.version == "older"


def test_refusal_by_recent_requests_is_noted_beside_the_bundles(noted: Any, bundles: Any) -> None:
    refuse(noted, "v1")
    assert not noted.standing.judged
    assert bundles.read_notes("ads") == []
    refuse(noted, "v1", ShadowError("another order", "shadow_rank"))
    assert noted.standing.judged
    (note,) = bundles.read_notes("ads")
    assert (note.version, note.outcome, note.reason) == ("v1", "shadow_rank", "another order")
