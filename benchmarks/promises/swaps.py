"""Two workers under a constant load, open loop, while the active version moves 200 times between
two bundles whose answers have nothing in common; before and after, the same load without a swap.

Each answer is held against what the version that it names gives, by either graph. A worker keeps
the version before in memory, so the same is done with three in turn: then each swap loads a whole
version and drops another, its graphs, vocabularies and cache.
"""

import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from processes.product import fit
from processes.servers import two_workers
from results import verdict
from traffic.load import Answer, Connection, run_counted_load
from traffic.wide_requests import fitted, make_requests

from model.bundle.bundle import Bundle
from model.bundle.files import MANIFEST
from model.encoding import Slate
from service.scoring.payloads import PayloadDecoder
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.publish import publish

SWAPS = 200
LOADS = 60
EVERY_SECONDS = 0.5  # with polls of 0.1 s
SIZE = 50
RATE = 150.0  # requests a second, about a tenth of what two cores can do beside the generator
CONNECTIONS = 16
ROLLBACKS = 20
APART = 0.002  # at least, the answers of the two versions in each request


def measure() -> list[tuple[str, str, str]]:
    """What was done, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="afm-swaps-") as folder:
        home = Path(folder)
        pair = [fitted(home), fitted_otherwise(home)]
        with EmbeddedRedis(home / "redis") as server:
            return _measure(home, pair, server.url)


def fitted_otherwise(home: Path) -> Bundle:
    """Another net on the log that `fitted` left."""
    return fit(home, "--net", "fwfm", "--seed", "2", out="other")


def _again(home: Path, bundle: Bundle) -> Bundle:
    # the same under another name
    copied = Path(shutil.copytree(bundle.directory, home / "again"))
    manifest = json.loads((copied / MANIFEST).read_text())
    (copied / MANIFEST).write_text(json.dumps(manifest | {"version": "again"}))
    return Bundle.open(copied)


def _check(answers: list[Answer], expected: dict[str, NDArray[np.float64]]) -> None:
    lost = [answer.status for answer in answers if answer.status != 200]
    assert not lost, f"{len(lost)} answers other than 200: {set(lost)}"
    apart = max(_distance(answer, expected) for answer in answers)
    assert apart == 0, f"{apart} off what the version gives"


def _measure(home: Path, pair: list[Bundle], url: str) -> list[tuple[str, str, str]]:
    requests = make_requests(home / "log.parquet", pair[0])[SIZE]
    expected = {
        bundle.version: np.array([one for r in requests for one in _answers(bundle, r)], float)
        for bundle in pair
    }
    one, other = expected.values()
    assert np.abs(one - other).max(1).min() > APART, "the two give the same answers"
    store, bundles = VersionStore(url, "default"), BundleStore(home / "bundles")
    three = [*pair, _again(home, pair[0])]
    expected[three[2].version] = one
    for bundle in three:
        publish(bundle.directory, store, bundles)
    log = home / "service.log"
    with two_workers(url, home / "bundles", log) as port:
        _loaded(port, requests, 3.0)
        steady = _loaded(port, requests, SWAPS * EVERY_SECONDS / 4)
        during = _swapped(store, port, requests, pair, SWAPS)
        steady += _loaded(port, requests, SWAPS * EVERY_SECONDS / 4)
        loading = _swapped(store, port, requests, three, LOADS)
        slowest = _roll_back(store, port, pair, requests[0])
    lives = log.read_text().count('"event": "version is live"')
    store.close()
    _check(during + loading, expected)
    before, now, loads = _p99(steady), _p99(during), _p99(loading)
    return [
        (
            f"{SWAPS} swaps between two versions and {LOADS} among three, under {RATE:g} "
            f"requests/s of {SIZE} candidates, two workers",
            f"{len(during + loading):,} answers, all 200 and all their version's to the bit; "
            f"{lives} times a worker went live",
            "all 200, each its version's to the bit",
        ),
        (
            "p99 during swaps between two versions, each kept in memory while the other is live",
            f"{now:.2f} ms, {now / before:.2f} of {before:.2f} ms without; longest "
            f"{1000 * max(a.latency for a in during):.0f} ms, "
            f"{1000 * max(a.latency for a in steady):.0f} ms without",
            verdict("p99 at most 1.5x", now <= 1.5 * before),
        ),
        (
            "p99 during swaps that each load a version and drop another",
            f"{loads:.2f} ms, {loads / before:.2f} of {before:.2f} ms without; longest "
            f"{1000 * max(a.latency for a in loading):.0f} ms",
            verdict("p99 at most 1.5x", loads <= 1.5 * before),
        ),
        (
            f"{ROLLBACKS} rollbacks, polls of 0.1 s: slowest until every worker answers by it",
            f"{1000 * slowest:.0f} ms",
            verdict("within 1 s", slowest <= 1),
        ),
    ]


def _answers(bundle: Bundle, request: bytes) -> list[NDArray[np.float32]]:
    encoder, scorer = bundle.read_encoder(), bundle.read_scorer()
    asked = PayloadDecoder(SIZE).decode(request.partition(b"\r\n\r\n")[2])
    context, ads = encoder.encode_context(asked.context), encoder.encode_ads(asked.rows[:])
    assert context is not None
    assert ads is not None
    slate = Slate(context, ads)
    plain = scorer.predict_plainly(scorer.joined(slate)).predictions
    return [plain, scorer.rank(slate).predictions]


def _loaded(port: int, requests: list[bytes], seconds: float) -> list[Answer]:
    due = np.arange(int(RATE * seconds)) / RATE
    return run_counted_load(port, requests, CONNECTIONS, due, keep=True)


def _swapped(
    store: VersionStore, port: int, requests: list[bytes], among: list[Bundle], swaps: int
) -> list[Answer]:
    swapper = threading.Thread(target=_swap, args=(store, among, swaps))
    swapper.start()
    answers = _loaded(port, requests, swaps * EVERY_SECONDS)
    swapper.join()
    return answers


def _swap(store: VersionStore, among: list[Bundle], swaps: int) -> None:
    begun = time.monotonic()
    for number in range(swaps):
        time.sleep(max(0.0, begun + number * EVERY_SECONDS - time.monotonic()))
        store.activate(among[number % len(among)].version, force=True)


def _roll_back(store: VersionStore, port: int, pair: list[Bundle], request: bytes) -> float:
    slowest = 0.0
    for number in range(ROLLBACKS):
        store.activate(pair[number % 2].version, force=True)
        _until_all(port, pair[number % 2].version, request)
        begun = time.monotonic()
        version = store.rollback()
        _until_all(port, version, request)
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


def _until_all(port: int, version: str, request: bytes) -> None:
    # eight connections: that both workers have one of them fails once in a hundred and more times
    connections = [Connection(port) for _ in range(8)]
    while any(connection.ask(request)["version"] != version for connection in connections):
        time.sleep(0.005)
    for connection in connections:
        connection.close()


def _distance(answer: Answer, expected: dict[str, NDArray[np.float64]]) -> float:
    # from the nearest that its version gives to any of the requests
    body = json.loads(answer.body)
    found = np.array(body["probabilities"])
    return float(np.abs(expected[body["version"]] - found).max(1).min())


def _p99(answers: list[Answer]) -> float:
    return float(1000 * np.quantile([answer.latency for answer in answers], 0.99))
