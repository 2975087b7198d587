"""What is counted, and the scrape that shows it, true across workers.

    afm_requests_total{route,status}     answers
    afm_request_seconds{route}           from the request's headers to the answer's last byte
    afm_rows_total{route}                rows scored
    afm_stage_seconds{stage}             one request's time to decode, wait, encode, score, write
    afm_shed_total                       requests refused because too much was in flight
    afm_rows_in_flight                   rows taken on and not answered, of all workers
    afm_row_errors_total{code}           rows answered with null, of requests that are not strict
    afm_unknown_values_total{field}      values that training never saw
    afm_degraded_total                   answers that took values for unknown, as Redis was late
    afm_ignored_keys_total               keys of requests that no field names
    afm_ad_cache_total{event}            ads found encoded (hit), not (miss), let go of (eviction)
    afm_callers_cut_total{reason}        connections ended before their time
    afm_live_version{model,version}      workers on which the version is live
    afm_refused_activations_total{version,code}   attempts to go live that were refused, and why
    afm_redis_up                         1 while every worker reached Redis at its last poll
    afm_unconfirmed_version              workers on the last active version, as yet without Redis
    afm_api_keys_current                 1 while every worker has the API keys that the file holds

Several workers need `PROMETHEUS_MULTIPROC_DIR` set before prometheus_client is imported: each then
writes its numbers into files there, and a scrape of any worker sums them up.
"""

import os
import re
from functools import cache
from pathlib import Path
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
STAGES = ("decode", "wait", "encode", "score", "write")
SECONDS = (
    2e-5,
    5e-5,
    1e-4,
    2e-4,
    5e-4,
    1e-3,
    2e-3,
    5e-3,
    1e-2,
    2e-2,
    5e-2,
    0.1,
    0.2,
    0.5,
    1.0,
    5.0,
)


class Telemetry:
    """The metrics of one app."""

    def __init__(self) -> None:
        # they would be a second series for each one
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no types
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("afm_requests", "Answers", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "afm_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=registry
        )
        self.rows = Counter("afm_rows", "Rows scored", ["route"], registry=registry)
        stages = Histogram(
            "afm_stage_seconds",
            "Time of one request in a stage",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.stages = {name: stages.labels(name) for name in STAGES}
        self.shed = Counter("afm_shed", "Requests refused in overload", registry=registry)
        self.rows_in_flight = Gauge(
            "afm_rows_in_flight",
            "Rows taken on and not answered",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.row_errors = Counter(
            "afm_row_errors", "Rows answered with null", ["code"], registry=registry
        )
        self.unknown = Counter(
            "afm_unknown_values", "Values training never saw", ["field"], registry=registry
        )
        self.degraded = Counter(
            "afm_degraded",
            "Answers that took values for unknown, as Redis was late",
            registry=registry,
        )
        self.ignored = Counter("afm_ignored_keys", "Keys no field names", registry=registry)
        ads = Counter("afm_ad_cache", "Ads met before or not", ["event"], registry=registry)
        self.ad_cache = tuple(ads.labels(event) for event in ("hit", "miss", "eviction"))
        self.cut = Counter(
            "afm_callers_cut", "Connections ended before their time", ["reason"], registry=registry
        )
        self._live = Gauge(
            "afm_live_version",
            "Workers on which the version is live",
            ["model", "version"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "afm_refused_activations",
            "Attempts to go live that were refused",
            ["version", "code"],
            registry=registry,
        )
        self.redis_up = Gauge(
            "afm_redis_up",
            "Whether every worker reached Redis at its last poll",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.unconfirmed = Gauge(
            "afm_unconfirmed_version",
            "Workers on the last active version, as yet without Redis",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.keys_current = Gauge(
            "afm_api_keys_current",
            "Whether every worker has the API keys that the file holds",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.keys_current.set(1)

    def went_live(self, model: str, version: str, before: str | None) -> None:
        """Note that `version` took the place of `before`."""
        if before is not None:
            self._live.labels(model, before).set(0)
        self._live.labels(model, version).set(1)

    def scrape(self) -> bytes:
        """All metrics in Prometheus' text format, those of the other workers included."""
        folder = os.environ.get(MULTIPROCESS)
        if not folder:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call] # it has no types
        return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    # counters of a dead worker still count; what it had live does not
    for path in folder.glob("gauge_live*.db"):
        found = re.search(r"_(\d+)\.db$", path.name)
        if found and not _lives(int(found[1])):
            mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call] # same


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class RequestMetrics:
    """ASGI middleware: counts and times the answers of each known route."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, routes: frozenset[str]) -> None:
        self._app = app
        self._telemetry = telemetry
        self._routes = routes
        self._labelled = cache(self._labels)  # to look labels up costs more than to count

    def _labels(self, route: str, status: str) -> tuple[Counter, Histogram]:
        telemetry = self._telemetry
        return telemetry.requests.labels(route, status), telemetry.seconds.labels(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = "none"  # the caller went away before there was an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # a path of the caller's making must not become a label
            route = scope["path"] if scope["path"] in self._routes else "unknown"
            answers, seconds = self._labelled(route, status)
            answers.inc()
            seconds.observe(perf_counter() - started)
