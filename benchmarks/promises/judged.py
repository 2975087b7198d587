"""Two workers under a constant load, open loop, while version after version is judged on the last
requests before it goes live: the latencies while a worker judges, beside those of the same load
between the judgements. Then, by the limits as they stand, what both workers make of versions that
are worse in one way each, and of a good retrain.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from processes.product import fit
from processes.servers import two_workers
from results import verdict
from swaps import CONNECTIONS, RATE, SIZE, fitted_otherwise
from traffic.load import run_counted_load
from traffic.wide_requests import fitted, make_requests

from model.bundle.bundle import Bundle
from model.bundle.files import vocabulary_file
from model.encoding import Slate
from service.scoring.payloads import PayloadDecoder
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.publish import publish
from service.versions.refusals import FIRST_RETRY_SECONDS

sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests/support")
)  # versions are harmed as in the tests
from altered import scale_output, slow_down, whole

SECONDS = 100.0
EVERY_SECONDS = 10.0
GRAPHS = ("predict.onnx", "rank.onnx")
SLOW_SIZES = (32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 512)
DECIDED_SECONDS = 120.0
LIMITS = {"MEAN": "1e9", "RANK": "-1", "UNKNOWN": "1", "LATENCY": "1e9"}


def measure() -> list[tuple[str, str, str]]:
    """What was done, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="afm-judged-") as folder:
        home = Path(folder)
        pair = [fitted(home), fitted_otherwise(home)]
        with EmbeddedRedis(home / "redis") as server:
            return [*_measure(home, pair, server.url), *_decided(home, pair[0], server.url)]


def _measure(home: Path, pair: list[Bundle], url: str) -> list[tuple[str, str, str]]:
    requests = make_requests(home / "log.parquet", pair[0])[SIZE]
    store, bundles = VersionStore(url, "default"), BundleStore(home / "bundles")
    for bundle in pair:
        publish(bundle.directory, store, bundles)
    limits = {f"AFM_SHADOW_{name}": value for name, value in LIMITS.items()}
    log = home / "service.log"
    with two_workers(url, home / "bundles", log, **limits) as port:
        run_counted_load(port, requests, CONNECTIONS, np.arange(5 * RATE) / RATE)
        done = threading.Event()
        swapper = threading.Thread(target=_swap, args=(store, pair, done))
        swapper.start()
        began = time.time()
        due = np.arange(SECONDS * RATE) / RATE
        answers = run_counted_load(port, requests, CONNECTIONS, due)
        done.set()
        swapper.join()
    store.close()
    judgements = _judgements(log.read_text())
    lost = [answer.status for answer in answers if answer.status != 200]
    assert not lost, f"{len(lost)} answers other than 200: {set(lost)}"
    during, between = list[float](), list[float]()
    for answer in answers:
        at = began + answer.due
        judged = any(start <= at <= end for start, end, _ in judgements)
        (during if judged else between).append(1000 * answer.latency)
    before, now = (float(np.quantile(some, 0.99)) for some in (between, during))
    rows = {int(said["rows"]) for _, _, said in judgements}
    took = np.mean([end - start for start, end, _ in judgements])
    return [
        (
            f"{len(judgements)} judgements under {RATE:g} requests/s of {SIZE} candidates, two "
            f"workers, on the last 200 requests ({min(rows):,} rows and more)",
            f"p99 {now:.2f} ms while a worker judges, {now / before:.2f} of {before:.2f} ms "
            f"otherwise; p50 {np.median(during):.2f} and {np.median(between):.2f} ms; "
            f"{took:.1f} s to go live",
            verdict("p99 at most 1.1x", now <= 1.1 * before),
        )
    ]


def _decided(home: Path, bundle: Bundle, url: str) -> list[tuple[str, str, str]]:
    # by version: what both workers made of it
    requests = make_requests(home / "log.parquet", bundle)[SIZE]
    versions = {
        "scores x 1.3": whole(bundle, home / "scaled", "scaled", _scaled),
        "a shuffled vocabulary": whole(bundle, home / "shuffled", "shuffled", _shuffled),
        "double latency": _slower(bundle, home, requests[0]),
        "a good retrain": _retrained(home),
    }
    store, bundles = VersionStore(url, "decided"), BundleStore(home / "bundles")
    publish(bundle.directory, store, bundles)
    for other in versions.values():
        publish(other.directory, store, bundles, activate=False)
    settings = {
        "AFM_MODEL": "decided",
        "AFM_SHADOW_MIN_LATENCY_MS": "0",  # the scores of so small a net take no millisecond
    }
    log, found = home / "decided.log", []
    with two_workers(url, home / "bundles", log, **settings) as port:
        run_counted_load(port, requests, CONNECTIONS, np.arange(5 * RATE) / RATE)
        for name, other in versions.items():
            store.activate(other.version)
            said = _said(log, other.version)
            codes = sorted({one.get("code", one["event"]) for one in said})
            figures = [one.get("reason") or json.dumps(one["judged"]) for one in said]
            what = f"{name}: what two workers say"
            bad = other is not versions["a good retrain"]
            promised = "refused" if bad else "goes live"
            found.append((what, f"{', '.join(codes)}: {figures[0]}", promised))
            assert all(one["judged"] for one in said if one["event"] == "version is live")
            assert all(("code" in one) == bad for one in said), f"{name}: {said}"
            store.rollback()
    store.close()
    return found


def _said(log: Path, version: str) -> list[dict[str, Any]]:
    # the first word of each worker on a version
    deadline = time.monotonic() + DECIDED_SECONDS
    while True:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        said = [
            line
            for line in lines
            if line.get("version") == version
            and line["event"] in ("version is live", "version refused")
            and line.get("again_in_seconds", FIRST_RETRY_SECONDS) == FIRST_RETRY_SECONDS
        ]
        if len(said) >= 2:
            return said[:2]
        assert time.monotonic() < deadline, f"{version} is not decided"
        time.sleep(0.1)


def _scaled(directory: Path) -> None:
    for name in GRAPHS:
        scale_output(directory / name, 1.3)


def _shuffled(directory: Path) -> None:
    # every field's values, each with the row of another one
    for field in Bundle.open(directory).schema.fields:
        path = directory / vocabulary_file(field)
        body = json.loads(path.read_text())
        if values := body.get("values"):
            moved = np.random.default_rng(1).permutation(values).tolist()
            path.write_text(json.dumps(body | {"values": moved}))


def _slower(bundle: Bundle, home: Path, request: bytes) -> Bundle:
    # with as much more to do as makes its runs take twice as long
    asked = PayloadDecoder(SIZE).decode(request.partition(b"\r\n\r\n")[2])
    encoder = bundle.read_encoder()
    context, ads = encoder.encode_context(asked.context), encoder.encode_ads(asked.rows[:])
    assert context is not None
    assert ads is not None

    def seconds(one: Bundle) -> float:
        scorer, took = one.read_scorer(), []
        slate = Slate(context, ads, scorer.ad_partials(ads))
        for _ in range(50):
            began = time.perf_counter()
            scorer.rank(slate)
            took.append(time.perf_counter() - began)
        return min(took)

    for size in SLOW_SIZES:
        slower = whole(bundle, home / f"slow-{size}", f"slow-{size}", _slowed(size))
        if seconds(slower) >= 2 * seconds(bundle):
            break
    return slower


def _slowed(size: int) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        for name in GRAPHS:
            slow_down(directory / name, size=size, times=4)

    return change


def _retrained(home: Path) -> Bundle:
    return fit(home, "--net", "afm", "--seed", "2", out="retrained")


def _swap(store: VersionStore, pair: list[Bundle], done: threading.Event) -> None:
    for bundle in cycle(pair):
        store.activate(bundle.version)
        if done.wait(EVERY_SECONDS):
            return


def _judgements(log: str) -> list[tuple[float, float, dict[str, float]]]:
    # begin and end of each, Unix seconds, and what was seen
    found = []
    for line in log.splitlines():
        said = json.loads(line) if line.startswith("{") else {}
        if said.get("event") == "version is live" and said["judged"]:
            end = datetime.fromisoformat(said["timestamp"]).timestamp()
            found.append((end - said["seconds"], end, said["judged"]))
    return found
