"""Metrics without a server: labels that callers cannot make up, and workers that are gone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.observe import metrics
from service.observe.metrics import RequestMetrics, Telemetry

WORKER = """
import sys
from service.observe.metrics import Telemetry
counted = Telemetry()
counted.requests.labels("/predict", "200").inc(5)
counted.went_live("ads", "v1", None)
counted.redis_up.set(float(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    print(counted.scrape().decode(), "end", sep="\\n", flush=True)
"""


def answered(counted, path, status=200):
    async def app(_, __, send):
        if status is None:
            raise RuntimeError
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        pass

    watched = RequestMetrics(app, counted, frozenset({"/predict"}))
    asyncio.run(watched({"type": "http", "path": path}, None, send))


def test_a_known_path_is_counted_by_its_status():
    counted = Telemetry()
    answered(counted, "/predict")
    answered(counted, "/predict", 422)
    answered(counted, "/predict", 422)
    text = counted.scrape().decode()
    assert 'afm_requests_total{route="/predict",status="200"} 1.0' in text
    assert 'afm_requests_total{route="/predict",status="422"} 2.0' in text
    assert 'afm_request_seconds_count{route="/predict"} 3.0' in text


def test_a_path_of_the_callers_making_is_no_label():
    counted = Telemetry()
    for i in range(50):
        answered(counted, f"/made/up/{i}", 404)
    text = counted.scrape().decode()
    assert "/made/up" not in text
    assert 'afm_requests_total{route="unknown",status="404"} 50.0' in text


def test_a_request_without_an_answer_is_counted_too():
    counted = Telemetry()
    with pytest.raises(RuntimeError):
        answered(counted, "/predict", None)
    assert 'afm_requests_total{route="/predict",status="none"} 1.0' in counted.scrape().decode()


def test_two_apps_in_one_process_do_not_share_numbers():
    first, second = Telemetry(), Telemetry()
    answered(first, "/predict")
    assert 'route="/predict",status' not in second.scrape().decode()


def test_the_version_before_is_no_longer_live():
    counted = Telemetry()
    counted.went_live("ads", "v1", None)
    counted.went_live("ads", "v2", "v1")
    text = counted.scrape().decode()
    assert 'afm_live_version{model="ads",version="v1"} 0.0' in text
    assert 'afm_live_version{model="ads",version="v2"} 1.0' in text


def test_workers_are_summed_up_and_a_dead_one_has_nothing_live(tmp_path: Path) -> None:
    env = {**os.environ, metrics.MULTIPROCESS: str(tmp_path)}

    def worker(up):
        command = [sys.executable, "-c", WORKER, up]
        return subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def scrape(process):
        print("scrape", file=process.stdin, flush=True)
        return "".join(iter(process.stdout.readline, "end\n"))

    with worker("1") as first, worker("0") as second:
        assert first.stdout.readline() == second.stdout.readline() == "ready\n"
        both = scrape(first)
        second.kill()
        second.wait()
        one = scrape(first)
    requests = 'afm_requests_total{route="/predict",status="200"} 10.0'
    assert requests in both
    assert requests in one
    assert 'afm_live_version{model="ads",version="v1"} 2.0' in both
    assert 'afm_live_version{model="ads",version="v1"} 1.0' in one
    assert "afm_redis_up 0.0" in both
    assert "afm_redis_up 1.0" in one
