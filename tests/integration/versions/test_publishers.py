"""Publishers that die, meet or find no room: nobody ever sees a half version."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from traffic.version_reader import verify, version_reader

from model.bundle.bundle import Bundle
from publisher import Publisher
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

FEWEST_KILLS, MOST_KILLS = 6, 40
STAGES = 3  # of nothing, half copied, copied, staged, listed: so many at least are hit
GOLDEN = 0.618034


@pytest.fixture
def version_of(tiny_bundle: Bundle, tmp_path: Path) -> Any:
    """The tiny bundle under a version of one's choice."""

    def made(version: Any) -> Any:
        copy = shutil.copytree(tiny_bundle.directory, tmp_path / "made" / version)
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
        return copy

    return made


@pytest.fixture
def env(redis_url: str, tmp_path: Path) -> Any:
    return {
        "AFM_REDIS_URL": redis_url,
        "AFM_MODEL": "ads",
        "AFM_BUNDLES": str(tmp_path / "bundles"),
        "AFM_HOME": str(tmp_path),
    }


@contextmanager
def slow_writes(raw_redis: Any) -> Iterator[Any]:
    """A Redis that takes a while for each write: a killed publisher then dies between two more
    often than before or after them.
    """
    stopping = threading.Event()

    def slow() -> None:
        while not stopping.is_set():
            raw_redis.execute_command("client", "pause", 20, "write")
            time.sleep(0.022)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        raw_redis.execute_command("client", "unpause")


def staged(raw_redis: Any) -> Any:
    keys = raw_redis.keys("afm:*:stag*")
    return keys + raw_redis.keys("afm:*:publishing")


def stage(store: VersionStore, raw_redis: Any, folder: Any, version: Any) -> Any:
    """How far a killed publisher got."""
    if version in {record.version for record in store.versions()}:
        return "listed"
    if staged(raw_redis):
        return "staged"
    if (folder / version).exists():
        return "copied"
    return "half copied" if list(folder.glob(".*/")) else "nothing"


@pytest.mark.parametrize("live", [False, True])
def test_a_publisher_killed_at_any_point_leaves_no_half_version_and_the_next_sweeps(
    env: Any,
    store: VersionStore,
    bundles: BundleStore,
    version_of: Any,
    raw_redis: Any,
    redis_url: str,
    tmp_path: Path,
    live: bool,
) -> None:
    if live:  # values of its fields are in Redis, each in keys of its own
        env = {**env, "AFM_REMOTE_FIELDS_ABOVE": "2"}
    folder = tmp_path / "bundles" / "ads"
    hit: set[Any] = set()
    with version_reader(redis_url, bundles, "ads") as seen, slow_writes(raw_redis):
        for version in ("first", "second"):  # the first of all has the imports to wait for
            begun = time.monotonic()
            whole_one = Publisher(version_of(version), env)
            whole_one.start()
            assert whole_one.ended()[0] == 0
            assert bool(store.record(version).live) == live
            whole = time.monotonic() - begun
        kills = 0
        while kills < FEWEST_KILLS or len(hit) < STAGES:
            assert kills < MOST_KILLS, hit
            doomed = Publisher(version_of(f"v{kills}"), env)
            doomed.start()
            if kills < FEWEST_KILLS:
                time.sleep(whole * (kills * GOLDEN % 1))  # all over the run
            else:  # in a stage that no kill has hit, as soon as it is seen
                old = {*hit, "nothing"}
                while doomed.is_alive() and stage(store, raw_redis, folder, f"v{kills}") in old:
                    pass
            doomed.kill()
            doomed.ended()
            hit.add(stage(store, raw_redis, folder, f"v{kills}"))
            raw_redis.delete("afm:ads:publishing")  # a turn ends by itself, after five seconds
            assert store.active() in {record.version for record in store.versions()}
            kills += 1
        last = Publisher(version_of("last"), env)
        last.start()
        assert last.ended() == (0, matching("last (afm) published"))
        assert store.active() == "last"
        while "last" not in seen:
            time.sleep(0.01)
    assert staged(raw_redis) == []
    left = {path.name for path in folder.iterdir()} - {".lock", ".active"}
    unlisted = {name for name in left if name.startswith(".unlisted.")}
    left -= unlisted
    assert not [name for name in left if name.startswith(".")]
    listed = {record.version for record in store.versions()}
    assert left - listed <= {name.removeprefix(".unlisted.") for name in unlisted}
    for name in left:  # listed or not: a copy is whole or not there
        assert Bundle.open(folder / name).version == name


def test_a_copy_that_nobody_listed_is_swept_after_an_hour_and_no_other(
    store: VersionStore, bundles: BundleStore, version_of: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "bundles" / "ads"
    publish(version_of("listed"), store, bundles)
    for version in ("forgotten", "recent", "remembered"):
        bundles.add("ads", Bundle.open(version_of(version)))
    bundles.write_note("ads", "remembered")
    for version in ("listed", "forgotten", "remembered"):  # killed before or after it was listed
        (folder / f".unlisted.{version}").touch()
        os.utime(folder / f".unlisted.{version}", (0, time.time() - 3700))
    publish(version_of("next"), store, bundles)
    left = {path.name for path in folder.iterdir()} - {".lock", ".active"}
    assert left == {"listed", "recent", "remembered", "next", ".unlisted.recent"}


class matching(str):  # noqa: N801  reads as a word
    """Equal to each text that begins so."""

    __hash__ = str.__hash__

    def __eq__(self, other: Any) -> Any:
        return other.startswith(str(self))


@pytest.mark.parametrize("same", [False, True])
def test_of_two_publishers_at_once_both_are_whole_and_one_is_active(
    env: Any,
    store: VersionStore,
    bundles: BundleStore,
    version_of: Any,
    raw_redis: Any,
    redis_url: str,
    same: bool,
) -> None:
    sources = (
        [version_of("v1"), version_of("v1" if same else "v2")]
        if not same
        else ([version_of("v1")] * 2)
    )
    with version_reader(redis_url, bundles, "ads"):
        both = [Publisher(source, env) for source in sources]
        for one in both:
            one.start()
        assert [one.ended()[0] for one in both] == [0, 0]
    versions = {source.name for source in sources}
    assert {record.version for record in store.versions()} == versions
    assert store.active() in versions
    for version in versions:
        verify(store, bundles, "ads", version)
    assert staged(raw_redis) == []
    if not same:
        (other,) = versions - {store.active()}
        assert raw_redis.lrange("afm:ads:previous", 0, -1) == [other]


def refused_for_room(
    store: VersionStore, bundles: BundleStore, folder: Any, code: Any, said: Any
) -> None:
    assert code == 2, said
    assert said.count("\n") == 1
    assert "cannot write the bundle" in said
    assert store.active() == "v1"
    assert [record.version for record in store.versions()] == ["v1"]
    verify(store, bundles, "ads", "v1")
    assert {path.name for path in folder.iterdir()} == {".lock", ".active", "v1"}


def test_a_copy_that_does_not_fit_is_one_clear_line_and_the_old_version_stays(
    env: Any, store: VersionStore, bundles: BundleStore, version_of: Any, tmp_path: Path
) -> None:
    first, second = version_of("v1"), version_of("v2")
    publisher = Publisher(first, env)
    publisher.start()
    assert publisher.ended()[0] == 0
    limited = Publisher(second, env, file_limit=(second / "weights.bin").stat().st_size - 1)
    limited.start()
    refused_for_room(store, bundles, tmp_path / "bundles" / "ads", *limited.ended())


def test_a_full_disk_is_one_clear_line_and_the_old_version_stays(
    env: Any, store: VersionStore, bundles: BundleStore, version_of: Any, tmp_path: Path
) -> None:
    first, second = version_of("v1"), version_of("v2")
    with small_disk(tmp_path / "bundles", 1.5 * room(first)):
        for source, wanted in ((first, 0), (second, 2)):
            publisher = Publisher(source, env)
            publisher.start()
            code, said = publisher.ended()
            assert code == wanted, said
        refused_for_room(store, bundles, tmp_path / "bundles" / "ads", code, said)
        assert "No space left on device" in said


def room(folder: Any) -> Any:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*"))


@contextmanager
def small_disk(folder: Any, size: Any) -> Iterator[Any]:
    """A file system of so many bytes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(size)}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
