"""Recent requests to judge a version on, and the versions that they are to refuse."""

import json
from typing import Any

import structlog

from altered import scale_output, slow_down
from model.bundle.files import vocabulary_file
from service.limits import ShadowLimits
from service.scoring.payloads import PayloadDecoder
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from service.versions.shadow import Shadow
from tiny import unlabelled_rows
from until import until

OPEN = ShadowLimits(200, mean=1e9, rank=-1, unknown=1, latency=1e9, latency_ms=0)
LIVE, REFUSED = "version is live", "version refused"
UNJUDGED = "version goes live unjudged by recent requests"
GRAPHS = ("predict.onnx", "rank.onnx")


class WatchedShadow(Shadow):
    """Says whether a judgement is under way."""

    judging = False

    def judge(self, *given: Any, **how: Any) -> Any:
        self.judging = True
        try:
            return super().judge(*given, **how)
        finally:
            self.judging = False


def bodies(count: Any = 60) -> Any:
    """Requests of either form, as they come in."""
    rows = unlabelled_rows(20 * count, seed=9)
    made: list[dict[str, Any]] = []
    for number in range(count):
        some = rows[20 * number : 20 * number + 20]
        if number % 3 == 0:
            made.append({"instances": some})
            continue
        context = {name: some[0][name] for name in ("device", "hour", "interests")}
        ads = [{name: row[name] for name in ("ad", "price")} for row in some]
        made.append({"context": context, "candidates": ads})
    return [json.dumps(body).encode() for body in made]


def noted(kept: Any, some: Any) -> None:
    decoder = PayloadDecoder(1000)
    for body in some:
        kept.record(decoder.decode(body), len(body))


def values_of(directory: Any, field: Any, change: Any) -> None:
    path = directory / vocabulary_file(field)
    body = json.loads(path.read_text())
    path.write_text(json.dumps(body | {"values": change(body["values"])}))


def scaled(factor: Any) -> Any:
    def change(directory: Any) -> None:
        for name in GRAPHS:
            scale_output(directory / name, factor)

    return change


def shuffled(directory: Any) -> None:
    for field in ("device", "ad"):
        values_of(directory, field, lambda values: values[1:] + values[:1])


def renamed(directory: Any) -> None:
    values_of(directory, "ad", lambda values: [f"new-{value}" for value in values])


def slower(directory: Any) -> None:
    for name in GRAPHS:
        slow_down(directory / name, size=256, times=300)


CHANGES = {
    "scores x 1.3": scaled(1.3),
    "scores x 0.75": scaled(0.75),
    "shuffled vocabulary": shuffled,
    "renamed ads": renamed,
    "slow graphs": slower,
}


def decided(store: VersionStore, bundles: BundleStore, bundle: Any, **how: Any) -> Any:
    """Publishes a version; what was logged until it was live or refused."""
    with structlog.testing.capture_logs() as logged:
        publish(bundle.directory, store, bundles, **how)
        until(lambda: any(entry["event"] in (LIVE, REFUSED) for entry in logged))
    return logged


def only(logged: Any, event: Any) -> Any:
    (entry,) = [entry for entry in logged if entry["event"] == event]
    return entry
