"""Metrics without a server: labels that callers cannot make up, and workers that are gone."""

import asyncio
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from service.http.request_metrics import RequestMetrics
from service.observe import metrics
from service.observe.metrics import METRICS, LiveFacts, Telemetry

WORKER = """
import sys
from service.observe.metrics import LiveFacts, Telemetry
counted = Telemetry()
counted.requests.labels("/predict", "200").inc(5)
counted.went_live(LiveFacts("ads", "v1", "2026-11-28T10:00:00+00:00", []), None)
counted.redis_up.set(float(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    print(counted.scrape().decode(), "end", sep="\\n", flush=True)
"""


def answered(counted: Any, path: Any, status: Any = 200) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        if status is None:
            raise RuntimeError
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        pass

    watched = RequestMetrics(app, counted, frozenset({"/predict"}))

    async def receive() -> Any:
        pass

    asyncio.run(watched({"type": "http", "path": path}, receive, send))


def test_a_known_path_is_counted_by_its_status() -> None:
    counted = Telemetry()
    answered(counted, "/predict")
    answered(counted, "/predict", 422)
    answered(counted, "/predict", 422)
    text = counted.scrape().decode()
    assert 'afm_requests_total{route="/predict",status="200"} 1.0' in text
    assert 'afm_requests_total{route="/predict",status="422"} 2.0' in text
    assert 'afm_request_duration_seconds_count{route="/predict"} 3.0' in text


def test_a_path_of_the_callers_making_is_no_label() -> None:
    counted = Telemetry()
    for i in range(50):
        answered(counted, f"/made/up/{i}", 404)
    text = counted.scrape().decode()
    assert "/made/up" not in text
    assert 'afm_requests_total{route="unknown",status="404"} 50.0' in text


def test_a_request_without_an_answer_is_counted_too() -> None:
    counted = Telemetry()
    with pytest.raises(RuntimeError):
        answered(counted, "/predict", None)
    assert 'afm_requests_total{route="/predict",status="none"} 1.0' in counted.scrape().decode()


def test_two_apps_in_one_process_do_not_share_numbers() -> None:
    first, second = Telemetry(), Telemetry()
    answered(first, "/predict")
    assert 'afm_requests_total{route="/predict",status="200"} 0.0' in second.scrape().decode()


def facts(version: Any) -> Any:
    return LiveFacts("ads", version, "2026-11-28T10:00:00+00:00", ["ad", "device"])


def samples(counted: Any) -> Any:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(counted.scrape().decode())
        for sample in family.samples
    }


def test_metrics_are_complete_from_the_first_scrape() -> None:
    found = samples(Telemetry())
    names = {name for name, _ in found}
    for name, spec in METRICS.items():
        kinds: dict[Any, str] = {Counter: f"{name}_total", Gauge: name}
        sample = kinds.get(spec.kind, f"{name}_count")
        if name not in ("afm_live_version", "afm_unknown_values"):  # no version is live yet
            assert sample in names
        for labels in spec.known:
            at = tuple(sorted(zip(spec.labels, labels, strict=True)))
            assert found[sample, at] == 0, (sample, at)


def test_metrics_count_the_fields_of_a_live_version_from_zero() -> None:
    counted = Telemetry()
    counted.went_live(facts("v1"), None)
    found = samples(counted)
    assert found["afm_unknown_values_total", (("field", "ad"),)] == 0
    assert found["afm_unknown_values_total", (("field", "device"),)] == 0
    assert found["afm_live_version_created_timestamp_seconds", ()] == 1795860000
    assert abs(found["afm_live_version_start_timestamp_seconds", ()] - time.time()) < 60


def test_metrics_name_the_build_and_the_process() -> None:
    found = samples(Telemetry())
    ((_, labels),) = [at for at in found if at[0] == "afm_build_info"]
    assert dict(labels)["python"] == platform.python_version()
    own = (("pid", str(os.getpid())),)
    assert found["process_resident_memory_bytes", own] > 10_000_000
    assert found["process_open_fds", own] > 2
    assert found["process_cpu_seconds_total", own] > 0
    assert 0 < time.time() - found["process_start_time_seconds", own] < 24 * 3600


def test_the_version_before_is_no_longer_live() -> None:
    counted = Telemetry()
    counted.went_live(facts("v1"), None)
    counted.went_live(facts("v2"), "v1")
    text = counted.scrape().decode()
    assert 'afm_live_version{model="ads",version="v1"} 0.0' in text
    assert 'afm_live_version{model="ads",version="v2"} 1.0' in text


def test_workers_are_summed_up_and_a_dead_one_has_nothing_live(tmp_path: Path) -> None:
    env = {**os.environ, metrics.MULTIPROCESS: str(tmp_path)}

    def worker(up: Any) -> Any:
        command = [sys.executable, "-c", WORKER, up]
        return subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def scrape(process: Any) -> Any:
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
