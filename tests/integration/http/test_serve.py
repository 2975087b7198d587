"""`afm-serve` as processes: workers, swaps under load, signals, and what commands say."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from commands import Commands
from model.bundle.bundle import Bundle
from until import until

ROWS = [{"device": "ios", "hour": 21, "ad": f"a{i}", "price": i / 2} for i in range(6)]


def expected(bundle: Any) -> Any:
    scores = bundle.read_scorer().predict(bundle.read_encoder().encode(ROWS))
    return scores.probabilities.tolist()


def predict(client: Any, url: Any) -> Any:
    return client.post(url + "/predict", json={"instances": ROWS}, timeout=10)


def counts(url: Any) -> Any:
    found = {}
    for family in text_string_to_metric_families(httpx.get(url + "/metrics").text):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.items())] = sample.value
    return found


def ends(pid: Any, seconds: Any = 15) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_version_published_while_it_serves_goes_live_and_sigterm_ends_it_in_order(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    with commands.serving() as served:
        assert predict(httpx, served.url).status_code == 503
        version = commands.publish(tiny_bundle.directory)
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        answer = predict(httpx, served.url).json()
        assert (answer["version"], answer["probabilities"]) == (version, expected(tiny_bundle))
        assert served.stop() == 0
    log = served.log.read_text()
    assert '"event": "version is live"' in log
    assert "Traceback" not in log


def test_no_value_of_a_request_is_logged(commands: Commands, tiny_bundle: Bundle) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_LOG_LEVEL="debug") as served:
        for ad in ("private-4711", {"private-4711": 1}):
            body = {"instances": [{"ad": ad, "private-4711": "private-4711"}]}
            httpx.post(served.url + "/predict?private-4711=1", json=body)
            httpx.post(served.url + "/private-4711", json=body)
        assert "private-4711" not in httpx.get(served.url + "/metrics").text
    assert "private-4711" not in served.log.read_text()


def test_the_embedded_redis_goes_with_the_last_command(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving() as served:
        path = (commands.home / "afm" / "redis" / "socket").read_text()
        with redis.Redis(unix_socket_path=path) as client:
            pid = client.info("server")["process_id"]
        served.process.kill()
        served.process.wait()
        assert ends(pid)


def test_keep_alive_requests_do_not_stall_with_two_workers(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    commands.publish(tiny_bundle.directory)
    body = b'{"instances": [{"ad": "a1"}]}'
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    with commands.serving(workers=2) as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        seconds = []
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            for _ in range(50):
                started = time.perf_counter()
                connection.sendall(request)
                answer = connection.recv(65536)
                while not answer.endswith(b"}"):
                    answer += connection.recv(65536)
                seconds.append(time.perf_counter() - started)
                assert answer.startswith(b"HTTP/1.1 200")
    # with the stall every one but the first takes over 40 ms; a busy machine delays some
    assert sorted(seconds)[5] < 0.04


def test_the_metrics_of_two_workers_are_summed_up_and_outlive_a_worker(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    version = commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2) as served:
        on_both = ("afm_live_version", ("model", "default"), ("version", version))
        served.wait_until("/metrics", lambda _: counts(served.url).get(on_both) == 2)

        def ask(_: Any) -> Any:
            with httpx.Client() as client:  # a connection of its own, so that both workers get some
                return predict(client, served.url).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(40))) == {200}
        found = counts(served.url)
        requests = ("afm_requests_total", ("route", "/predict"), ("status", "200"))
        assert found[requests] == 40
        assert found["afm_rows_total", ("route", "/predict")] == 40 * len(ROWS)
        assert found["afm_redis_up",] == 1
        os.kill(served.workers()[0], signal.SIGKILL)
        served.wait_until("/metrics", lambda _: counts(served.url).get(on_both) == 1)
        served.wait_until("/metrics", lambda _: counts(served.url).get(on_both) == 2)
        assert counts(served.url)[requests] == 40


def test_workers_end_with_a_parent_that_was_killed(commands: Commands, tiny_bundle: Bundle) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2) as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        workers = served.workers()
        assert len(workers) == 2
        served.process.kill()
        served.process.wait()
        assert all(ends(pid) for pid in workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_swaps_under_load_lose_no_request_and_each_answer_is_its_version_s(
    workers: int, commands: Commands, make_bundle: Callable[..., Bundle]
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    scores = {bundle.version: expected(bundle) for bundle in (first, second)}
    assert scores[first.version] != scores[second.version]
    commands.publish(first.directory)
    answers: list[tuple[float, int, str, list[float]]] = []
    stop = threading.Event()

    def load(url: Any) -> None:
        # new connections now and then, so that every worker is asked
        while not stop.is_set():
            with httpx.Client() as client:
                for _ in range(10):
                    answer = predict(client, url)
                    body = answer.json()
                    answers.append(
                        (
                            time.monotonic(),
                            answer.status_code,
                            body.get("version"),
                            body.get("probabilities"),
                        )
                    )

    with commands.serving(workers=workers) as served, ThreadPoolExecutor(4) as pool:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        loads = [pool.submit(load, served.url) for _ in range(4)]
        time.sleep(0.5)
        commands.publish(second.directory, "--force")  # unjudged
        until(lambda: {answer[2] for answer in answers[-20:]} == {second.version})
        done = commands.run("rollback")
        assert done.stdout.startswith(first.version)
        rolled_back = time.monotonic()
        until(lambda: answers[-1][0] > rolled_back + 2.5)
        stop.set()
        for each in loads:
            each.result()  # raises where a connection failed
    assert {status for _, status, _, _ in answers} == {200}
    assert all(found == scores[version] for _, _, version, found in answers)
    named = [version for _, _, version, _ in answers]
    assert named[0] == first.version
    assert second.version in named
    assert {answer[2] for answer in answers if answer[0] > rolled_back + 2} == {first.version}


def test_a_redis_that_comes_later_is_found(
    commands: Commands, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"redis://:secret@127.0.0.1:{port}/0"
    with commands.serving(AFM_REDIS_URL=url) as served:
        ready = httpx.get(served.url + "/readyz")
        assert ready.status_code == 503
        assert f"redis://127.0.0.1:{port}/0" in ready.json()["redis"]
        assert httpx.get(served.url + "/healthz").status_code == 200
        from service.store.embedded_redis import EmbeddedRedis

        with EmbeddedRedis(tmp_path / "other") as server:
            with redis.Redis.from_url(server.url) as client:
                client.config_set("requirepass", "secret")
            with redis.Redis.from_url(server.url, password="secret") as client:  # noqa: S106  only of this Redis
                client.config_set("port", port)
            done = commands.run("publish", str(tiny_bundle.directory), AFM_REDIS_URL=url)
            assert done.returncode == 0, done.stderr
            served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        lost = served.wait_until("/readyz", lambda a: "cannot be reached" in a.json()["redis"])
        assert lost.status_code == 200
        assert predict(httpx, served.url).json()["probabilities"] == expected(tiny_bundle)
    assert "secret" not in served.log.read_text()
