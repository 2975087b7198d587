"""The client's promises against real servers: deadlines, retries within a budget, fallbacks."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ctr_afm_client import (
    Client,
    ConnectionFailed,
    DeadlinePassed,
    Refused,
    ServerFailed,
    Unavailable,
)

from app_server import client_of
from model.bundle.bundle import Bundle
from scripted_server import FINE, answer, scripted, trickle
from service.http.access.api_keys import make_key
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

ROOT = Path(__file__).parents[3]
ROWS = [{"ad": "a1"}, {"ad": "a2"}]
GIVEN: dict[str, Any] = {
    "timeout_ms": 30_000,
    "retry_share": 1.0,
}  # so long that no test waits for it
BUSY = answer(429, retry_after_ms=5)


def test_connections_are_used_again() -> None:
    with scripted(answer(200, FINE)) as server, Client(server.url, **GIVEN) as client:
        for _ in range(20):
            assert client.predict(ROWS).scores == [0.25, 0.75]
        assert (len(server.asked), server.connections, client.sent) == (20, 1, 20)


def test_what_is_left_of_the_deadline_is_sent_with_each_request() -> None:
    fine = answer(200, FINE)
    with (
        scripted(fine, fine, BUSY, BUSY, fine) as server,
        Client(server.url, **GIVEN) as client,
    ):
        for _ in range(3):  # the first two earn what the third one spends
            client.predict(ROWS)
        left = [float(headers["x-timeout-ms"]) for headers in server.asked][2:]
        assert len(left) == 3
        assert 30_000 >= left[0] > left[1] > left[2] > 0


def test_what_is_shed_is_asked_again_after_the_time_that_the_server_names() -> None:
    with scripted(BUSY, answer(200, FINE)) as server, Client(server.url, **GIVEN) as client:
        assert client.predict(ROWS).scores == [0.25, 0.75]
        assert (len(server.asked), client.retries) == (2, 1)


def test_a_wait_beyond_the_deadline_is_not_waited() -> None:
    late = answer(503, retry_after=3600)
    with scripted(late) as server, Client(server.url, **GIVEN) as client:
        with pytest.raises(Unavailable) as caught:
            client.predict(ROWS)
        assert (caught.value.wait, caught.value.status, len(server.asked)) == (3600, 503, 1)


def test_retries_are_a_tenth_of_the_calls_at_most() -> None:
    with scripted(BUSY) as server, Client(server.url, timeout_ms=30_000) as client:
        for calls in range(1, 101):
            with pytest.raises(Unavailable):
                client.predict(ROWS)
            assert client.retries <= calls / 10
        assert client.retries == 10
        assert client.sent == len(server.asked) == 110


def test_a_broken_connection_is_asked_again_and_a_refusal_is_not() -> None:
    with scripted(b"", answer(200, FINE)) as server, Client(server.url, **GIVEN) as client:
        assert client.predict(ROWS).scores == [0.25, 0.75]
        assert client.retries == 1
    wrong = answer(422, {"code": "wrong_type", "detail": "no", "row": 1, "field": "price"})
    with scripted(wrong) as server, Client(server.url, **GIVEN) as client:
        with pytest.raises(Refused) as caught:
            client.predict(ROWS)
        error = caught.value
        assert (error.code, error.row, error.field) == ("wrong_type", 1, "price")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer(500, {"code": "internal_error", "detail": "x"}), ServerFailed),
        (answer(404, "not a problem"), ServerFailed),
        (answer(504, {"code": "deadline_passed", "detail": "x"}), DeadlinePassed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{,}", ServerFailed),
        (trickle, DeadlinePassed),
        (lambda handler: handler.rfile.read(), DeadlinePassed),
    ],
    ids=["500", "404", "504", "no json", "a byte at a time", "nothing"],
)
def test_a_fault_has_a_kind_and_a_fallback_is_marked_as_one(given: Any, kind: Any) -> None:
    with scripted(given) as server:
        with Client(server.url, timeout_ms=150) as client, pytest.raises(kind):
            client.predict(ROWS)
        with Client(server.url, timeout_ms=150, fallback=0.01) as client:
            found = client.predict(ROWS)
        assert (found.scores, found.is_fallback) == ([0.01, 0.01], [True, True])
        assert (type(found.fault), found.version) == (kind, None)


def test_nobody_there_is_a_fault_of_the_connection() -> None:
    with scripted(b"") as server:
        url = server.url
    with Client(url, **GIVEN) as client:
        assert client.is_ready() is False
    with Client(url, timeout_ms=1000) as client, pytest.raises(ConnectionFailed, match=url):
        client.predict(ROWS)


def test_one_row_that_cannot_be_scored_gets_the_fallback_and_the_others_their_scores(
    redis_url: str, tmp_path: Path, tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    key = make_key(tmp_path / "keys", "shop", ["predict"])
    rows = [{"ad": "a1"}, {"ad": "a2", "price": "high"}, {"ad": "a3"}]
    with client_of(redis_url, tmp_path, api_keys=tmp_path / "keys") as served:
        url = str(served.base_url)
        prior: dict[str, Any] = {"fallback": lambda row: 0.5 if row["device"] == "ios" else 0.1}
        with Client(url, **GIVEN, **prior, api_key=key) as client:
            found = client.predict(rows, {"device": "ios"})
            fine = client.predict([rows[0], rows[2]], {"device": "ios"})
        assert found.is_fallback == [False, True, False]
        assert found.scores == [fine.scores[0], 0.5, fine.scores[1]]
        assert [one["code"] for one in found.errors] == ["wrong_type"]
        with Client(url, **GIVEN) as client, pytest.raises(Refused, match="API key"):
            client.predict(rows)


def test_a_closed_client_says_so_and_a_second_close_does_nothing() -> None:
    with scripted(answer(200, FINE)) as server:
        client = Client(server.url)
        client.close()
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.predict(ROWS)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no address"):
        Client(tmp_path / "nobody")


def test_a_bundle_without_the_service_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    script = (
        "import sys\n"
        "sys.modules['service'] = None\n"
        "from ctr_afm_client import Client\n"
        f"Client({str(tmp_path / 'bundle')!r})\n"
    )
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT / "client")
    assert done.returncode == 1
    assert "pip install 'ctr-afm[serve]'" in done.stderr.splitlines()[-1]


def test_the_client_loads_nothing_of_the_service_and_needs_httpx2_alone() -> None:
    script = "import sys, ctr_afm_client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "client",
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"service", "model", "training", "numpy", "pydantic", "httpx"}
    assert "httpx2" in loaded


def test_a_call_on_an_event_loop_of_ones_own_works_too() -> None:
    from ctr_afm_client import AsyncClient

    async def ask(url: Any) -> Any:
        async with AsyncClient(url, **GIVEN) as client:
            return (await client.predict(ROWS)).scores

    with scripted(answer(200, FINE)) as server:
        assert asyncio.run(ask(server.url)) == [0.25, 0.75]
