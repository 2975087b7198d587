"""The metrics, and the scrape that shows them, summed over workers.

The class `Telemetry` describes each metric once; `METRICS` has them by name, and docs/metrics.md is
held against it. Every label that is
known beforehand is there from the first scrape on, at 0, since Prometheus' `increase` does not see
the first count of a series that was not there before.

Several workers need `PROMETHEUS_MULTIPROC_DIR` set before prometheus_client is imported: each then
writes its numbers into files there, and a scrape of any worker sums them up.
"""

import copy
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service.observe.metric_spec import Spec
from service.observe.processes import Processes
from service.observe.timeline import Observer, noting

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
STAGES = ("decode", "lookup", "wait", "encode", "score", "write")
INFER = "/v2/models/{model}/infer"  # one label, whatever a caller names
SCORING = ("/predict", "/explain", "/explain/previous", "/whatif", INFER)
STATUS_PATHS = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/model",
    "/docs",
    "/openapi.json",
    "/",
    "/model.html",
    *("/v2", "/v2/health/live", "/v2/health/ready"),
    *("/v2/models/{model}", "/v2/models/{model}/ready"),
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


class LiveFacts(NamedTuple):
    """The facts of a version that goes live, for the metrics; `created` is an ISO 8601 time."""

    model: str
    version: str
    created: str
    fields: Iterable[str]


class Telemetry:
    """The metrics of one app, each an attribute."""

    requests = Spec(
        Counter,
        "afm_requests",
        "Answers",
        ("route", "status"),
        [
            *product((*SCORING, *STATUS_PATHS, "unknown"), STATUSES),
            *product(SCORING, SCORING_STATUSES),
            ("/readyz", "503"),
            *((path, "503") for path in ("/model", "/v2/health/ready")),
            *((f"/v2/models/{{model}}{end}", "503") for end in ("", "/ready")),
        ],
    )
    seconds = Spec(
        Histogram,
        "afm_request_duration_seconds",
        "From the head of a request to the last byte of its answer",
        ("route",),
        [(path,) for path in (*SCORING, *STATUS_PATHS, "unknown")],
    )
    rows = Spec(Counter, "afm_rows", "Rows scored", ("route",), [(path,) for path in SCORING])
    stage_seconds = Spec(
        Histogram,
        "afm_stage_duration_seconds",
        "Time of one request in a stage",
        ("stage",),
        [(stage,) for stage in STAGES],
    )
    shed = Spec(Counter, "afm_shed", "Requests refused in overload")
    rows_in_flight = Spec(Gauge, "afm_rows_in_flight", "Accepted rows that are not answered yet")
    row_errors = Spec(
        Counter,
        "afm_row_errors",
        "Rows answered with null",
        ("code",),
        [(code,) for code in ROW_ERRORS],
    )
    unknown = Spec(
        Counter, "afm_unknown_values", "Values that were not seen in training", ("field",)
    )
    degraded = Spec(
        Counter, "afm_degraded", "Answers that took values for unknown, as Redis was late"
    )
    ignored = Spec(Counter, "afm_ignored_keys", "Keys that no field names")
    ad_cache_events = Spec(
        Counter,
        "afm_ad_cache",
        "Ads in the cache, ads not in it, ads removed for others",
        ("event",),
        [("hit",), ("miss",), ("eviction",)],
    )
    cut = Spec(
        Counter,
        "afm_callers_cut",
        "Connections that the service ended early",
        ("reason",),
        [(cut,) for cut in CUTS],
    )
    live_version = Spec(
        Gauge, "afm_live_version", "Workers on which the version is live", ("model", "version")
    )
    created = Spec(
        Gauge,
        "afm_live_version_created_timestamp_seconds",
        "When the live version was fitted, seconds since 1970; 0 for none",
        mode="livemin",
    )
    live_since = Spec(
        Gauge,
        "afm_live_version_start_timestamp_seconds",
        "When it went live in the last worker, seconds since 1970",
        mode="livemax",
    )
    refused = Spec(
        Counter,
        "afm_refused_activations",
        "Attempts to go live that were refused",
        ("code",),
        [(code,) for code in REFUSALS],
    )
    redis_up = Spec(
        Gauge, "afm_redis_up", "1 while every worker reached Redis at its last poll", mode="livemin"
    )
    unconfirmed = Spec(
        Gauge,
        "afm_unconfirmed_version",
        "Workers whose live version is not confirmed as the active one",
    )
    keys_current = Spec(
        Gauge,
        "afm_api_keys_current",
        "1 while every worker has the API keys that the file holds",
        mode="livemin",
    )
    logged = Spec(
        Counter,
        "afm_prediction_log",
        "Sampled requests that were logged, or dropped as the disk was slow",
        ("event",),
        [("written",), ("dropped",)],
    )
    build = Spec(
        Gauge,
        "afm_build_info",
        "1, labelled by versions",
        ("version", "python", "onnxruntime"),
        mode="livemax",
    )

    def __init__(self) -> None:
        # they would be a second series for each one
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no types
        self._registry = CollectorRegistry()
        for spec in METRICS.values():
            vars(self)[spec.attribute] = spec.made(self._registry)
        self.stages: Mapping[str, Observer] = {
            name: self.stage_seconds.labels(name) for name in STAGES
        }
        events = ("hit", "miss", "eviction")
        self.ad_cache = tuple(self.ad_cache_events.labels(event) for event in events)
        self.keys_current.set(1)
        self.build.labels(*_versions()).set(1)
        self._registry.register(Processes(lambda: [os.getpid()]))

    def noting(self) -> "Telemetry":
        """The same, which notes the time of each stage in the timeline at hand as well."""
        twin = copy.copy(self)
        twin.stages = noting(self.stages)
        return twin

    def went_live(self, live: LiveFacts, before: str | None) -> None:
        """Note that a version took the place of `before`; its fields are counted from 0."""
        if before is not None:
            self.live_version.labels(live.model, before).set(0)
        self.live_version.labels(live.model, live.version).set(1)
        self.created.set(datetime.fromisoformat(live.created).timestamp())
        self.live_since.set(time.time())
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


METRICS = {spec.name: spec for spec in vars(Telemetry).values() if isinstance(spec, Spec)}


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
