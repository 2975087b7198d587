"""Redis is not on the way: whatever it does, requests are answered, and when it is back every
worker follows it. Two workers, a real Redis behind a proxy.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import TimeoutError as TimeoutFault

from commands import Commands
from faulty_redis import FAULTS, faulty_redis
from model.bundle.bundle import Bundle
from narrowing import not_none
from service.observe.metrics import Telemetry
from service.store.active_notes import LIVE, NOTE, ActiveNote, read_notes, write_note
from service.store.bundle_store import BundleStore
from service.store.redis_client import redis_client
from service.store.version_store import VersionStore
from service.versions.follower import Follower, Times
from service.versions.publish import publish

ROWS = [{"device": "ios", "hour": 21, "ad": f"a{i}", "price": i / 2} for i in range(6)]
WORKERS = 2
FAULT_SECONDS = 1.2  # longer than a timeout: the workers stand in a poll when Redis returns
RECOVERY_SECONDS = 2.0
# To follow is to load a version, which is most of the time where other processes want the cores: so
# a recovery may take as long as promised, and twice what a swap took just before, beside.
SWAPS_BESIDE = 2
CONNECTIONS = 10  # a second, of a worker


@pytest.fixture(scope="module")
def behind_a_proxy(
    tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Bundle]
) -> Iterator[Any]:
    """Two workers on a Redis behind a proxy, and the two bundles that are published there."""
    home = tmp_path_factory.mktemp("faults")
    bundles = {b.version: b for b in (make_bundle(seed=1), make_bundle(net="fm", seed=2))}
    commands = Commands(home)
    with faulty_redis(home / "redis") as redis:
        publish_all(redis, home, bundles.values())
        env: dict[str, Any] = {"AFM_REDIS_URL": redis.url, "AFM_SHADOW_REQUESTS": "0"}
        with commands.serving(workers=WORKERS, **env) as served:
            until(lambda: live(served, [*bundles][-1]) == WORKERS)
            yield redis, served, bundles


def publish_all(redis: Any, home: Any, bundles: Iterable[Bundle]) -> None:
    store = VersionStore(redis.direct_url, "default")
    for bundle in bundles:
        publish(bundle.directory, store, BundleStore(home / "afm" / "bundles"))
    store.close()


def until(condition: Any, seconds: Any = 20.0) -> Any:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return time.monotonic() - begun


def swap(redis: Any, served: Any, version: Any) -> Any:
    """How long it takes until the version is live on every worker, in seconds."""
    store = VersionStore(redis.direct_url, "default")
    store.activate(version)
    store.close()
    return until(lambda: live(served, version) == WORKERS)


def gauge(served: Any, name: Any, **labels: Any) -> Any:
    text = httpx.get(served.url + "/metrics", timeout=10).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def live(served: Any, version: Any) -> Any:
    """On how many workers it is."""
    return gauge(served, "afm_live_version", version=version)


def expected(bundle: Any) -> Any:
    return bundle.read_scorer().predict(bundle.read_encoder().encode(ROWS)).probabilities.tolist()


@contextmanager
def load(url: Any) -> Iterator[Any]:
    """Asks all the time, over new connections now and then; yields what came back."""
    answers = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with httpx.Client(timeout=10) as client:  # a worker each, mostly not the same
                for _ in range(5):
                    answer = client.post(url + "/predict", json={"instances": ROWS})
                    answers.append((answer.status_code, answer.json()))
                    time.sleep(0.01)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            yield answers
        finally:
            stop.set()
        for each in asking:
            each.result()


@pytest.mark.parametrize("fault", FAULTS)
def test_requests_are_answered_and_every_worker_follows_a_redis_that_is_back(
    behind_a_proxy: Any, fault: Any
) -> None:
    redis, served, bundles = behind_a_proxy
    before = next(version for version in bundles if live(served, version) != WORKERS)
    after = next(version for version in bundles if version != before)
    with load(served.url):
        usual = swap(redis, served, before)
    started = time.monotonic()
    with load(served.url) as answers:
        mend = FAULTS[fault](redis)
        time.sleep(FAULT_SECONDS)
        during = list(answers)
        mend()
        assert swap(redis, served, after) < RECOVERY_SECONDS + SWAPS_BESIDE * usual
    scores = {version: expected(bundle) for version, bundle in bundles.items()}
    assert {(status, body["version"]) for status, body in during} == {(200, before)}
    assert {status for status, _ in answers} == {200}
    assert all(body["probabilities"] == scores[body["version"]] for _, body in answers)
    assert redis.proxy.most_attempts_in_a_second(started) <= CONNECTIONS * WORKERS
    assert served.wait_until("/readyz", lambda answer: answer.json()["redis"] == "ok")


def test_a_reply_that_trickles_is_given_up_and_one_that_is_merely_large_is_not(
    tmp_path: Path,
) -> None:
    with faulty_redis(tmp_path / "redis") as redis:
        client = redis_client(redis.url, 1.5)  # longer than from one byte to the next
        client.set("large", b"x" * 8_000_000)
        redis.proxy.set("trickle")
        begun = time.monotonic()
        with pytest.raises(TimeoutFault):
            client.get("large")
        assert time.monotonic() - begun < 6  # not 8 million seconds, nor the five of a login
        redis.proxy.set("slow")
        hurried = redis_client(redis.url, 0.5)  # to connect takes less, the reply more
        assert len(hurried.get("large")) == 8_000_000
        client.close()
        hurried.close()


def test_a_start_without_redis_serves_the_last_good_version_and_says_so(
    tmp_path: Path, commands: Commands, make_bundle: Callable[..., Bundle]
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    with faulty_redis(tmp_path / "redis") as redis:
        direct = {"AFM_REDIS_URL": redis.direct_url}
        publish_all(redis, tmp_path, (first, second))
        assert commands.run("rollback", **direct).returncode == 0
        redis.proxy.set("black hole")
        with commands.serving(workers=WORKERS, AFM_REDIS_URL=redis.url) as served:
            until(lambda: gauge(served, "afm_unconfirmed_version") == WORKERS)
            ready = httpx.get(served.url + "/readyz")
            assert ready.status_code == 200
            assert not ready.json()["confirmed"]
            assert "cannot be reached" in ready.json()["redis"]
            answer = httpx.post(served.url + "/predict", json={"instances": ROWS})
            assert answer.json()["version"] == first.version
            assert answer.json()["probabilities"] == expected(first)
            redis.proxy.set("pass")
            until(lambda: gauge(served, "afm_unconfirmed_version") == 0)
            served.wait_until("/readyz", lambda answer: answer.json()["confirmed"])
            assert commands.run("activate", second.version, **direct).returncode == 0
            until(lambda: live(served, second.version) == WORKERS)
        assert "started without redis" in served.log.read_text()


def test_a_damaged_last_version_is_refused_at_a_start_without_redis(
    redis_url: str, tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    bundle, bundles = make_bundle(seed=1), BundleStore(tmp_path)
    publish(bundle.directory, VersionStore(redis_url, "ads"), bundles)
    assert bundles.read_notes("ads") == [ActiveNote(bundle.version)]
    weights = next(tmp_path.rglob("weights.bin"))
    weights.write_bytes(b"\0" * weights.stat().st_size)
    follower = Follower(
        VersionStore("redis://127.0.0.1:1", "ads"), bundles, Telemetry(), Times(poll=0.02)
    )
    follower.start()
    follower.wait(30)
    follower.stop()
    assert follower.status.live is None
    assert "sha256" in follower.status.why_not_ready()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_start_without_redis_goes_back_to_the_last_good_version(
    read_only: bool, redis_url: str, tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    bundles = BundleStore(tmp_path)
    publish(first.directory, VersionStore(redis_url, "ads"), bundles)
    if not read_only:
        bundles.write_note("ads", first.version, LIVE)
    publish(second.directory, VersionStore(redis_url, "ads"), bundles)
    weights = tmp_path / "ads" / second.version / "weights.bin"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    follower = Follower(
        VersionStore("redis://127.0.0.1:1", "ads"), bundles, Telemetry(), Times(poll=0.02)
    )
    follower.start()
    follower.wait(30)
    follower.stop()
    assert not_none(follower.status.live).version == first.version
    assert not follower.status.confirmed


@pytest.mark.parametrize("line", ["", "..", "../ads/v1", " v1", "/tmp"])  # noqa: S108  never opened
def test_a_note_that_names_no_directory_beside_it_is_none(line: str, tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text(line)
    assert read_notes(tmp_path) == []


def test_a_folder_that_cannot_be_written_takes_no_note(tmp_path: Path) -> None:
    assert write_note(tmp_path, "v1")
    assert read_notes(tmp_path) == [ActiveNote("v1")]
    assert not write_note(tmp_path / "nowhere", "v1")
