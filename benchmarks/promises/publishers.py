"""`afm-serve publish` killed by SIGKILL at 50 random points, one after the other, while a reader
proves each version as soon as it is listed; then two at once, ten times; and a full disk.
"""

import json
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from processes.product import command
from processes.servers import clean_environment
from traffic.version_reader import version_reader
from traffic.wide_requests import fitted

from model.bundle.files import WEIGHTS
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore

KILLS, PAIRS = 50, 10
MODEL = "ads"


def measure() -> list[tuple[str, str, str]]:
    """Kill, look, count."""
    with tempfile.TemporaryDirectory(prefix="afm-publishers-") as folder:
        home = Path(folder)
        source = fitted(home).directory
        with EmbeddedRedis(home / "redis") as server:
            return _measure(home, source, server.url)


def _measure(home: Path, source: Path, url: str) -> list[tuple[str, str, str]]:
    store, bundles = VersionStore(url, MODEL), BundleStore(home / "bundles")
    publishers = _Publishers(home, source, url)
    with version_reader(url, bundles, MODEL) as proven:
        seen = _killed(publishers, store)
        for i in range(PAIRS):
            both = [publishers.start(f"pair{i}{which}") for which in "ab"]
            assert [one.wait() for one in both] == [0, 0]
            assert store.active() in (f"pair{i}a", f"pair{i}b")
        listed = {record.version for record in store.versions()}
        while listed - proven:
            time.sleep(0.05)
    line = _without_room(publishers, store)
    names = [path.name for path in publishers.stored.glob(".*/")]
    staged = store.redis.keys("afm:*:stag*")  # the very keys, as nobody else may see them
    assert not names, names
    assert not staged, staged
    store.close()
    return [
        (
            f"kill -9 of publish at {KILLS} random points, half of them while it writes",
            f"0 half versions seen; found: {seen}",
            "never a half version",
        ),
        (
            "the next publish",
            "0 leftovers in the bundle store, 0 in Redis",
            "leftovers swept",
        ),
        (
            f"two publishers at once, {PAIRS} times",
            f"{2 * PAIRS} whole versions, one active",
            "both whole, one active",
        ),
        (
            "disk full",
            f"`{line}`; nothing left, the old version active and whole",
            "a clear error, the old one whole",
        ),
        (
            "versions proven by a reader as they appeared",
            str(len(proven)),
            "each of them whole",
        ),
    ]


class _Publishers:
    # processes that publish copies of one bundle, each under a version of its own

    def __init__(self, home: Path, source: Path, url: str) -> None:
        self.home, self.source = home, source
        self.stored = home / "bundles" / MODEL
        self._environment = clean_environment() | {
            "AFM_REDIS_URL": url,
            "AFM_MODEL": MODEL,
            "AFM_BUNDLES": str(home / "bundles"),
        }

    def start(self, version: str, disk: int | None = None) -> "subprocess.Popen[bytes]":
        # `disk`: how many bytes it may write into one file

        def limited() -> None:
            if disk is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))

        copy = shutil.copytree(self.source, self.home / "made" / version)
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
        return subprocess.Popen(
            [*command("afm-serve"), "publish", "--force", str(copy)],
            env=self._environment,
            preexec_fn=limited,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


def _killed(publishers: _Publishers, store: VersionStore) -> str:
    # how far the killed ones got, in words
    stored = publishers.stored
    left: Counter[str] = Counter()
    for version in ("first", "whole"):  # the first of all has files to read that are then known
        begun = time.monotonic()
        undisturbed = publishers.start(version)
        _wait_for_writes(undisturbed, store, stored, version)
        wrote = time.monotonic()
        assert undisturbed.wait() == 0
    whole, writes = time.monotonic() - begun, time.monotonic() - wrote
    for i in range(KILLS):
        doomed = publishers.start(f"v{i}")
        if i % 2:  # else most go by while it starts, and proves the bundle
            _wait_for_writes(doomed, store, stored, f"v{i}")
        time.sleep(random.uniform(0, writes if i % 2 else whole))
        doomed.kill()
        doomed.wait()
        left[_left(store, stored, f"v{i}")] += 1
        assert store.active() in {record.version for record in store.versions()}
    assert publishers.start("after").wait() == 0
    assert store.active() == "after"
    return ", ".join(f"{count} {what}" for what, count in sorted(left.items()))


def _without_room(publishers: _Publishers, store: VersionStore) -> str:
    # what a publisher says that the disk has no room for
    before = {path.name for path in publishers.stored.iterdir()}
    active = store.active()
    disk = (publishers.source / WEIGHTS).stat().st_size // 2
    full = publishers.start("full", disk)
    _, said = full.communicate()
    assert full.returncode == 2, said
    assert store.active() == active
    assert {path.name for path in publishers.stored.iterdir()} == before, "something is left"
    return said.decode().splitlines()[-1].replace(f"{publishers.home}/", "")


def _wait_for_writes(
    process: "subprocess.Popen[bytes]", store: VersionStore, folder: Path, version: str
) -> None:
    while process.poll() is None and _left(store, folder, version) == "nothing":
        pass


def _left(store: VersionStore, folder: Path, version: str) -> str:
    if version in {record.version for record in store.versions()}:
        return "published whole"
    if store.redis.keys("afm:*:staging:*"):
        return "staged in Redis"
    if (folder / version).exists():
        return "copied, not listed"
    return "half copied" if list(folder.glob(".*/")) else "nothing"
