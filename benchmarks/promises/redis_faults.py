"""Each fault of a real Redis behind a proxy, twice, for about three seconds under load on two
workers; then it is mended, and another version made active at once. Counted are answers, the
connections that both workers make together, and the time from the mending until the last worker has
the version live.

Then a version with a field whose values stay in Redis, asked for values that no worker has met;
lookups cancelled at random moments; and a start without Redis.
"""

import json
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from processes.product import command
from processes.servers import clean_environment, free_port, metrics, started, wait_live
from results import say, verdict
from traffic.load import Answer, Connection, latencies, request_bytes, run_counted_load
from traffic.same_answers import CONNECTIONS, SAME, probabilities, same_answers
from traffic.wide_requests import fitted, make_requests

sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests/support")
)  # the faults are those of the tests
from cancelled_lookups import cancelled_lookups
from faulty_redis import FAULTS, FaultyRedis, faulty_redis
from model.bundle.bundle import Bundle
from model.vocabulary import Vocabulary
from service.scoring.remote import redis_lookups
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

ROUNDS, WORKERS = 2, 2
HELD_SECONDS = (2.5, 3.5)  # so that it returns at any moment of a poll
MODEL, LIVE = "ads", "ads-live"
SIZE, RECOVERY_SECONDS, CONNECTS = 50, 2.0, 10  # SIZE: candidates
LIVE_FAULTS = ("kill -9", "black hole")
LIVE_RATE, LIVE_SECONDS, CANCELS = 100.0, 4.0, 10_000  # requests a second; lookups
LIVE_TIMEOUT_MS = Settings.model_fields["remote_timeout_ms"].default


def measure() -> list[tuple[str, str, str]]:
    """Break, ask, mend, count."""
    with tempfile.TemporaryDirectory(prefix="afm-faults-") as folder:
        home = Path(folder)
        bundle = fitted(home)
        requests = make_requests(home / "log.parquet", bundle)[SIZE]
        with faulty_redis(home / "redis") as redis:
            versions = [_publish(home, bundle, name, redis, MODEL) for name in ("one", "two")]
            with _served(home, redis, MODEL) as port:
                wait_live(port, versions[-1], WORKERS, MODEL)
                lines = [_suffer(name, redis, port, requests, versions) for name in FAULTS]
            lines += _lived(home, bundle, redis, requests)
            lines.append(_cancelled(redis))
            lines.append(_started_without(home, redis, requests[0]))
            return lines


@contextmanager
def _served(home: Path, redis: FaultyRedis, model: str) -> Iterator[int]:
    environment = clean_environment() | {
        "AFM_REDIS_URL": redis.url,
        "AFM_MODEL": model,
        "AFM_BUNDLES": str(home / "bundles"),
        "AFM_MAX_WAIT_MS": "10000",  # overload is another promise
        "AFM_SHADOW_REQUESTS": "0",  # and so are the seconds that judging takes
    }
    port = free_port()
    run = [*command("afm-serve"), "run", "--port", str(port), "--workers", str(WORKERS)]
    with started(run, environment, home / "log", f"http://127.0.0.1:{port}/readyz"):
        yield port


def _suffer(
    name: str, redis: FaultyRedis, port: int, requests: list[bytes], versions: list[str]
) -> tuple[str, str, str]:
    recoveries, answers, most = list[float](), list[float](), 0
    connecting = Connection(port)
    right = [probabilities(connecting.ask(request)) for request in requests]
    connecting.close()
    for _ in range(ROUNDS):
        store = VersionStore(redis.direct_url, MODEL)
        after = next(version for version in versions if version != store.active())
        store.close()
        begun = time.monotonic()
        with same_answers(port, requests, right) as found:
            mend = FAULTS[name](redis)
            time.sleep(random.uniform(*HELD_SECONDS))
            mend()
            store = VersionStore(redis.direct_url, MODEL)
            store.activate(after)
            store.close()
            mended = time.monotonic()
            wait_live(port, after, WORKERS, MODEL)
            recoveries.append(time.monotonic() - mended)
        answers += found
        most = max(most, redis.proxy.most_attempts_in_a_second(begun))
    answered = f"{len(answers):,} of {len(answers):,} answered 200, the same to {max(answers):.0e}"
    figure = (
        f"{answered}; recovered in {max(recoveries):.2f} s at most; "
        f"{most} connections a second of {WORKERS} workers"
    )
    say(f"{name}: {figure}")
    holds = max(recoveries) <= RECOVERY_SECONDS and most <= CONNECTS * WORKERS
    promised = f"all 200, the same; within {RECOVERY_SECONDS:g} s; {CONNECTS} a worker and second"
    return name, figure, verdict(promised, holds)


def _lived(
    home: Path, bundle: Bundle, redis: FaultyRedis, requests: list[bytes]
) -> list[tuple[str, str, str]]:
    lists = _context_values(bundle)
    field = max(lists, key=lambda name: len(lists[name]))
    above = sorted(map(len, lists.values()))[-2]
    version = _publish(home, bundle, "live", redis, LIVE, remote_fields_above=above)
    golden = [row for case in bundle.read_golden() for row in case.request["instances"]]
    met = {str(row.get(field)) for row in golden}
    new = [value for value in lists[field] if value not in met]
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in requests]
    unknown = np.array([_without(bundle, body, field) for body in bodies])

    def asking(values: list[str]) -> list[bytes]:
        return [
            request_bytes("/predict", {**body, "context": {**body["context"], field: value}})
            for body, value in zip(bodies, values, strict=True)
        ]

    lines = []
    with _served(home, redis, LIVE) as port:
        wait_live(port, version, WORKERS, LIVE)
        due = np.arange(int(LIVE_RATE * LIVE_SECONDS)) / LIVE_RATE
        some = [new[i * len(bodies) : (i + 1) * len(bodies)] for i in range(len(LIVE_FAULTS) + 2)]
        run_counted_load(port, asking(some[0]), CONNECTIONS, due)  # now the ads are known
        calm = run_counted_load(port, asking(some[1]), CONNECTIONS, due, keep=True)
        slow = sum(_degraded(answer) for answer in calm)  # where others want the cores as well
        before = latencies(calm)
        for name, values in zip(LIVE_FAULTS, some[2:], strict=True):
            mend = FAULTS[name](redis)
            asked = asking(values)
            found = _asked_degraded(port, asked, due, unknown)
            mend()
            after = run_counted_load(port, asked, CONNECTIONS, due, keep=True)
            late = [one.due + one.latency for one in after if _degraded(one)]
            now = latencies(found)
            figure = (
                f"{len(found)} of {len(found)} answered 200, degraded and as for an unknown value; "
                f"p50 {1000 * now[0]:.1f}, p99 {1000 * now[1]:.1f}, longest {1000 * now[2]:.1f} ms "
                f"({1000 * before[0]:.1f}, {1000 * before[1]:.1f}, {1000 * before[2]:.1f} with "
                f"Redis, {slow} of {len(calm)} degraded); last degraded answer "
                f"{max(late, default=0.0):.2f} s after its return"
            )
            say(f"live, {name}: {figure}")
            holds = (
                1000 * (now[1] - before[1]) <= LIVE_TIMEOUT_MS
                and max(late, default=0.0) <= RECOVERY_SECONDS
            )
            promised = (
                f"all 200, degraded; p99 at most {LIVE_TIMEOUT_MS:g} ms more; within "
                f"{RECOVERY_SECONDS:g} s"
            )
            size = f"{len(lists[field]):,}"
            what = f"{name}, values of a field of {size} looked up as requests name them"
            lines.append((what, figure, verdict(promised, holds)))
    return lines


def _context_values(bundle: Bundle) -> dict[str, tuple[str, ...]]:
    fields = bundle.schema.fields
    return {
        name: vocabulary.values
        for name, vocabulary in bundle.read_vocabularies().items()
        if isinstance(vocabulary, Vocabulary)
        and fields[name].kind == "categorical"
        and fields[name].role == "context"
    }


def _asked_degraded(
    port: int, requests: list[bytes], due: NDArray[np.float64], unknown: NDArray[np.float64]
) -> list[Answer]:
    # answers that are all degraded, as for an unknown value [requests, candidates], and counted
    counted = _counted(port)
    found = run_counted_load(port, requests, CONNECTIONS, due, keep=True)
    assert all(_degraded(answer) for answer in found), "not degraded"
    for answer in found:
        differs = np.abs(unknown - json.loads(answer.body)["probabilities"]).max(1).min()
        assert differs <= SAME, "other probabilities than those of an unknown value"
    assert _counted(port) - counted == len(found), "the metric says otherwise"
    return found


def _without(bundle: Bundle, body: dict[str, Any], field: str) -> list[float]:
    context = {**body["context"], field: "never seen"}
    rows = [{**context, **ad} for ad in body["candidates"]]
    scores: Any = bundle.read_scorer().predict(bundle.read_encoder().encode(rows))
    return list(scores.probabilities)


def _degraded(answer: Answer) -> bool:
    assert answer.status == 200, answer
    return bool(json.loads(answer.body)["degraded"])


def _counted(port: int) -> float:
    (line,) = [one for one in metrics(port).splitlines() if one.startswith("afm_degraded_total ")]
    return float(line.split()[1])


def _cancelled(redis: FaultyRedis) -> tuple[str, str, str]:
    redis_lookups.PAUSE_SECONDS = 0.001
    asking = redis_lookups.Lookups(redis.url, 5.0, 0.02)
    found = cancelled_lookups(redis, asking, CANCELS)
    asking.close()
    return (
        "lookups cancelled at random moments, with replies that come late",
        f"{found['cancelled']:,} cancelled, {found['late']:,} late, {found['right']:,} answered, "
        "none with another's reply",
        "10,000 cancels, no crossed reply",
    )


def _started_without(home: Path, redis: FaultyRedis, request: bytes) -> tuple[str, str, str]:
    store = VersionStore(redis.direct_url, MODEL)
    active = store.active()
    store.close()
    seconds = []
    for mode in ("pass", "black hole"):
        redis.proxy.set(mode)
        begun = time.monotonic()
        with _served(home, redis, MODEL) as port:
            connection = Connection(port)
            answer = connection.ask(request)
            seconds.append(time.monotonic() - begun)
            connection.close()
            assert answer["version"] == active, answer
            url = f"http://127.0.0.1:{port}/readyz"
            with urllib.request.urlopen(url, timeout=5) as ready:
                confirmed = json.loads(ready.read())["confirmed"]
            assert confirmed == (mode == "pass"), confirmed
    redis.proxy.set("pass")
    return (
        f"a start of {WORKERS} workers while Redis is a black hole",
        f"first answer after {seconds[1]:.1f} s ({seconds[0]:.1f} s with Redis), by the version "
        'that was active last; /readyz says `"confirmed": false`',
        "serves the last good version, and says so",
    )


def _publish(
    home: Path,
    bundle: Bundle,
    version: str,
    redis: FaultyRedis,
    model: str,
    remote_fields_above: int | None = None,
) -> str:
    copy = shutil.copytree(bundle.directory, home / "made" / version)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
    store = VersionStore(redis.direct_url, model)
    publish(copy, store, BundleStore(home / "bundles"), remote_fields_above=remote_fields_above)
    store.close()
    return version
