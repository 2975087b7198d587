"""Old versions are removed, bundles and keys, and none that is in use."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from model.bundle.bundle import Bundle
from model.errors import BundleError
from service.cli import main
from service.errors import VersionError
from service.store.active_notes import LIVE
from service.store.bundle_store import BundleStore
from service.store.publication import Publication
from service.store.records import RefusalNote
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.prune import prune
from service.versions.publish import publish


@pytest.fixture
def published(make_bundle: Callable[..., Bundle], store: VersionStore, bundles: BundleStore) -> Any:
    """Five versions, the oldest first; each was active when it was published."""
    made = [make_bundle(net, seed=1) for net in ("lr", "fm", "fwfm", "nfm", "afm")]
    for bundle in made:
        publish(bundle.directory, store, bundles)
    return [bundle.version for bundle in made]


def test_prune_leaves_the_latest_and_nothing_of_the_others(
    published: Any, store: VersionStore, bundles: BundleStore, raw_redis: Any
) -> None:
    assert prune(store, bundles, keep=3) == published[1::-1]
    assert [one.version for one in store.versions()] == published[:1:-1]
    for version in published[:2]:
        assert raw_redis.keys(f"*{version}*") == []
        with pytest.raises(BundleError, match="not a bundle"):
            bundles.open("ads", version)
    assert store.previous() == published[3:1:-1]
    assert [store.rollback() for _ in range(2)] == published[3:1:-1]


def test_prune_leaves_what_is_in_use(
    published: Any, redis_url: str, store: VersionStore, bundles: BundleStore
) -> None:
    first, second, third, fourth, fifth = published
    worker = VersionStore(redis_url, "ads")
    RefusalBoard(worker).announce(first, None)  # which answers by an old one
    RefusalBoard(store).record(RefusalNote(fourth, "shadow_mean", "it is off"))
    bundles.write_note("ads", second, LIVE)
    bundles.write_note("ads", fifth)
    assert prune(store, bundles, keep=0) == [fourth]  # third is where a rollback goes
    worker.close()
    assert prune(store, bundles, keep=0) == [first]
    assert sorted(one.version for one in store.versions()) == sorted([second, third, fifth])


def test_prune_leaves_what_is_younger(
    published: Any, store: VersionStore, bundles: BundleStore
) -> None:
    assert len(store.versions()) == len(published)
    assert prune(store, bundles, 0, timedelta(days=1)) == []


def test_the_active_version_cannot_be_withdrawn(published: Any, store: VersionStore) -> None:
    with pytest.raises(VersionError, match="is active and stays"):
        Publication(store).withdraw(store.record(published[-1]))
    assert store.record(published[-1]).version == published[-1]


def test_the_command_prunes_and_publish_does_where_it_is_set(
    published: Any,
    make_bundle: Callable[..., Bundle],
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AFM_REDIS_URL", redis_url)
    monkeypatch.setenv("AFM_BUNDLES", str(tmp_path / "bundles"))
    assert main(["prune", "--model", "ads", "--keep", "4"]) == 0
    assert capsys.readouterr().out == f"{published[0]} is removed\n"
    assert main(["prune", "--model", "ads", "--keep", "-1"]) == 2
    monkeypatch.setenv("AFM_KEEP_VERSIONS", "2")
    bundle = make_bundle("afm", seed=1)
    assert main(["publish", str(bundle.directory), "--model", "ads", "--no-wait"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("is removed")] == [
        *published[2:0:-1]
    ]
