"""Large vocabularies: packed, side by side with the dictionaries that a worker made of them before
(`publish` still makes dictionaries of fields below PACKED_ABOVE; here it packs all).

A table of the bundles of `logs/large_bundle.py`: seconds until a version is loaded and proved, in a
process of its own, with the packed file still to be fetched and with it there; memory and Redis
bytes a value; encoding of a request of 30 context fields and 50 ads of 9; the p99 of two workers
under an open load, without swaps and with swaps that each load a version.

    .venv/bin/python benchmarks/vocabularies.py [--values 1000000,10000000] [--swaps] [--no-write]
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from logs.large_bundle import OTHERS, body, write_large_bundle
from processes.servers import two_workers
from results import circumstances, keep, say, table
from traffic.load import request_bytes, run_counted_load

from model.bundle.bundle import Bundle
from model.bundle.files import MANIFEST
from model.encoding import Encoder
from model.values.packed_ids import PackedField, PackedIds, pack
from model.vocabulary import PackedVocabulary, Vocabulary
from service.limits import NO_CACHE
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.loader import Loader
from service.versions.publish import PACKED_ABOVE, publish

KINDS = {"dictionaries": 1 << 40, "packed": PACKED_ABOVE}
MOST_IN_A_DICTIONARY = (
    2_000_000  # Redis does not take one command of 10^7 values within its timeout
)
LOOKED_UP = (10_000, 100_000, 1_000_000, 10_000_000)
ADS = 50
ROUNDS = 2000
RATE, CONNECTIONS = 100.0, 16
SWAP_SECONDS, SWAPS = 3.0, 12


def main() -> None:
    """Run the benchmark, write its table."""
    parser = argparse.ArgumentParser(description="Large vocabularies, packed and as dictionaries.")
    parser.add_argument("--values", default="1000000,10000000")
    parser.add_argument("--swaps", action="store_true", help="only the swaps, of the first size")
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/README.md alone")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    sizes = [int(size) for size in options.values.split(",")]
    parts = []
    for values in sizes:
        with tempfile.TemporaryDirectory(prefix="afm-bench-") as scratch:
            say(f"a bundle of {values:,} values")
            bundle = write_large_bundle(Path(scratch) / "bundle", values)
            if not options.swaps:
                parts.append(loads(Path(scratch), bundle, values))
            if values == sizes[0]:
                parts.append(swaps(Path(scratch), bundle, values))
    if not options.swaps:
        parts.append(look_ups([size for size in LOOKED_UP if size <= max(sizes)]))
    text = "\n\n".join([*parts, circumstances("onnxruntime", "numpy")])
    print(text)
    if not options.no_write:
        keep("vocabularies", text)


@contextmanager
def published(home: Path, kind: str, bundles: list[Bundle]) -> Iterator[tuple[str, VersionStore]]:
    """A Redis with these bundles; gives its URL."""
    with EmbeddedRedis(home / kind / "redis") as server:
        store = VersionStore(server.url, "default")
        for bundle in bundles:
            kept = BundleStore(home / kind / "bundles", home / kind / "notes")
            publish(bundle.directory, store, kept, force=True, packed_above=KINDS[kind])
        yield server.url, store
        store.close()


def loads(home: Path, bundle: Bundle, values: int) -> str:
    """The table of one size."""
    lines: list[list[object]] = []
    for kind in KINDS if values <= MOST_IN_A_DICTIONARY else ["packed"]:
        say(f"{kind} of {values:,} values")
        with published(home, kind, [bundle]) as (url, store):
            key, packed = store.key("vocabulary", bundle.version), store.packed_key(bundle.version)
            usage = [store.redis.memory_usage(one, samples=0) or 0 for one in (key, packed)]
            first, again = (measured(home / kind, url, bundle.version) for _ in range(2))
        lines += [
            [
                kind,
                f"{first['seconds']:.2f}",
                f"{again['seconds']:.2f}",
                f"{again['own'] / values:.1f}",
                f"{again['shared'] / values:.1f}",
                f"{sum(usage) / values:.1f}",
                f"{first['encode_us']:.0f}",
            ]
        ]
        shutil.rmtree(home / kind)
    head = [f"{values:,} values", "s to load, fetched", "s, fetched before"]
    head += ["bytes a value in each worker", "bytes a value, once", "in Redis", "µs to encode"]
    return table(head, lines)


def measured(home: Path, url: str, version: str) -> dict[str, float]:
    """What a worker process says that loads the version; its last line, behind its log."""
    run = [sys.executable, __file__, "--child", str(home), url, version]
    said = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


def child(home: str, url: str, version: str) -> None:
    """Load a version as a worker does; print the figures as JSON."""
    store = VersionStore(url, "default")
    kept = BundleStore(Path(home) / "bundles", Path(home) / "notes")
    store.active()  # connected
    before = psutil.Process().memory_full_info().pss
    began = time.perf_counter()
    live = Loader(kept, NO_CACHE, None, 0.0).load(store, version, None)
    seconds = time.perf_counter() - began
    parts = psutil.Process().memory_maps()
    shared = sum(part.pss for part in parts if part.path.endswith(".packed"))
    weights = sum(part.pss for part in parts if part.path.endswith("weights.bin"))
    own = psutil.Process().memory_full_info().pss - before - shared - weights
    values = live.bundle.manifest.dimensions.rows - OTHERS
    print(
        json.dumps(
            {
                "seconds": seconds,
                "own": own,
                "shared": shared,
                "encode_us": encode(live.encoder, values),
            }
        ),
        flush=True,
    )


def encode(encoder: Encoder, values: int) -> float:
    """Microseconds to encode a request, each with other values; the median of some."""
    rng = np.random.default_rng(3)
    bodies = [json.loads(body(rng, values, ADS)) for _ in range(ROUNDS)]
    taken = []
    for one in bodies:
        began = time.perf_counter()
        context, ads = encoder.encode_context(one["context"]), encoder.encode_ads(one["candidates"])
        taken.append(time.perf_counter() - began)
        assert context is not None
        assert ads is not None
    return 1e6 * median(taken)


def look_ups(sizes: list[int]) -> str:
    """The look-up alone: a column of 50 texts, and one text."""
    lines: list[list[object]] = []
    for size in sizes:
        say(f"look-ups among {size:,}")
        values = tuple(f"user-{i}" for i in range(size))
        plain: Any = Vocabulary(values).ids(0)
        table_of = PackedIds(pack({"user": (values, PackedField(size))}))
        packed: Any = PackedVocabulary((), table_of, "user").ids(0)
        rng = np.random.default_rng(4)
        columns = [[f"user-{i}" for i in rng.integers(0, size, ADS)] for _ in range(ROUNDS)]
        assert packed.find(columns[0]) == list(map(plain.get, columns[0]))
        taken = [
            _each(lambda column, get=plain.get: [get(value) for value in column], columns),
            _each(packed.find, columns),
            _each(lambda column, get=plain.get: get(column[0]), columns),
            _each(lambda column, get=packed.get: get(column[0]), columns),
        ]
        lines.append([f"{size:,}", *(f"{one:.1f}" for one in taken)])
    head = ["values", "µs for 50, dictionary", "µs for 50, packed"]
    return table([*head, "µs for one, dictionary", "µs for one, packed"], lines)


def _each(call: Callable[..., object], columns: list[list[str]]) -> float:
    # microseconds, the median
    taken = []
    for column in columns:
        began = time.perf_counter()
        call(column)
        taken.append(time.perf_counter() - began)
    return 1e6 * median(taken)


def swaps(home: Path, bundle: Bundle, values: int) -> str:
    """The table of swaps that each load a version."""
    three = [bundle, *(_again(home, bundle, name) for name in ("second", "third"))]
    rng = np.random.default_rng(5)
    requests = [request_bytes("/predict", json.loads(body(rng, values, ADS))) for _ in range(200)]
    lines: list[list[object]] = []
    for kind in KINDS:
        say(f"swaps of {kind}")
        with published(home, kind, three) as (url, store):
            kept, log = home / kind / "bundles", home / f"{kind}.log"
            with two_workers(
                url, kept, log, AFM_HOME=str(home / kind), AFM_MAX_WAIT_MS="9000"
            ) as port:
                _load(port, requests, 3.0)
                steady = _load(port, requests, SWAPS * SWAP_SECONDS / 2)
                swapper = threading.Thread(target=_swap, args=(store, three))
                swapper.start()
                during = _load(port, requests, SWAPS * SWAP_SECONDS)
                swapper.join()
            lives = len(re.findall('"event": "version is live"', log.read_text()))
        before, now = (1000 * float(np.quantile(one, 0.99)) for one in (steady, during))
        longest = 1000 * max(during)
        lines.append([kind, f"{before:.2f}", f"{now:.2f}", f"{now / before:.2f}", f"{longest:.0f}"])
        lines[-1].append(lives)
        shutil.rmtree(home / kind)
    head = [f"{values:,} values", "p99 ms", "p99 ms with swaps", "times", "longest ms"]
    return table([*head, "times a worker went live"], lines)


def _again(home: Path, bundle: Bundle, version: str) -> Bundle:
    copied = Path(shutil.copytree(bundle.directory, home / version))
    manifest = json.loads((copied / MANIFEST).read_text())
    (copied / MANIFEST).write_text(json.dumps(manifest | {"version": version}))
    return Bundle.open_copy(copied, bundle)


def _swap(store: VersionStore, among: list[Bundle]) -> None:
    begun = time.monotonic()
    for number in range(SWAPS):
        time.sleep(max(0.0, begun + number * SWAP_SECONDS - time.monotonic()))
        store.activate(among[number % len(among)].version, force=True)


def _load(port: int, requests: list[bytes], seconds: float) -> list[float]:
    due = np.arange(int(RATE * seconds)) / RATE
    answers = run_counted_load(port, requests, CONNECTIONS, due)
    lost = [answer.status for answer in answers if answer.status != 200]
    assert not lost, f"{len(lost)} answers other than 200: {set(lost)}"
    return [answer.latency for answer in answers]


if __name__ == "__main__":
    main()
