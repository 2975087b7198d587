"""Two workers under a constant load, open loop, while version after version is judged on the last
requests before it goes live: the latencies while a worker judges, beside those of the same load
between the judgements.
"""

import json
import tempfile
import threading
import time
from datetime import datetime
from itertools import cycle
from pathlib import Path

import numpy as np
from load import run_counted_load
from serve import fitted, make_requests
from servers import clean_environment, command, free_port, started
from swaps import CONNECTIONS, RATE, SIZE, fitted_otherwise

from model.bundle import Bundle
from service.bundle_store import BundleStore
from service.embedded_redis import EmbeddedRedis
from service.publish import publish
from service.vocabulary_store import VocabularyStore

SECONDS = 100.0
EVERY_SECONDS = 10.0
LIMITS = {"MEAN": "1e9", "RANK": "-1", "UNKNOWN": "1", "LATENCY": "1e9"}


def measure() -> list[tuple[str, str]]:
    """What was done, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="afm-judged-") as folder:
        home = Path(folder)
        pair = [fitted(home), fitted_otherwise(home)]
        with EmbeddedRedis(home / "redis") as server:
            return _measure(home, pair, server.url)


def _measure(home: Path, pair: list[Bundle], url: str) -> list[tuple[str, str]]:
    requests = make_requests(home / "log.parquet", pair[0])[SIZE]
    store, bundles = VocabularyStore(url, "default"), BundleStore(home / "bundles")
    for bundle in pair:
        publish(bundle.directory, store, bundles)
    environment = clean_environment() | {
        "AFM_REDIS_URL": url,
        "AFM_BUNDLES": str(home / "bundles"),
        **{f"AFM_SHADOW_{name}": value for name, value in LIMITS.items()},
    }
    port, log = free_port(), home / "service.log"
    run = [*command("afm-serve"), "run", "--port", str(port), "--workers", "2"]
    with started(run, environment, log, f"http://127.0.0.1:{port}/readyz"):
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
    during, between = [], []
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
        )
    ]


def _swap(store: VocabularyStore, pair: list[Bundle], done: threading.Event) -> None:
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
