"""The notes of which versions were active: what publishers and workers write beside the bundles."""

import os

from service.store.active_notes import LIVE, MOST, Noted, noted, remember
from service.store.bundle_store import BundleStore


def test_the_newest_stands_first_and_each_once(tmp_path):
    for version in ("v1", "v2", "v1"):
        assert remember(tmp_path, version)
    assert noted(tmp_path) == [Noted("v1"), Noted("v2")]


def test_what_a_worker_found_stays_when_a_publisher_notes_the_version_again(tmp_path):
    remember(tmp_path, "v1", LIVE)
    remember(tmp_path, "v2", "shadow_mean", "on the last 3\nrequests")
    remember(tmp_path, "v1")
    found = [Noted("v1", LIVE), Noted("v2", "shadow_mean", "on the last 3 requests")]
    assert noted(tmp_path) == found


def test_the_oldest_are_forgotten(tmp_path):
    for number in range(MOST + 2):
        remember(tmp_path, f"v{number}")
    assert [one.version for one in noted(tmp_path)][-1] == "v2"


def test_a_note_of_one_name_alone_is_read(tmp_path):
    (tmp_path / ".active").write_text("v1")
    assert noted(tmp_path) == [Noted("v1")]


def test_a_version_that_was_live_comes_before_newer_ones(tmp_path):
    bundles = BundleStore(tmp_path)
    (tmp_path / "ads").mkdir()
    bundles.remember("ads", "v1", LIVE)
    bundles.remember("ads", "v2")
    assert [one.version for one in bundles.noted("ads")] == ["v1", "v2"]


def test_a_service_whose_store_is_read_only_notes_what_it_finds_elsewhere(tmp_path):
    store = tmp_path / "store"
    (store / "ads").mkdir(parents=True)
    BundleStore(store).remember("ads", "v2")
    # a scratch file that cannot be written, since root writes in read-only folders too
    (store / "ads" / f".active.{os.getpid()}").mkdir()
    bundles = BundleStore(store, tmp_path / "own")
    assert bundles.remember("ads", "v1", LIVE)
    assert bundles.noted("ads") == [Noted("v1", LIVE), Noted("v2")]
    assert noted(store / "ads") == [Noted("v2")]
