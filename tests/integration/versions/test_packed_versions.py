"""Versions whose large fields are packed: fetched once a machine, continued after a kill, and
scored as a dictionary scores them.
"""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from app_server import client_of
from bundle_parts import probabilities_of
from model.bundle.bundle import Bundle
from model.errors import BundleError
from model.values.packed_ids import PackedField, pack
from narrowing import not_none
from service.limits import NO_CACHE
from service.store.bundle_store import BundleStore
from service.store.packed_files import PackedFiles
from service.store.publication import CHUNK_BYTES, Publication
from service.store.records import Record
from service.store.version_store import VersionStore
from service.versions.loader import Loader
from service.versions.publish import publish

MANY = 1_000_000  # values of a version whose file is many chunks
ROWS = [{"device": "ios", "hour": hour, "ad": f"a{ad}"} for hour in (3, 21) for ad in range(8)]


@pytest.fixture
def loader(bundles: BundleStore) -> Loader:
    return Loader(bundles, NO_CACHE, None, 0.0)


def publish_packed(bundle: Bundle, store: VersionStore, bundles: BundleStore) -> None:
    """With every field of more than three values packed."""
    publish(bundle.directory, store, bundles, packed_above=3)


def expected(bundle: Bundle) -> Any:
    return probabilities_of(bundle, ROWS).tolist()


def test_a_packed_version_scores_as_its_dictionaries_do(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, loader: Loader
) -> None:
    publish_packed(tiny_bundle, store, bundles)
    assert {"ad", "hour"} & store.vocabularies(tiny_bundle.version).keys() == set()
    live = loader.load(store, tiny_bundle.version, None)
    ids = live.encoder.encode(ROWS).ids
    assert ids.tolist() == tiny_bundle.read_encoder().encode(ROWS).ids.tolist()
    found = not_none(live.scorer.predict(live.encoder.encode(ROWS)).probabilities)
    assert found.tolist() == expected(tiny_bundle)


def test_a_worker_serves_a_packed_version_over_http(
    tiny_bundle: Bundle, redis_url: str, tmp_path: Path, store: VersionStore, bundles: BundleStore
) -> None:
    publish_packed(tiny_bundle, store, bundles)
    with client_of(redis_url, tmp_path) as client:
        answer = client.post("/predict", json={"instances": ROWS}).json()
    assert answer["probabilities"] == pytest.approx(expected(tiny_bundle), abs=1e-6)


def test_a_version_published_before_there_were_packed_ones_still_serves(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, loader: Loader
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    assert store.packed_digest(tiny_bundle.version) is None
    assert loader.load(store, tiny_bundle.version, None).version == tiny_bundle.version


def test_a_packed_version_is_served_without_redis(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    loader: Loader,
    raw_redis: Any,
) -> None:
    publish_packed(tiny_bundle, store, bundles)
    without = loader.load_without_redis("ads", tiny_bundle.version)  # from the bundle's own files
    assert (
        without.encoder.encode(ROWS).ids.tolist()
        == tiny_bundle.read_encoder().encode(ROWS).ids.tolist()
    )
    loader.load(store, tiny_bundle.version, None)
    raw_redis.flushall()
    again = Loader(bundles, NO_CACHE, None, 0.0).load_without_redis("ads", tiny_bundle.version)
    assert again.encoder.encode(ROWS).ids.tolist() == without.encoder.encode(ROWS).ids.tolist()
    assert bundles.own_folder("ads").joinpath(f".{tiny_bundle.version}.packed").exists()


def test_packed_values_of_another_bundle_are_refused(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, loader: Loader
) -> None:
    publish_packed(tiny_bundle, store, bundles)
    other = pack({"ad": (["a1", "a2"], PackedField(2)), "hour": (["1"], PackedField(1))})
    held = tiny_bundle.read_vocabulary_bytes({"ad", "hour"})
    Publication(store).publish(store.record(tiny_bundle.version), held, packed=other)
    with pytest.raises(BundleError, match=r"says .* rows|sha256"):
        loader.load(store, tiny_bundle.version, None)


def test_withdrawing_a_version_removes_its_packed_values(
    tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore, raw_redis: Any
) -> None:
    publish_packed(tiny_bundle, store, bundles)
    raw_redis.delete("afm:ads:active")
    Publication(store).withdraw(store.record(tiny_bundle.version))
    assert [key for key in raw_redis.scan_iter() if tiny_bundle.version in key] == []


# --- fetching


@pytest.fixture(scope="module")
def large() -> bytearray:
    return pack({"user": ([f"u{i}" for i in range(MANY)], PackedField(MANY))})


@pytest.fixture
def published(store: VersionStore, large: bytearray) -> VersionStore:
    moment = "2026-11-29T12:00:00+00:00"
    record = Record(version="v1", net="afm", created=moment, published=moment, bundle="ads/v1")
    Publication(store).publish(record, {"device": b"{}"}, packed=large)
    return store


def asked(store: VersionStore) -> int:
    """How many chunks Redis was asked for, and a digest a time."""
    return int(store.redis.info("commandstats")["cmdstat_hget"]["calls"])


def test_redis_holds_at_most_17_bytes_a_value(published: VersionStore) -> None:
    size = published.redis.memory_usage(published.packed_key("v1"), samples=0)
    assert size <= 17 * MANY


def test_the_second_worker_of_a_machine_fetches_nothing(
    published: VersionStore, tmp_path: Path
) -> None:
    first = PackedFiles(tmp_path).fetched(published, "v1")["user"]
    before = asked(published)
    second = PackedFiles(tmp_path).fetched(published, "v1")["user"]
    assert asked(published) == before + 1  # the digest
    assert first.ids(0).get("u77") == second.ids(0).get("u77") == 3 + 77


def test_a_damaged_file_is_fetched_again(published: VersionStore, tmp_path: Path) -> None:
    PackedFiles(tmp_path).fetched(published, "v1")
    path = tmp_path / ".v1.packed"
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + b"\xff" + whole[5001:])
    assert PackedFiles(tmp_path).held("v1") == {}
    assert PackedFiles(tmp_path).fetched(published, "v1")["user"].ids(0).get("u9") == 12
    assert path.read_bytes() == whole


def test_progress_is_logged(published: VersionStore, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        PackedFiles(tmp_path).fetched(published, "v1")
    percents = [line["percent"] for line in logged if line["event"] == "fetching values"]
    assert percents == sorted(set(percents))
    assert percents[-1] == 100
    assert len(percents) == 10


def test_only_the_files_used_last_are_kept(published: VersionStore, tmp_path: Path) -> None:
    for number in range(5):
        old = tmp_path / f".old{number}.packed"
        old.write_bytes(b"old")
        os.utime(old, (number, number))
    (tmp_path / ".old.part").write_bytes(b"part")
    PackedFiles(tmp_path).fetched(published, "v1")
    assert {path.name for path in tmp_path.iterdir()} == {
        ".packed.lock",
        ".v1.packed",
        ".old3.packed",
        ".old4.packed",
    }


def _fetch(url: str, folder: Path) -> None:
    store = VersionStore(url, "ads")
    slow = store.packed_chunk

    def one(version: str, number: int) -> bytes:
        time.sleep(0.05)
        return slow(version, number)

    store.packed_chunk = one  # type: ignore[method-assign]  # slow enough to be killed within
    PackedFiles(folder).fetched(store, "v1")


def test_a_fetch_that_is_killed_is_gone_on_with(
    published: VersionStore, redis_url: str, tmp_path: Path, large: bytearray
) -> None:
    chunks = published.packed_chunks("v1")
    process = multiprocessing.get_context("spawn").Process(
        target=_fetch, args=(redis_url, tmp_path)
    )
    process.start()
    part = tmp_path / ".v1.part"
    while not (part.exists() and part.stat().st_size > 2 * CHUNK_BYTES):
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / ".v1.packed").exists()
    kept = part.stat().st_size // CHUNK_BYTES
    assert 0 < kept < chunks
    with part.open("ab") as file:
        file.write(b"half a chunk")
    before = asked(published)
    PackedFiles(tmp_path).fetched(published, "v1")
    assert asked(published) - before == 1 + chunks - kept
    assert (tmp_path / ".v1.packed").read_bytes() == large


def test_a_part_of_other_contents_is_thrown_away(published: VersionStore, tmp_path: Path) -> None:
    (tmp_path / ".v1.part").write_bytes(bytes(CHUNK_BYTES))
    files = PackedFiles(tmp_path)
    with pytest.raises(BundleError, match="sha256"):
        files.fetched(published, "v1")
    assert files.fetched(published, "v1")["user"].size == 3 + MANY


def test_a_folder_that_cannot_be_written_is_named(published: VersionStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be written"):
        PackedFiles(tmp_path / "file" / "ads").fetched(published, "v1")
