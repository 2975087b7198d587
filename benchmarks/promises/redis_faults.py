"""Each fault of a real Redis behind a proxy, twice, for about three seconds under load on two
workers; then it is mended, and another version made active at once. Counted are answers, the
connections that both workers make together, and the time from the mending until the last worker has
the version live.
"""

import json
import random
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from load import Connection
from results import say
from serve import fitted, make_requests
from servers import clean_environment, command, free_port, started

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # the faults are those of the tests
from faulty_redis import FAULTS, FaultyRedis, faulty_redis
from model.bundle import Bundle
from service.bundle_store import BundleStore
from service.publish import publish
from service.vocabulary_store import VocabularyStore

ROUNDS, WORKERS = 2, 2
HELD_SECONDS = (2.5, 3.5)  # so that it returns at any moment of a poll
CONNECTIONS = 8  # of callers; each new one is any worker's
PAUSE = 0.02  # seconds of a caller between two requests
SAME = 1e-6  # two workers may have chosen two graphs for the same rows
MODEL = "ads"


def measure() -> list[tuple[str, str]]:
    """Break, ask, mend, count."""
    with tempfile.TemporaryDirectory(prefix="afm-faults-") as folder:
        home = Path(folder)
        bundle = fitted(home)
        requests = make_requests(home / "log.parquet", bundle)[50]
        with faulty_redis(home / "redis") as redis:
            versions = [_publish(home, bundle, name, redis) for name in ("one", "two")]
            environment = clean_environment() | {
                "AFM_REDIS_URL": redis.url,
                "AFM_MODEL": MODEL,
                "AFM_BUNDLES": str(home / "bundles"),
                "AFM_MAX_WAIT_MS": "10000",  # overload is another promise
                "AFM_SHADOW_REQUESTS": "0",  # and so are the seconds that judging takes
            }
            port = free_port()
            run = [*command("afm-serve"), "run", "--port", str(port), "--workers", str(WORKERS)]
            with started(run, environment, home / "log", f"http://127.0.0.1:{port}/readyz"):
                _wait(port, versions[-1])
                return [_suffer(name, redis, port, requests, versions) for name in FAULTS]


def _suffer(
    name: str, redis: FaultyRedis, port: int, requests: list[bytes], versions: list[str]
) -> tuple[str, str]:
    recoveries, answers, most = list[float](), list[float](), 0
    connecting = Connection(port)
    right = [_probabilities(connecting.ask(request)) for request in requests]
    connecting.close()
    for _ in range(ROUNDS):
        store = VocabularyStore(redis.direct_url, MODEL)
        after = next(version for version in versions if version != store.active())
        store.close()
        begun = time.monotonic()
        with _asked(port, requests, right) as found:
            mend = FAULTS[name](redis)
            time.sleep(random.uniform(*HELD_SECONDS))
            mend()
            store = VocabularyStore(redis.direct_url, MODEL)
            store.activate(after)
            store.close()
            mended = time.monotonic()
            _wait(port, after)
            recoveries.append(time.monotonic() - mended)
        answers += found
        most = max(most, redis.proxy.most_attempts_in_a_second(begun))
    answered = f"{len(answers):,} of {len(answers):,} answered 200, the same to {max(answers):.0e}"
    figure = (
        f"{answered}; recovered in {max(recoveries):.2f} s at most; "
        f"{most} connections a second of {WORKERS} workers"
    )
    say(f"{name}: {figure}")
    return name, figure


def _publish(home: Path, bundle: Bundle, version: str, redis: FaultyRedis) -> str:
    copy = shutil.copytree(bundle.directory, home / "made" / version)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
    store = VocabularyStore(redis.direct_url, MODEL)
    publish(copy, store, BundleStore(home / "bundles"))
    store.close()
    return version


def _wait(port: int, version: str) -> None:
    # until it is live on every worker
    line = f'afm_live_version{{model="{MODEL}",version="{version}"}} {WORKERS}.0'
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            if line in answer.read().decode():
                return
        assert time.monotonic() < deadline, f"{version} is not live on {WORKERS} workers"
        time.sleep(0.01)


@contextmanager
def _asked(port: int, requests: list[bytes], right: list[list[float]]) -> Iterator[list[float]]:
    # raises where an answer is not 200, or not the same; yields by how much each one differs
    answers: list[float] = []
    faults: list[BaseException] = []
    stopping = threading.Event()

    def ask() -> None:
        connection = Connection(port)
        try:
            while not stopping.is_set():
                number = random.randrange(len(requests))
                found = _probabilities(connection.ask(requests[number]))
                differs = max(abs(a - b) for a, b in zip(found, right[number], strict=True))
                assert differs <= SAME, "other probabilities"
                answers.append(differs)
                time.sleep(PAUSE)
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert not faults, faults


def _probabilities(answer: Any) -> list[float]:
    found: list[float] = answer["probabilities"]
    return found
