"""Deadlines: the request's or the default, waiting counted, and no work once they are over."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any

import httpx
import pytest

from model.bundle.bundle import Bundle
from service.errors import CallerLeft, DeadlinePassed
from service.observe.metrics import Telemetry
from service.scoring.live_version import make_live
from service.scoring.payloads import ScoringRequest
from service.scoring.predictor import Predictor
from service.scoring.turns import Pace, Turns
from service.scoring.views import SLICE_ROWS, Probabilities

ROW: dict[str, Any] = {"device": "ios", "ad": "a1", "price": 3.5}


@pytest.fixture(scope="module")
def live(tiny_bundle: Bundle) -> Any:
    return make_live("ads", tiny_bundle, tiny_bundle.read_vocabulary_bytes())


class Counted(Probabilities):
    """Counts what is scored, and takes `seconds` longer for each slice."""

    def __init__(self, seconds: Any = 0.0) -> None:
        self.slices = 0
        self.seconds = seconds

    def score(self, *args: Any) -> Iterator[Any]:
        self.slices += 1
        time.sleep(self.seconds)
        yield from super().score(*args)


def test_a_request_whose_deadline_passed_while_it_waited_costs_nothing(live: Any) -> None:
    view, turns = Counted(), Turns()
    predictor = Predictor(view, Telemetry(), turns)

    async def work() -> None:
        await turns.take()  # somebody else's, and long
        began = perf_counter()
        with pytest.raises(DeadlinePassed, match="20 ms"):
            await predictor.answer(live, ScoringRequest({}, [ROW], 20), began)
        assert perf_counter() - began >= 0.019
        turns.release(Pace(), 1)

    asyncio.run(work())
    assert view.slices == 0


def test_request_that_came_too_long_ago_is_not_begun(live: Any) -> None:
    view = Counted()
    with pytest.raises(DeadlinePassed):
        asyncio.run(
            Predictor(view, Telemetry()).answer(
                live, ScoringRequest({}, [ROW], 50), perf_counter() - 1
            )
        )
    assert view.slices == 0


def test_a_slice_that_cannot_be_done_in_time_is_not_begun(live: Any) -> None:
    view = Counted(seconds=0.1)
    rows = [ROW] * 10 * SLICE_ROWS
    began = perf_counter()
    with pytest.raises(DeadlinePassed):
        asyncio.run(Predictor(view, Telemetry()).answer(live, ScoringRequest({}, rows, 250), began))
    # by what two slices took the third would end behind it
    assert view.slices == 2


def test_the_default_holds_where_the_request_names_none_and_only_there(live: Any) -> None:
    def asks(timeout_ms: Any) -> Any:
        predictor = Predictor(Counted(seconds=0.03), Telemetry(), timeout_ms=20)
        return asyncio.run(
            predictor.answer(live, ScoringRequest({}, [ROW], timeout_ms), perf_counter())
        )

    with pytest.raises(DeadlinePassed, match="20 ms"):
        asks(None)
    assert asks(10_000)


def test_over_http_it_is_504_by_the_default_and_by_the_request(
    served: Callable[..., httpx.Client],
) -> None:
    rows = [{**ROW, "price": n / 7} for n in range(5000)]
    client = served(timeout_ms=10)
    answer = client.post("/predict", json={"instances": rows})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")
    assert "10 ms" in answer.json()["detail"]
    assert client.post("/predict", json={"instances": rows[:1], "timeout_ms": 60_000}).is_success


def test_the_clock_runs_from_a_request_s_first_byte(served: Callable[..., httpx.Client]) -> None:
    client = served(timeout_ms=50)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    body = b'{"instances": [{"ad": "a1"}]}'
    with socket.create_connection(("127.0.0.1", client.base_url.port), 30) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body))
        time.sleep(0.2)
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 504 ")


def test_the_default_ends_a_request_that_is_still_being_sent(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(timeout_ms=100)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    body = b'{"instances": [{"ad": "a1"}]}'
    for framing in (b"content-length: %d" % len(body), b"transfer-encoding: chunked"):
        with socket.create_connection(("127.0.0.1", client.base_url.port), 5) as connection:
            began = perf_counter()
            connection.sendall(head + framing + b"\r\n\r\n1\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 504 ")
            assert 0.09 < perf_counter() - began < 3


def test_what_the_last_turns_took_says_whether_a_first_slice_can_be_done_in_time(live: Any) -> None:
    view, pace = Counted(), Pace()
    for _ in range(5):  # a single one may be odd
        pace.observe(0.1, SLICE_ROWS)
    predictor = Predictor(view, Telemetry(), pace=pace)
    for timeout_ms, slices in ((30, 0), (10_000, 1)):
        with suppress(DeadlinePassed):
            asked = ScoringRequest({}, [ROW] * SLICE_ROWS, timeout_ms)
            asyncio.run(predictor.answer(live, asked, perf_counter()))
        assert view.slices == slices


def test_a_504_is_not_much_later_than_its_deadline_however_many_rows_there_are(
    served: Callable[..., httpx.Client],
) -> None:
    client = served()
    rows = [{**ROW, "price": n / 7} for n in range(5000)]
    late = []
    for timeout_ms in [5, 20] * 10:
        began = perf_counter()
        answer = client.post("/predict", json={"instances": rows, "timeout_ms": timeout_ms})
        if answer.status_code == 504:
            late.append(1000 * (perf_counter() - began) - timeout_ms)
    assert sorted(late)[len(late) // 2] < 250  # JSON of this client's making included


def test_a_waiting_request_gets_its_504_while_large_ones_are_worked_on(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(max_wait_ms=10_000, max_rows_in_flight=1_000_000)
    rows = [{**ROW, "price": n / 7} for n in range(5000)]
    ended = threading.Event()

    def keep_busy() -> None:
        while not ended.is_set():
            client.post("/explain", json={"instances": rows[:1000], "top": 0})

    threads = [threading.Thread(target=keep_busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        seen = [
            client.post("/predict", json={"instances": rows, "timeout_ms": 5}).status_code
            for _ in range(5)
        ]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert seen == [504] * 5


class Asker:
    """Whoever asks, until it leaves."""

    left = False


class LeftDuring(Counted):
    """Its asker leaves while the first slice is scored."""

    def __init__(self, asker: Any) -> None:
        super().__init__()
        self.asker = asker

    def score(self, *args: Any) -> Iterator[Any]:
        self.asker.left = True
        yield from super().score(*args)


@pytest.mark.parametrize("strict", [True, False])
def test_a_request_whose_caller_left_has_no_further_turn(live: Any, strict: bool) -> None:
    asker = Asker()
    view, rows = LeftDuring(asker), [ROW] * 3 * SLICE_ROWS
    predictor = Predictor(view, telemetry := Telemetry())
    asked = ScoringRequest({}, rows, strict=strict)
    with pytest.raises(CallerLeft):
        asyncio.run(predictor.answer(live, asked, perf_counter(), asker))
    assert view.slices == 1
    assert telemetry.rows.labels("/predict")._value.get() == 0


def test_a_request_whose_caller_left_while_it_waited_is_not_begun(live: Any) -> None:
    view, turns, asker = Counted(), Turns(), Asker()
    predictor = Predictor(view, Telemetry(), turns)

    async def work() -> None:
        await turns.take()
        waiting = asyncio.create_task(
            predictor.answer(live, ScoringRequest({}, [ROW]), perf_counter(), asker)
        )
        await asyncio.sleep(0)
        asker.left = True
        turns.release(Pace(), 1)
        with pytest.raises(CallerLeft):
            await waiting
        await turns.take()  # it gave its own back

    asyncio.run(asyncio.wait_for(work(), 10))
    assert view.slices == 0
