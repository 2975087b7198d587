"""The notes of which versions were active: what publishers and workers write beside the bundles."""

import os
from pathlib import Path

from service.store.active_notes import LIVE, MAX_NOTED_VERSIONS, ActiveNote, read_notes, write_note
from service.store.bundle_store import BundleStore


def test_the_newest_stands_first_and_each_once(tmp_path: Path) -> None:
    for version in ("v1", "v2", "v1"):
        assert write_note(tmp_path, version)
    assert read_notes(tmp_path) == [ActiveNote("v1"), ActiveNote("v2")]


def test_outcome_that_a_worker_noted_stays_when_a_publisher_notes_the_version_again(
    tmp_path: Path,
) -> None:
    write_note(tmp_path, "v1", LIVE)
    write_note(tmp_path, "v2", "shadow_mean", "on the last 3\nrequests")
    write_note(tmp_path, "v1")
    found = [ActiveNote("v1", LIVE), ActiveNote("v2", "shadow_mean", "on the last 3 requests")]
    assert read_notes(tmp_path) == found


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    for number in range(MAX_NOTED_VERSIONS + 2):
        write_note(tmp_path, f"v{number}")
    assert [one.version for one in read_notes(tmp_path)][-1] == "v2"


def test_a_note_of_one_name_alone_is_read(tmp_path: Path) -> None:
    (tmp_path / ".active").write_text("v1")
    assert read_notes(tmp_path) == [ActiveNote("v1")]


def test_a_version_that_was_live_comes_before_newer_ones(tmp_path: Path) -> None:
    bundles = BundleStore(tmp_path)
    (tmp_path / "ads").mkdir()
    bundles.write_note("ads", "v1", LIVE)
    bundles.write_note("ads", "v2")
    assert [one.version for one in bundles.read_notes("ads")] == ["v1", "v2"]


def test_a_service_whose_store_is_read_only_notes_what_it_finds_elsewhere(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "ads").mkdir(parents=True)
    BundleStore(store).write_note("ads", "v2")
    # a scratch file that cannot be written, since root writes in read-only folders too
    (store / "ads" / f".active.{os.getpid()}").mkdir()
    bundles = BundleStore(store, tmp_path / "own")
    assert bundles.write_note("ads", "v1", LIVE)
    assert bundles.read_notes("ads") == [ActiveNote("v1", LIVE), ActiveNote("v2")]
    assert read_notes(store / "ads") == [ActiveNote("v2")]
