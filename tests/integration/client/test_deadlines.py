"""Calls against a service that sheds and one that stands still, over all three transports: each
ends by its deadline, and no more than a tenth of them is asked again. How late they end is measured
by benchmarks/promises/client_calls.py: a test that times would fail beside other tests.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ctr_afm_client import AsyncClient, Client, DeadlinePassed, Prediction, Unavailable

from commands import Commands
from model.bundle.bundle import Bundle
from scripted_server import FINE, answer, scripted
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from three_ways import three_ways
from tiny import tiny_rows

ROWS = [{key: row[key] for key in row if key != "click"} for row in tiny_rows(500)]
CALLERS, CALLS = 8, 20


@pytest.fixture
def overloaded(
    redis_url: str,
    tmp_path: Path,
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The three addresses of a service that lets nobody wait."""
    monkeypatch.setenv("AFM_MODEL", "ads")
    monkeypatch.setenv("AFM_MAX_WAIT_MS", "0.001")
    publish(tiny_bundle.directory, store, bundles)
    with three_ways(redis_url, tmp_path, tiny_bundle) as (_, found):
        yield found


def calls_of(client: Client, calls: int = CALLS) -> list[Prediction]:
    """What callers in a closed loop are given."""
    found: list[Prediction] = []

    def ask() -> None:
        found.extend(client.predict(ROWS) for _ in range(calls))

    threads = [threading.Thread(target=ask) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == CALLERS * calls
    return found


@pytest.mark.parametrize("way", [0, 1, 2], ids=["http", "unix", "in process"])
def test_a_service_that_sheds_is_asked_within_the_budget_and_every_call_is_answered(
    overloaded: Any, way: int
) -> None:
    with Client(overloaded[way], timeout_ms=20_000, fallback=0.01) as client:
        expected = client.predict(ROWS).scores
        found = calls_of(client)
        calls = CALLERS * CALLS + 1
        assert client.retries <= calls / 10
        assert client.sent == calls + client.retries
    shed = [one for one in found if one.fault is not None]
    assert shed  # else nothing was tried
    assert all(isinstance(one.fault, Unavailable) for one in shed)
    assert all(one.scores == [0.01] * len(ROWS) for one in shed)
    assert all(one.scores == expected for one in found if one.fault is None)


@pytest.mark.parametrize("at_socket", [False, True], ids=["http", "unix"])
def test_a_service_that_stands_still_costs_each_call_its_deadline_and_no_retry(
    commands: Commands, tiny_bundle: Bundle, tmp_path: Path, at_socket: bool
) -> None:
    commands.publish(tiny_bundle.directory)
    host = f"unix:{tmp_path / 'afm.sock'}" if at_socket else None
    with commands.serving(host=host) as served:
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        with Client(host or served.url, timeout_ms=30_000, fallback=0.01) as client:
            expected = client.predict(ROWS).scores
        with Client(host or served.url, timeout_ms=100, fallback=0.01) as client:
            served.process.send_signal(signal.SIGSTOP)
            try:
                found = calls_of(client, 3)
            finally:
                served.process.send_signal(signal.SIGCONT)
            assert {type(one.fault) for one in found} == {DeadlinePassed}
            assert all(one.scores == [0.01] * len(ROWS) for one in found)
            assert (client.sent, client.retries) == (3 * CALLERS, 0)
        with Client(host or served.url, timeout_ms=30_000, fallback=0.01) as client:
            assert client.predict(ROWS).scores == expected


def test_a_deadline_that_scoring_in_process_outlasts(tiny_bundle: Bundle) -> None:
    with Client(tiny_bundle.directory, timeout_ms=30_000, fallback=0.01) as client:
        expected = client.predict(ROWS).scores
        late = client.predict(ROWS * 10, timeout_ms=1)
        assert type(late.fault) is DeadlinePassed
        assert late.is_fallback == [True] * 5000
        assert client.predict(ROWS).scores == expected


def test_a_caller_is_back_by_its_deadline_while_the_clients_thread_is_busy() -> None:
    with scripted(answer(200, FINE)) as server, Client(server.url, timeout_ms=50) as client:
        released = threading.Event()
        client._loop.call_soon_threadsafe(released.wait, 60)
        with pytest.raises(DeadlinePassed):
            client.predict(ROWS[:2])
        with pytest.raises(DeadlinePassed):
            client.explain(ROWS[:2])
        assert client.is_ready() is False
        released.set()
        assert client.predict(ROWS[:2], timeout_ms=30_000).scores == [0.25, 0.75]


def test_a_deadline_counts_from_the_call_and_not_from_when_it_is_awaited() -> None:
    async def ask(url: str) -> int:
        async with AsyncClient(url, timeout_ms=5) as client:
            call = client.predict(ROWS[:2])
            await asyncio.sleep(0.05)
            with pytest.raises(DeadlinePassed):
                await call
            return client.sent

    with scripted(answer(200, FINE)) as server:
        assert asyncio.run(ask(server.url)) == 0
        assert server.asked == []
