"""What is refused, and when, under an overload by callers like load generators and ad servers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from service.http.wire import refusals
from service.http.wire.refusals import (
    APART_TURNS,
    AT_ONCE_TURNS,
    LATE_TURNS,
    LONGEST_TURNS,
    SHARE,
)
from service.scoring import turns
from worker_clock import MOST_WAIT, REFUSAL, REQUEST, Caller, Clock, Worker

APART_SECONDS, AT_ONCE_SECONDS, LATE_SECONDS, LONGEST_SECONDS = (
    turns * REQUEST for turns in (APART_TURNS, AT_ONCE_TURNS, LATE_TURNS, LONGEST_TURNS)
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`run(main)`: `main(worker)` to its end."""

    def whole(main: Callable[..., Any], **limits: Any) -> Any:
        clock = Clock()
        loop = asyncio.SelectorEventLoop(clock)
        monkeypatch.setattr(loop, "time", lambda: clock.now)
        for module in (turns, refusals):
            monkeypatch.setattr(module, "perf_counter", lambda: clock.now)
        limits = {"most_wait": MOST_WAIT} | limits
        worker = Worker(clock, **limits)
        try:
            return loop.run_until_complete(main(worker))
        finally:
            loop.run_until_complete(worker.end())
            loop.close()

    return whole


def closed_loop(connections: int, seconds: float = 2.0) -> Callable[..., Any]:
    """Statuses of what was answered in the later half."""

    async def main(worker: Any) -> Counter[int]:
        callers = [Caller(worker, closed=True) for _ in range(connections)]
        begun = worker.clock.now
        for caller in callers:
            caller.ask()
        await asyncio.sleep(seconds)
        half = begun + seconds / 2
        for caller in callers:
            caller.closed = False
        await asyncio.sleep(2 * LONGEST_SECONDS)
        seen = [one for caller in callers for one in caller.seen]
        return Counter(status for status, at, _ in seen if half <= at < begun + seconds)

    return main


def test_refusals_leave_a_closed_loop_nearly_as_many_answers(run: Callable[..., Any]) -> None:
    found = {n: run(closed_loop(n)) for n in (10, 50, 100, 200, 1000)}
    goodput = {connections: statuses[200] for connections, statuses in found.items()}
    usual = [goodput[n] for n in (10, 50, 100, 200)]
    assert min(usual) >= 0.9 * max(usual), found
    # to hold so many back for longer would use up the pools of callers of an open loop
    assert goodput[1000] >= 0.25 * max(usual), found
    assert found[1000][429] > 0


def test_refusals_are_none_in_a_closed_loop_of_a_hundred(run: Callable[..., Any]) -> None:
    assert set(run(closed_loop(100))) == {200}


def test_a_burst_of_a_hundred_at_sixty_percent_of_the_capacity_is_answered_whole(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Any) -> list[tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        callers = [Caller(worker) for _ in range(100)]
        for start in range(20):
            for caller in callers:
                loop.call_later(start * 100 * REQUEST / 0.6, caller.ask)
        await asyncio.sleep(20 * 100 * REQUEST / 0.6 + 1)
        return [one for caller in callers for one in caller.seen]

    seen = run(main)
    assert [status for status, _, _ in seen] == [200] * 2000
    assert max(latency for _, _, latency in seen) <= MOST_WAIT


def test_four_times_what_a_worker_can_do_is_refused_at_once_and_answered_in_time(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Any) -> list[tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        callers = [Caller(worker) for _ in range(12_000)]
        for number, caller in enumerate(callers):
            loop.call_later(number * REQUEST / 4, caller.ask)
        await asyncio.sleep(12_000 * REQUEST / 4 + 1)
        return [one for caller in callers for one in caller.seen]

    seen = run(main)
    assert len(seen) == 12_000
    late = {200: 0.0, 429: 0.0}
    for status, _, latency in seen:
        late[status] = max(late[status], latency)
    assert late[429] <= 2 * REFUSAL
    assert late[200] <= 1.5 * MOST_WAIT  # by what rows took of late, which rises


async def full(worker: Worker) -> None:
    """Let in as much as the worker takes, of which nothing is begun."""
    turns = worker.admission.turns
    await turns.take()
    worker.clock.now += REQUEST
    turns.release(worker.route_load.pace, 2)
    await asyncio.sleep(0)
    await turns.take()
    while worker.admission.judge(worker.route_load, 2) is None:
        Caller(worker).ask()
        await asyncio.sleep(0)


def test_a_refusal_comes_at_once_and_the_next_one_late_to_who_asks_again_at_once(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Worker) -> list[tuple[int, float]]:
        await full(worker)
        caller = Caller(worker)
        for pause in (0.0, 0.0, 2 * AT_ONCE_SECONDS):
            await asyncio.sleep(pause)
            caller.ask()
            await asyncio.sleep(2 * MOST_WAIT)
            if len(caller.seen) == 1:
                caller.refused_at = worker.clock.now  # as if it had asked in the same moment
        return [(status, latency) for status, _, latency in caller.seen]

    first, second, third = run(main)
    assert first == (429, pytest.approx(REFUSAL))
    assert second == (429, pytest.approx(LATE_SECONDS + REFUSAL))
    assert third == (429, pytest.approx(REFUSAL))


def test_late_refusals_are_apart_and_none_is_later_than_the_longest(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Any) -> list[float]:
        await full(worker)
        callers = [Caller(worker) for _ in range(3000)]
        for caller in callers:
            caller.refused_at = worker.clock.now
            caller.ask()
        await asyncio.sleep(2)
        return sorted(latency for caller in callers for _, _, latency in caller.seen)

    waits = run(main)
    assert len(waits) == 3000
    assert waits[0] >= LATE_SECONDS
    assert sum(wait < LONGEST_SECONDS for wait in waits) <= LONGEST_SECONDS / APART_SECONDS
    # so many that refusing them all takes longer than its share of the time
    assert waits[-1] == pytest.approx(3000 * REFUSAL / SHARE, rel=0.1)


def test_caller_that_leaves_while_its_refusal_waits_is_counted_as_none_and_not_refused(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Worker) -> tuple[list[Any], float, float]:
        await full(worker)
        caller = Caller(worker)
        caller.refused_at = worker.clock.now
        caller.ask()
        assert worker.refusals.holds(caller)
        worker.refusals.forget(caller)
        await asyncio.sleep(2 * LONGEST_SECONDS)
        return caller.seen, worker.count("none"), worker.count("429")

    assert run(main) == ([], 1, 0)


def test_a_held_refusal_can_be_given_before_its_time(run: Callable[..., Any]) -> None:
    async def main(worker: Worker) -> tuple[list[int], bool]:
        await full(worker)
        caller = Caller(worker)
        caller.refused_at = worker.clock.now
        caller.ask()
        worker.refusals.give_now(caller)
        return [status for status, _, _ in caller.seen], worker.refusals.holds(caller)

    assert run(main) == ([429], False)


def test_refusals_are_timed_as_often_as_they_are_counted_and_each_leaves_a_line(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Worker) -> tuple[float, float, float, list[Any]]:
        await full(worker)
        worker.refusals._access_log = True
        at_once, late, leaver = Caller(worker), Caller(worker), Caller(worker)
        late.refused_at = leaver.refused_at = worker.clock.now
        for caller in (at_once, late, leaver):
            caller.ask()
        worker.refusals.forget(leaver)
        with structlog.testing.capture_logs() as lines:
            await asyncio.sleep(2 * MOST_WAIT)
        return worker.count("429") + worker.count("none"), *worker.timed(), lines

    count, timed, seconds, lines = run(main)
    assert (count, timed) == (3, 3)
    assert seconds == pytest.approx(LATE_SECONDS, rel=0.1)
    (line,) = lines
    assert (line["status"], line["route"], line["request_id"]) == ("429", "/predict", "r-1")
    assert line.keys() == {"event", "log_level", "status", "route", "seconds", "request_id"}
