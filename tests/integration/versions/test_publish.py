"""Publishing a real bundle: into the store, into Redis, and refused when it is not sound."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from model.bundle.bundle import Bundle
from model.errors import BundleError
from model.files.file_locks import locked
from service.errors import StoreUnavailable
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Any:
    """A bundle that a test may harm."""
    return Bundle.open(shutil.copytree(tiny_bundle.directory, tmp_path / "copied"))


def test_a_published_bundle_is_active_and_opens_from_the_store(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    done = publish(tiny_bundle.directory, store, bundles)
    assert (done.active, done.again) == (True, False)
    assert store.active() == tiny_bundle.version
    opened = bundles.open("ads", tiny_bundle.version).bundle
    assert opened.manifest == tiny_bundle.manifest
    assert opened.directory != tiny_bundle.directory


def test_redis_holds_the_vocabulary_files_to_the_byte(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    assert store.vocabularies(tiny_bundle.version) == tiny_bundle.read_vocabulary_bytes()


def test_the_record_tells_what_the_manifest_tells(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    record = store.record(tiny_bundle.version)
    assert record.net == tiny_bundle.manifest.net
    assert record.created == tiny_bundle.manifest.created
    assert record.metrics == tiny_bundle.manifest.metrics
    assert record.bundle == f"ads/{tiny_bundle.version}"


def test_publishing_again_keeps_the_record_and_mends_redis(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, raw_redis: Any
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    first = store.record(tiny_bundle.version)
    raw_redis.delete(f"afm:ads:vocabulary:{tiny_bundle.version}")
    assert publish(tiny_bundle.directory, store, bundles).again
    assert store.record(tiny_bundle.version) == first
    assert store.vocabularies(tiny_bundle.version) == tiny_bundle.read_vocabulary_bytes()


def test_a_version_can_be_published_for_later(
    make_bundle: Callable[..., Bundle], store: VersionStore, bundles: BundleStore
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(first.directory, store, bundles)
    assert not publish(second.directory, store, bundles, activate=False).active
    assert store.active() == first.version
    store.activate(second.version)
    assert store.active() == second.version


def test_a_damaged_bundle_is_refused_and_nothing_is_written(
    copied: Any, store: VersionStore, bundles: BundleStore, tmp_path: Path
) -> None:
    path = copied.directory / "weights.bin"
    path.write_bytes(b"\x01" + path.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"weights\.bin"):
        publish(copied.directory, store, bundles)
    assert store.versions() == []
    assert not (tmp_path / "bundles").exists()


def test_a_bundle_whose_golden_rows_differ_is_refused(
    copied: Any, store: VersionStore, bundles: BundleStore
) -> None:
    golden = copied.directory / "golden.jsonl"
    first, *others = golden.read_text().splitlines()
    case = json.loads(first)
    case["probabilities"][0] += 0.001
    golden.write_text("\n".join([json.dumps(case), *others]) + "\n")
    reseal(copied)
    with pytest.raises(BundleError, match="golden case"):
        publish(copied.directory, store, bundles)
    assert store.active() is None


def reseal(bundle: Any) -> None:
    """Make the manifest agree with the files again, as who forges a bundle would."""
    import hashlib

    path = bundle.directory / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, record in manifest["files"].items():
        data = (bundle.directory / name).read_bytes()
        record.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    path.write_text(json.dumps(manifest))


def test_publish_without_redis_copies_nothing(
    tiny_bundle: Bundle, bundles: BundleStore, tmp_path: Path
) -> None:
    nowhere = VersionStore("redis://:secret@127.0.0.1:1", "ads", timeout=0.2)
    with pytest.raises(StoreUnavailable):
        publish(tiny_bundle.directory, nowhere, bundles)
    nowhere.close()
    assert not (tmp_path / "bundles").exists()


def test_a_bundle_damaged_in_the_store_is_named(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, tmp_path: Path
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    stored = tmp_path / "bundles" / "ads" / tiny_bundle.version / "predict.onnx"
    stored.unlink()
    with pytest.raises(BundleError, match=r"predict\.onnx"):
        bundles.open("ads", tiny_bundle.version)


def test_a_bundle_under_another_version_s_name_is_refused(
    tiny_bundle: Bundle, bundles: BundleStore, tmp_path: Path
) -> None:
    bundles.add("ads", tiny_bundle)
    folder = tmp_path / "bundles" / "ads"
    (folder / tiny_bundle.version).rename(folder / "v2")
    with pytest.raises(BundleError, match=tiny_bundle.version):
        bundles.open("ads", "v2")


def test_what_a_killed_copy_left_is_swept_and_a_copy_under_way_is_waited_for(
    tiny_bundle: Bundle, bundles: BundleStore, tmp_path: Path
) -> None:
    folder = tmp_path / "bundles" / "ads"
    (folder / ".v0.dead" / "vocabulary").mkdir(parents=True)
    (folder / ".active.1").write_text("v0")
    copy = folder / ".v1.alive"
    with ThreadPoolExecutor(1) as pool:
        with locked(folder / ".lock"):
            copy.mkdir()
            added = pool.submit(bundles.add, "ads", tiny_bundle)
            with pytest.raises(TimeoutError):
                added.result(timeout=0.3)
            copy.rename(folder / "v1")
        added.result(timeout=30)
    version = tiny_bundle.version
    names = {path.name for path in folder.iterdir()}
    assert names == {".lock", version, f".unlisted.{version}", "v1"}


def test_a_store_that_cannot_be_written_is_one_clear_line(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    from service.store.bundle_store import BundleStore

    (tmp_path / "file").touch()
    with pytest.raises(BundleError) as caught:
        BundleStore(tmp_path / "file").add("ads", tiny_bundle)
    assert "\n" not in str(caught.value)
