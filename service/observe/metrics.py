"""The metrics, and the scrape that shows them, summed over workers.

`METRICS` is the one list of the metrics: docs/metrics.md is held against it. Every label that is
known beforehand is there from the first scrape on, at 0, since Prometheus' `increase` does not see
the first count of a series that was not there before.

Several workers need `PROMETHEUS_MULTIPROC_DIR` set before prometheus_client is imported: each then
writes its numbers into files there, and a scrape of any worker sums them up.
"""

import os
import platform
import re
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service.observe.processes import Processes

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
STAGES = ("decode", "wait", "encode", "score", "write")
SCORING = ("/predict", "/explain", "/explain/previous", "/whatif")
STATUS_PATHS = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/model",
    "/docs",
    "/openapi.json",
    "/",
    "/model.html",
)
# of every path, and of those that score; "none": the caller left before its answer
STATUSES = ("200", "401", "403", "404", "405", "500", "none")
SCORING_STATUSES = ("400", "408", "413", "415", "422", "429", "431", "503", "504")
ROW_ERRORS = (
    *("no_known_field", "wrong_type", "not_finite", "not_unicode", "too_many_values"),
    *("not_a_list_of_objects", "too_many_keys", "text_too_long", "list_too_long"),
    *("nested_too_deep", "too_much_at_once"),
)
REFUSALS = (
    *("missing", "damaged", "extra_file", "link", "outside", "format", "manifest", "schema"),
    *("fields", "dimensions", "weights", "graph", "vocabulary", "golden", "bundle", "unforeseen"),
    *("shadow_mean", "shadow_rank", "shadow_unknown", "shadow_latency", "shadow_input"),
)
CUTS = ("slow_request", "slow_reader", "head", "not_http", "too_many")
SECONDS = (
    *(2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2),
    *(0.1, 0.2, 0.5, 1.0, 5.0),
)


class Spec(NamedTuple):
    """One metric: its `kind`, `help` and `labels`; `known`: the labels that are there from the
    first scrape on; `mode`: how a gauge is put together of several workers.
    """

    kind: type[Counter] | type[Gauge] | type[Histogram]
    help: str
    labels: Sequence[str] = ()
    known: Iterable[Sequence[str]] = ()
    mode: Any = "livesum"


METRICS = {
    "afm_requests": Spec(
        Counter,
        "Answers",
        ("route", "status"),
        [
            *product((*SCORING, *STATUS_PATHS, "unknown"), STATUSES),
            *product(SCORING, SCORING_STATUSES),
            ("/readyz", "503"),
            ("/model", "503"),
        ],
    ),
    "afm_request_duration_seconds": Spec(
        Histogram,
        "From the head of a request to the last byte of its answer",
        ("route",),
        [(path,) for path in (*SCORING, *STATUS_PATHS, "unknown")],
    ),
    "afm_rows": Spec(Counter, "Rows scored", ("route",), [(path,) for path in SCORING]),
    "afm_stage_duration_seconds": Spec(
        Histogram, "Time of one request in a stage", ("stage",), [(stage,) for stage in STAGES]
    ),
    "afm_shed": Spec(Counter, "Requests refused in overload"),
    "afm_rows_in_flight": Spec(Gauge, "Accepted rows that are not answered yet"),
    "afm_row_errors": Spec(
        Counter, "Rows answered with null", ("code",), [(code,) for code in ROW_ERRORS]
    ),
    "afm_unknown_values": Spec(Counter, "Values that were not seen in training", ("field",)),
    "afm_degraded": Spec(Counter, "Answers that took values for unknown, as Redis was late"),
    "afm_ignored_keys": Spec(Counter, "Keys that no field names"),
    "afm_ad_cache": Spec(
        Counter,
        "Ads in the cache, ads not in it, ads removed for others",
        ("event",),
        [("hit",), ("miss",), ("eviction",)],
    ),
    "afm_callers_cut": Spec(
        Counter, "Connections that the service ended early", ("reason",), [(cut,) for cut in CUTS]
    ),
    "afm_live_version": Spec(Gauge, "Workers on which the version is live", ("model", "version")),
    "afm_live_version_created_timestamp_seconds": Spec(
        Gauge, "When the live version was fitted, seconds since 1970; 0 for none", mode="livemin"
    ),
    "afm_live_version_start_timestamp_seconds": Spec(
        Gauge, "When it went live in the last worker, seconds since 1970", mode="livemax"
    ),
    "afm_refused_activations": Spec(
        Counter,
        "Attempts to go live that were refused",
        ("code",),
        [(code,) for code in REFUSALS],
    ),
    "afm_redis_up": Spec(
        Gauge, "1 while every worker reached Redis at its last poll", mode="livemin"
    ),
    "afm_unconfirmed_version": Spec(
        Gauge, "Workers whose live version is not confirmed as the active one"
    ),
    "afm_api_keys_current": Spec(
        Gauge, "1 while every worker has the API keys that the file holds", mode="livemin"
    ),
    "afm_build_info": Spec(
        Gauge, "1, labelled by versions", ("version", "python", "onnxruntime"), mode="livemax"
    ),
}


class LiveFacts(NamedTuple):
    """The facts of a version that goes live, for the metrics; `created` is an ISO 8601 time."""

    model: str
    version: str
    created: str
    fields: Iterable[str]


class Telemetry:
    """The metrics of one app, each an attribute."""

    def __init__(self) -> None:
        # they would be a second series for each one
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no types
        self._registry = CollectorRegistry()
        made = {name: _made(name, spec, self._registry) for name, spec in METRICS.items()}
        self.requests: Counter = made["afm_requests"]
        self.seconds: Histogram = made["afm_request_duration_seconds"]
        self.rows: Counter = made["afm_rows"]
        stages: Histogram = made["afm_stage_duration_seconds"]
        self.stages = {name: stages.labels(name) for name in STAGES}
        self.shed: Counter = made["afm_shed"]
        self.rows_in_flight: Gauge = made["afm_rows_in_flight"]
        self.row_errors: Counter = made["afm_row_errors"]
        self.unknown: Counter = made["afm_unknown_values"]
        self.degraded: Counter = made["afm_degraded"]
        self.ignored: Counter = made["afm_ignored_keys"]
        ads: Counter = made["afm_ad_cache"]
        self.ad_cache = tuple(ads.labels(event) for event in ("hit", "miss", "eviction"))
        self.cut: Counter = made["afm_callers_cut"]
        self._live: Gauge = made["afm_live_version"]
        self._created: Gauge = made["afm_live_version_created_timestamp_seconds"]
        self._since: Gauge = made["afm_live_version_start_timestamp_seconds"]
        self.refused: Counter = made["afm_refused_activations"]
        self.redis_up: Gauge = made["afm_redis_up"]
        self.unconfirmed: Gauge = made["afm_unconfirmed_version"]
        self.keys_current: Gauge = made["afm_api_keys_current"]
        self.keys_current.set(1)
        made["afm_build_info"].labels(*_versions()).set(1)
        self._registry.register(Processes(lambda: [os.getpid()]))

    def went_live(self, live: LiveFacts, before: str | None) -> None:
        """Note that a version took the place of `before`; its fields are counted from 0."""
        if before is not None:
            self._live.labels(live.model, before).set(0)
        self._live.labels(live.model, live.version).set(1)
        self._created.set(datetime.fromisoformat(live.created).timestamp())
        self._since.set(time.time())
        for field in live.fields:
            self.unknown.labels(field)

    def scrape(self) -> bytes:
        """All metrics in Prometheus' text format, those of the other workers included."""
        folder = os.environ.get(MULTIPROCESS)
        if not folder:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call] # it has no types
        registry.register(Processes(lambda: _writers(Path(folder))))
        return generate_latest(registry)


def _made(name: str, spec: Spec, registry: CollectorRegistry) -> Any:
    further: dict[str, Any] = {}
    if spec.kind is Histogram:
        further["buckets"] = SECONDS
    if spec.kind is Gauge:
        further["multiprocess_mode"] = spec.mode
    made = spec.kind(name, spec.help, spec.labels, registry=registry, **further)
    for labels in spec.known:
        made.labels(*labels)
    return made


def _versions() -> tuple[str, str, str]:
    return _version("ctr-afm"), platform.python_version(), _version("onnxruntime")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0"


def _writers(folder: Path) -> set[int]:
    # the processes whose gauges are there
    found = (re.search(r"_(\d+)\.db$", path.name) for path in folder.glob("gauge_live*.db"))
    return {int(one[1]) for one in found if one}


def _forget_the_dead(folder: Path) -> None:
    # counters of a dead worker still count; what it had live does not
    for pid in _writers(folder):
        if not _lives(pid):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call] # same


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
