"""Every call of the client over HTTP, over a unix socket and in process: equal to the bit."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ctr_afm_client import AsyncClient, Client, Refused

from model.bundle.bundle import Bundle
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from three_ways import three_ways
from tiny import tiny_rows

ROWS = [{key: row[key] for key in row if key != "click"} for row in tiny_rows(2000, seed=6)]
CONTEXT = {"device": "ios", "hour": 21, "interests": ["cars"]}
ADS = [{"ad": f"a{i % 14}", "price": i / 7} for i in range(60)]


@pytest.fixture
def addresses(
    redis_url: str,
    tmp_path: Path,
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """HTTP, a unix socket, and the bundle's directory."""
    monkeypatch.setenv("AFM_MODEL", "ads")  # the name that the bundle has in process
    monkeypatch.setenv("AFM_MAX_WAIT_MS", "60000")  # tests share their cores with other tests
    publish(tiny_bundle.directory, store, bundles)
    with three_ways(redis_url, tmp_path, tiny_bundle) as (app, found):
        # which graph is faster each process measures for itself, and the graphs differ in the last
        # bit
        app.state.follower.status.live.scorer.rank_from = None
        yield found


@pytest.fixture
def clients(addresses: Any) -> Iterator[Any]:
    made = [Client(address, timeout_ms=60_000) for address in addresses]
    transport: Any = made[-1]._client._http._transport
    local = transport.app  # the app that it calls
    endpoint = next(route.endpoint for route in local.routes if route.path == "/predict")
    endpoint._follower.status.live.scorer.rank_from = None
    yield made
    for client in made:
        client.close()


def same(clients: Any, call: Any) -> Any:
    """What all of them give."""
    first, *others = [call(client) for client in clients]
    assert len(others) == 2
    for other in others:
        assert other == first
    return first


def test_predictions_are_equal_to_the_bit(clients: Any) -> None:
    found = same(clients, lambda client: client.predict(ROWS))
    assert len(found.probabilities) == len(set(map(id, found.scores))) == 2000
    assert not any(found.is_fallback)
    assert found.model == "ads"
    of_ads = same(clients, lambda client: client.predict(ADS, CONTEXT))
    assert len(set(of_ads.probabilities)) > 10


def test_explanations_what_if_and_the_model_are_equal_to_the_bit(clients: Any) -> None:
    found = same(clients, lambda client: client.explain(ROWS[:150], top=None))
    assert len(found.explanations) == 150
    two = same(clients, lambda client: client.explain(ADS[:3], CONTEXT, top=2))
    assert [len(one["pairs"]) for one in two.explanations] == [2, 2, 2]
    changes = same(clients, lambda client: client.what_if(ADS[:5], CONTEXT, row=1, field="device"))
    assert changes["values"]
    least = same(clients, lambda client: client.what_if(ADS[:5], CONTEXT, row=2))
    assert least["tried"] > 20
    described = same(clients, lambda client: client.model())
    assert described["version"] == found.version
    assert same(clients, lambda client: client.is_ready()) is True


@pytest.mark.parametrize(
    "rows", [[{"ad": "a1"}, {"price": "high"}], [{"nothing": 1}], [{"ad": "a1"}] * 5001, []]
)
def test_refusals_are_equal(clients: Any, rows: Any) -> None:
    def refused(client: Any) -> Any:
        with pytest.raises(Refused) as caught:
            client.predict(rows)
        error = caught.value
        return str(error), error.status, error.code, error.row, error.field

    assert same(clients, refused)[1] in (413, 422)


def test_the_asynchronous_client_is_the_same(clients: Any, addresses: Any) -> None:
    async def ask(address: Any) -> Any:
        async with AsyncClient(address, timeout_ms=60_000) as client:
            many = await asyncio.gather(*(client.predict(ROWS[:50]) for _ in range(20)))
            return [one.scores for one in many]

    expected = clients[0].predict(ROWS[:50]).scores
    for address in addresses:
        assert asyncio.run(ask(address)) == [expected] * 20
