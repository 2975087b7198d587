"""What a worker lets in: beyond the limit 429 at once, counted, and framed beyond doubt."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.errors import Overloaded
from service.http.wire.unparsed import whole_post
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission

BODY = json.dumps({"instances": [{"device": "ios", "ad": f"a{n % 12}"} for n in range(50)]})
LARGE = json.dumps({"instances": [{"device": "ios", "ad": f"a{n % 12}"} for n in range(5000)]})
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def request(body: Any = BODY, more: Any = b"", head: Any = HEAD) -> Any:
    return head + more + b"content-length: %d\r\n\r\n" % len(body) + body.encode()


def admission(**limits: Any) -> Any:
    return Admission(Telemetry(), **limits)


def test_rows_in_flight_are_bounded_and_an_idle_worker_takes_any_number() -> None:
    limited = admission(most_rows=100)
    route_load = limited.route_load("/predict", 100)
    with limited.inside(route_load, 150, 1000):
        with pytest.raises(Overloaded), limited.inside(route_load, 1, 10):
            pass
        assert limited.judge_unread("/predict", 10)
    with limited.inside(route_load, 60, 600), limited.inside(route_load, 40, 400):
        assert limited.judge(route_load, 1)
    assert not limited.judge(route_load, 1000)


def test_a_row_to_explain_weighs_more() -> None:
    limited = admission(most_rows=100)
    explain = limited.route_load("/explain", 10, weight=5)
    with limited.inside(explain, 10, 100):
        assert not limited.judge(explain, 10)
        assert limited.judge(explain, 11)


def test_the_wait_is_that_of_as_many_slices_of_each_request_in_flight_as_its_own() -> None:
    limited = admission(most_wait=0.0035)
    route_load = limited.route_load("/predict", 100)
    route_load.pace.observe(0.001, 100)
    with limited.inside(route_load, 5000, 1), limited.inside(route_load, 50, 1):
        assert limited.wait() == pytest.approx(0.0015)
        assert limited.wait(2) == pytest.approx(0.0025)
        assert limited.wait(100) == pytest.approx(0.0505)
        assert not limited.judge(route_load, 300)
        assert limited.judge(route_load, 301)
        with limited.inside(route_load, 200, 1), limited.inside(route_load, 100, 1):
            assert not limited.judge(route_load, 100)
            assert limited.judge(route_load, 101)
            with limited.inside(route_load, 10, 1):
                assert limited.judge(route_load, 1)
    assert limited.wait(100) == 0


def test_request_that_takes_long_may_wait_as_long() -> None:
    limited = admission(most_wait=0.0035)
    route_load = limited.route_load("/predict", 100)
    route_load.pace.observe(0.001, 100)
    with limited.inside(route_load, 1500, 1), limited.inside(route_load, 1000, 1):
        assert limited.judge(route_load, 2400)
        assert not limited.judge(route_load, 2600)


def test_explanations_wait_for_their_first_turn_alone() -> None:
    limited = admission(most_wait=0.0045)
    explain = limited.route_load("/explain", 10, low_priority=True)
    explain.pace.observe(0.004, 10)
    with limited.inside(explain, 50, 1):
        assert not limited.judge(explain, 1000)


def test_what_people_wait_for_hardly_adds_to_the_wait_of_others() -> None:
    limited = admission(most_wait=0.0115)
    predict = limited.route_load("/predict", 100)
    explain = limited.route_load("/explain", 10, low_priority=True)
    predict.pace.observe(0.001, 100)
    explain.pace.observe(0.004, 10)
    with ExitStack() as inside:
        for _ in range(3):
            assert not limited.judge(explain, 1)
            inside.enter_context(limited.inside(explain, 50, 1))
        assert limited.judge(explain, 1)
        assert limited.wait(low_priority=True) == pytest.approx(0.012)
        assert limited.wait() == pytest.approx(0.004)  # one has its turn now
        for _ in range(4):
            inside.enter_context(limited.inside(predict, 100, 1))
        assert limited.wait() == pytest.approx(0.012)  # and another after four of the other route
        assert limited.wait(low_priority=True) == pytest.approx(0.016)
    assert limited.wait() == limited.wait(low_priority=True) == 0


def test_requests_that_wait_unparsed_count_until_their_tasks_do() -> None:
    async def round_of_the_loop() -> Any:
        limited = admission(most_wait=0.0105)
        route_load = limited.route_load("/predict", 100)
        route_load.pace.observe(0.001, 100)
        route_load.observe(100, 1000)
        expected = []
        found = []
        for _ in range(30):
            found.append(limited.judge_unread("/predict", 1000) is not None)
            if not found[-1]:
                expected.append(limited.expect("/predict", 1000))
        for one in expected:
            limited.come(one)
            limited.come(one)
        return found, limited.wait()

    found, later = asyncio.run(round_of_the_loop())
    assert found == [False] * 11 + [True] * 19
    assert later == 0


@pytest.fixture
def flooded(served: Callable[..., httpx.Client]) -> Iterator[Any]:
    """A worker whose every wait is too long while a large request is worked on."""
    client = served(max_wait_ms=0.001)
    large = threading.Event()
    ended = threading.Event()

    def keep_busy() -> None:
        while not ended.is_set():
            answer = client.post(
                "/predict", content=LARGE, headers={"content-type": "application/json"}
            )
            assert answer.status_code in (200, 429)  # the small ones are worked on as well
            if answer.is_success:
                large.set()

    thread = threading.Thread(target=keep_busy)
    thread.start()
    assert large.wait(30)
    yield client
    ended.set()
    thread.join()


def ask(port: Any, data: Any, parts: Any = 1) -> Any:
    """One connection's answers to requests in a row, until one was refused."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        seen = []
        for _ in range(2000):
            size = -(-len(data) // parts)
            for start in range(0, len(data), size):
                connection.sendall(data[start : start + size])
                if parts > 1:
                    time.sleep(0.01)
            got = b""
            while b"\r\n\r\n" not in got:
                part = connection.recv(65536)
                assert part
                got += part
            head, _, body = got.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            assert len(body) == length
            seen.append((int(head[9:12]), head, body))
            if len({status for status, _, _ in seen}) == 2:
                break
        return seen


@pytest.mark.parametrize("parts", [1, 3])
def test_request_that_would_wait_too_long_gets_429_and_its_connection_stays(
    flooded: Any, parts: int
) -> None:
    port = flooded.base_url.port
    seen = ask(port, request(more=b"X-Request-Id: r-1\r\n"), parts)
    # whole requests are refused unparsed, others by the app: nobody can tell
    assert {status for status, _, _ in seen} == {200, 429}
    assert all(b"\r\nx-request-id: r-1\r\n" in head for _, head, _ in seen)
    head, body = next((head, body) for status, head, body in seen if status == 429)
    assert re.search(rb"\r\nretry-after-ms: [1-9][0-9]*\r\n", head)
    assert b"\r\nretry-after:" not in head  # whole seconds, of which the wait is less than one
    assert b"\r\ncontent-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (429, "overloaded")


@pytest.mark.parametrize("parts", [1, 3])
def test_refused_request_is_not_decoded(flooded: Any, parts: int) -> None:
    broken = request("{" * len(BODY))
    seen = ask(flooded.base_url.port, broken, parts)
    assert {status for status, _, _ in seen} == {400, 429}


def test_whole_request_is_refused_before_its_head_is_parsed(flooded: Any) -> None:
    text = request(head=HEAD.replace(b"application/json", b"text/plain"))
    seen = ask(flooded.base_url.port, text)
    assert {status for status, _, _ in seen} == {415, 429}  # the app would say 415 first


def test_refusals_are_counted_as_answers_and_by_themselves(flooded: Any) -> None:
    seen = ask(flooded.base_url.port, request())
    refused = sum(status == 429 for status, _, _ in seen)
    found = {}
    for family in text_string_to_metric_families(flooded.get("/metrics").text):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.items())] = sample.value
    assert found[("afm_shed_total",)] >= refused > 0
    answers = ("afm_requests_total", ("route", "/predict"), ("status", "429"))
    assert found[answers] == found[("afm_shed_total",)]


def test_other_paths_are_answered_whatever_is_in_flight(flooded: Any) -> None:
    for _ in range(5):
        assert flooded.get("/healthz").status_code == 200
        assert flooded.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (request(), ("/predict", len(BODY))),
        (request(more=b"Connection: keep-alive\r\n"), ("/predict", len(BODY))),
        (request().replace(b"/predict", b"/explain"), ("/explain", len(BODY))),
        (request(more=b"connection: close\r\n"), None),
        (request(more=b"Transfer-Encoding: chunked\r\n"), None),
        (request(more=b"x: y\nTransfer-Encoding: chunked\r\n"), None),
        (request(more=b"x: y\r\n transfer-encoding : chunked\r\n"), None),
        (request(more=b"content-length: 3\r\n"), None),
        (request(more=b"expect: 100-continue\r\n"), None),
        (request() + b"GET", None),
        (request()[:-1], None),
        (HEAD + b"\r\n", None),
        (HEAD + b"content-length: -1\r\n\r\n", None),
        (request().replace(b"/predict", b"/metrics"), None),
        (request().replace(b"/predict", b"/predict?x"), None),
        (b"", None),
    ],
)
def test_only_a_request_whose_end_is_beyond_doubt_is_refused_unparsed(
    data: Any, found: Any
) -> None:
    assert whole_post(data) == found
