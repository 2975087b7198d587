"""`afm-serve publish` killed by SIGKILL at 50 random points, one after the other, while a reader
proves each version as soon as it is listed; then two at once, ten times; and a full disk.
"""

import json
import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from product import command
from serve import fitted
from servers import clean_environment

from model.bundle.files import WEIGHTS
from model.bundle.golden import replay
from model.encoding import Encoder
from model.vocabulary import from_bytes
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
    environment = clean_environment() | {
        "AFM_REDIS_URL": url,
        "AFM_MODEL": MODEL,
        "AFM_BUNDLES": str(home / "bundles"),
    }

    def publisher(version: str, disk: int | None = None) -> "subprocess.Popen[bytes]":
        def limited() -> None:
            if disk is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))

        copy = shutil.copytree(source, home / "made" / version)
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
        run = [*command("afm-serve"), "publish", "--force", str(copy)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(run, env=environment, preexec_fn=limited, **quiet)

    store, bundles = VersionStore(url, MODEL), BundleStore(home / "bundles")
    stored = home / "bundles" / MODEL
    left: Counter[str] = Counter()
    with _reader(url, bundles) as proven:
        for version in ("first", "whole"):  # the first of all has files to read that are then known
            begun = time.monotonic()
            undisturbed = publisher(version)
            _wait_for_writes(undisturbed, store, stored, version)
            wrote = time.monotonic()
            assert undisturbed.wait() == 0
        whole, writes = time.monotonic() - begun, time.monotonic() - wrote
        for i in range(KILLS):
            doomed = publisher(f"v{i}")
            if i % 2:  # else most go by while it starts, and proves the bundle
                _wait_for_writes(doomed, store, stored, f"v{i}")
            time.sleep(random.uniform(0, writes if i % 2 else whole))
            doomed.kill()
            doomed.wait()
            left[_left(store, stored, f"v{i}")] += 1
            assert store.active() in {record.version for record in store.versions()}
        assert publisher("after").wait() == 0
        assert store.active() == "after"
        for i in range(PAIRS):
            both = [publisher(f"pair{i}{which}") for which in "ab"]
            assert [one.wait() for one in both] == [0, 0]
            assert store.active() in (f"pair{i}a", f"pair{i}b")
        listed = {record.version for record in store.versions()}
        while listed - proven:
            time.sleep(0.05)
    before = {path.name for path in stored.iterdir()}
    active = store.active()
    full = publisher("full", disk=(source / WEIGHTS).stat().st_size // 2)
    _, said = full.communicate()
    assert full.returncode == 2, said
    line = said.decode().splitlines()[-1].replace(f"{home}/", "")
    assert store.active() == active
    assert {path.name for path in stored.iterdir()} == before, "something is left"
    names = [path.name for path in stored.glob(".*/")]
    staged = store.redis.keys("afm:*:stag*")  # the very keys, as nobody else may see them
    assert not names, names
    assert not staged, staged
    store.close()
    seen = ", ".join(f"{count} {what}" for what, count in sorted(left.items()))
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


@contextmanager
def _reader(url: str, bundles: BundleStore) -> Iterator[set[str]]:
    # looks all the time, as workers do, and scores the golden rows of whatever is listed
    faults: list[tuple[str, Exception]] = []
    proven: set[str] = set()
    stopping = threading.Event()

    def look() -> None:
        store = VersionStore(url, MODEL, timeout=10)
        while not stopping.is_set():
            listed = {record.version for record in store.versions()} | {store.active()}
            for version in listed - proven - {None}:
                assert version is not None
                try:
                    bundle = bundles.open(MODEL, version)
                    found = store.vocabularies(version)
                    assert found == bundle.read_vocabulary_bytes()
                    read = {name: from_bytes(data, name) for name, data in found.items()}
                    replay(bundle.read_golden(), Encoder(bundle.schema, read), bundle.read_scorer())
                except Exception as error:
                    faults.append((version, error))
                proven.add(version)
        store.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield proven
    finally:
        stopping.set()
        thread.join()
    assert not faults, faults
