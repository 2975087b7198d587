"""Large fields: their values are looked up as requests name them; late ones are unknown."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app_server import client_of
from bundle_parts import values_of
from cancelled_lookups import cancelled_lookups
from faulty_redis import faulty_redis
from model.bundle.bundle import Bundle
from service.errors import StoreUnavailable
from service.scoring.remote import redis_lookups
from service.scoring.remote.redis_lookups import Lookups
from service.scoring.remote.remote_fields import KnownValues
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

CANCELS = 10_000
ADS = [{"ad": f"a{i}", "price": i / 2} for i in range(6)]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Any]:
    with faulty_redis(tmp_path / "redis") as made:
        yield made


@pytest.fixture
def asking(redis: Any) -> Iterator[Any]:
    made = Lookups(redis.url, 5.0, 0.02)
    yield made
    made.close()


def expected(bundle: Any, context: Any) -> Any:
    rows = [{**context, **ad} for ad in ADS]
    return bundle.read_scorer().predict(bundle.read_encoder().encode(rows)).probabilities.tolist()


def new_hour(bundle: Bundle) -> str:
    """One that no golden row has, so that no worker has looked it up."""
    golden = [row for case in bundle.read_golden() for row in case.request["instances"]]
    met = {str(row.get("hour")) for row in golden}
    return next(hour for hour in values_of(bundle, "hour") if hour not in met)


def forms(hour: Any) -> Iterator[Any]:
    context = {"device": "ios", "hour": hour}
    yield {"context": context, "candidates": ADS}
    yield {"instances": [{**context, **ad} for ad in ADS]}
    yield {"context": {"device": "ios"}, "candidates": [{**ad, "hour": hour} for ad in ADS]}


def degraded(client: Any) -> Any:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name == "afm_degraded":
            return family.samples[0].value
    return None


@pytest.mark.parametrize("form", range(3))
def test_late_values_count_as_unknown_and_the_answer_says_so(
    form: Any, redis: Any, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    store = VersionStore(redis.direct_url, "ads")
    bundles = BundleStore(tmp_path / "bundles")
    published = publish(tiny_bundle.directory, store, bundles, remote_fields_above=3)
    assert published.record.live == ("hour",)
    assert "hour" not in store.vocabularies(tiny_bundle.version)
    hour = new_hour(tiny_bundle)
    request = [*forms(hour)][form]
    known = expected(tiny_bundle, {"device": "ios", "hour": hour})
    unknown = expected(tiny_bundle, {"device": "ios", "hour": "never seen"})
    assert known != unknown
    # enough for a busy machine, and little beside the time that Redis has
    with client_of(redis.url, tmp_path, remote_timeout_ms=500, redis_timeout=2.0) as client:
        redis.proxy.set("black hole")
        for timeout_ms in (200, 200, None):
            answer = client.post("/predict", json={**request, "timeout_ms": timeout_ms}).json()
            assert answer["degraded"]
            assert answer["probabilities"] == pytest.approx(unknown, abs=1e-6)
        assert degraded(client) == 3
        redis.proxy.set("pass")
        deadline = time.monotonic() + 20
        while (answer := client.post("/predict", json=request).json())["degraded"]:
            assert time.monotonic() < deadline
        assert answer["probabilities"] == pytest.approx(known, abs=1e-6)
        redis.kill()
        answer = client.post("/predict", json=request).json()  # it was looked up once
        assert not answer["degraded"]
        assert answer["probabilities"] == pytest.approx(known, abs=1e-6)
    store.close()


def test_while_redis_does_not_answer_requests_do_not_wait_for_it(redis: Any, asking: Any) -> None:
    asking = Lookups(redis.url, 1.0, 30.0)

    async def waits() -> Any:
        took = []
        for _ in range(5):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await asking.find("ads", {"k": ["v"]}, None)
            took.append(time.monotonic() - begun)
        return took

    redis.proxy.set("black hole")
    took = asyncio.run(waits())
    assert took[0] >= 1.0
    assert sum(took[2:]) < 1.0  # not three times as long as the first
    redis.proxy.reset()
    asking.close()


def test_no_reply_reaches_another_request_though_thousands_are_cancelled_and_replies_are_late(
    redis: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_lookups, "PAUSE_SECONDS", 0.001)
    outcomes = cancelled_lookups(redis, asking, CANCELS)
    assert outcomes["cancelled"] >= CANCELS
    assert outcomes["right"] > 1000
    assert outcomes["late"] > 0


def test_a_value_that_is_no_unicode_is_not_asked_for(
    redis: Any, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    store = VersionStore(redis.direct_url, "ads")
    publish(tiny_bundle.directory, store, BundleStore(tmp_path / "bundles"), remote_fields_above=3)
    rows = [{"hour": "\ud800", "ad": "a1"}, {"hour": "21", "ad": "a1"}]
    body = json.dumps({"instances": rows, "strict": False})
    with client_of(redis.url, tmp_path, remote_timeout_ms=5000) as client:
        answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
        assert answer.json()["errors"][0]["row"] == 0
        assert not answer.json()["degraded"]
        assert not client.post("/predict", json=next(forms("20"))).json()["degraded"]
    store.close()


def test_values_used_last_are_known_and_those_of_long_ago_are_not() -> None:
    known = KnownValues(100)
    known.learn("kept", 1)
    known.learn("absent", None)
    for i in range(60):
        known.learn(f"v{i}", i)
        assert "kept" in known
    for i in range(60, 160):
        known.learn(f"v{i}", i)
        assert "kept" in known
        assert known.place("kept") == 1
    assert "absent" not in known
    assert "v0" not in known
    assert known.place("v159") == 159
