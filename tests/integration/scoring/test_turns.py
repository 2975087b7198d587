"""Turns on the event loop: one a round, first come first served in two lines, none after its
deadline.
"""

import asyncio
import socket
from time import perf_counter
from typing import Any

import pytest

from model.bundle.bundle import Bundle
from service.observe.metrics import Telemetry
from service.scoring.live_version import make_live
from service.scoring.payloads import ScoringRequest
from service.scoring.predictor import Predictor
from service.scoring.turns import Pace, Turns
from service.scoring.views import Explanations, Probabilities


async def in_turns(turns: Any, names: Any, parts: Any, work: Any) -> None:
    """Everyone asks for a turn, in their order, before anyone has one."""

    async def one(name: Any) -> None:
        for _ in range(parts):
            await turns.take()
            work(name)
            turns.release(Pace(), 1)

    await turns.take()
    tasks = [asyncio.create_task(one(name)) for name in names]
    await asyncio.sleep(0)
    turns.release(Pace(), 1)
    await asyncio.gather(*tasks)


def test_turns_come_in_the_order_they_were_asked_for() -> None:
    order: list[Any] = []
    asyncio.run(in_turns(Turns(), "abc", 2, order.append))
    assert "".join(order) == "abcabc"


async def in_two_lines(turns: Any, first: Any, second: Any, work: Any) -> None:
    """One turn each; those of the second line ask first."""

    async def one(name: Any, low_priority: Any) -> None:
        await turns.take(low_priority=low_priority)
        work(name)
        turns.release(Pace(), 1)

    await turns.take()
    tasks = [asyncio.create_task(one(name, True)) for name in second]
    tasks += [asyncio.create_task(one(name, False)) for name in first]
    await asyncio.sleep(0)
    turns.release(Pace(), 1)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [("ab", "xy", "abxy"), ("abcdef", "xy", "abcdxefy"), ("abcdefghi", "xy", "abcdxefghyi")],
)
def test_the_second_line_goes_behind_the_first_and_is_passed_over_only_a_few_times(
    first: str, second: str, order: str
) -> None:
    seen: list[Any] = []
    asyncio.run(in_two_lines(Turns(), first, second, seen.append))
    assert "".join(seen) == order


def test_the_loop_looks_at_its_sockets_between_two_turns() -> None:
    seen = []
    here, there = socket.socketpair()

    def work(name: Any) -> None:
        seen.append(name)
        here.send(b"-")

    async def listening() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(there, lambda: seen.append(there.recv(100).decode()))
        await in_turns(Turns(), "abc", 2, work)

    with here, there:
        asyncio.run(listening())
    assert "".join(seen).startswith("a-b-c-a-b-c")


def test_a_turn_that_does_not_come_in_time_is_given_up_at_its_deadline() -> None:
    async def work() -> None:
        turns, pace = Turns(), Pace()
        await turns.take()
        deadline = perf_counter() + 0.02
        with pytest.raises(TimeoutError):
            await turns.take(deadline)
        turns.release(pace, 1)
        await asyncio.wait_for(turns.take(), 5)  # the one given up was not left holding it

    asyncio.run(work())


def test_a_cancelled_wait_hands_its_turn_on() -> None:
    async def work() -> None:
        turns, pace = Turns(), Pace()
        await turns.take()
        waiting = [asyncio.create_task(turns.take()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # before its turn came
        turns.release(pace, 1)
        await asyncio.sleep(0)
        waiting[1].cancel()  # just as it came
        await asyncio.wait_for(waiting[2], 5)

    asyncio.run(work())


def test_a_pace_follows_what_rows_take_and_forgets_the_odd_one() -> None:
    pace = Pace()
    for _ in range(200):
        pace.observe(0.001, 100)
    assert pace.row_seconds == pytest.approx(1e-5)
    pace.observe(0.1, 100)
    for _ in range(300):
        pace.observe(0.001, 100)
    assert pace.row_seconds == pytest.approx(1e-5, rel=0.01)


def test_one_turn_without_a_core_does_not_look_like_overload_and_slower_work_does() -> None:
    pace = Pace()
    for _ in range(100):
        pace.observe(0.0005, 10)
    pace.observe(3.0, 10)
    assert pace.row_seconds < 0.0001
    for _ in range(100):
        pace.observe(0.01, 10)
    assert pace.row_seconds > 0.0008


def test_an_explanation_that_came_first_lets_a_probability_go_before_it(
    tiny_bundle: Bundle,
) -> None:
    live = make_live("ads", tiny_bundle, tiny_bundle.read_vocabulary_bytes())
    turns, order = Turns(), []

    async def one(view: Any, rows: Any) -> None:
        await Predictor(view, Telemetry(), turns).answer(
            live, ScoringRequest({}, rows), perf_counter()
        )
        order.append(view.route)

    async def work() -> None:
        await turns.take()
        row = {"device": "ios", "ad": "a1", "price": 3.5}
        tasks = [
            asyncio.create_task(one(view, [row] * 30)) for view in (Explanations(), Probabilities())
        ]
        await asyncio.sleep(0)
        turns.release(Pace(), 1)
        await asyncio.gather(*tasks)

    asyncio.run(work())
    assert order == ["/predict", "/explain"]
