"""A worker and its callers by a clock that nobody waits for: each request and each refusal takes a
stated time of the one thread that a worker has.
"""

import asyncio
import selectors
from typing import Any

from service.http.wire.arrivals import Arrivals
from service.http.wire.refusals import (
    Refusals,
)
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission, Expected
from service.settings import Settings

REQUEST, REFUSAL = 0.00066, 0.00006  # seconds of the worker, as measured with two candidates
TURNAROUND = 0.0001  # from an answer to the same caller's next request
MOST_WAIT = Settings.model_fields["max_wait_ms"].default / 1000


class Clock(selectors.DefaultSelector):
    """Seconds that pass where somebody works, or where nobody has anything to do."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += max(timeout or 0.0, 0.0)
        return super().select(0)


class Worker:
    """One loop with the real turns, admission and refusals."""

    def __init__(self, clock: Clock, **limits: Any) -> None:
        self.clock = clock
        self.telemetry = Telemetry()
        self.admission = Admission(self.telemetry, **limits)
        self.route_load = self.admission.route_load("/predict", 100)
        self.route_load.pace.observe(REQUEST, 2)
        self.route_load.observe(2, 400)
        self.refusals = Refusals(self.admission, self.telemetry)
        self.arrivals = Arrivals(self.admission, lambda: True)
        self.tasks: set[asyncio.Task[None]] = set()

    def timed(self) -> tuple[float, float]:
        """How many requests the histogram has, and their seconds."""
        found = self.telemetry.seconds.labels("/predict")
        return sum(bucket.get() for bucket in found._buckets), found._sum.get()

    def count(self, status: str) -> float:
        return float(self.telemetry.requests.labels("/predict", status)._value.get())

    async def end(self) -> None:
        left = list(self.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def work(self, caller: "Caller", expected: Expected) -> None:
        with self.admission.inside(self.route_load, 2, 400, expected):
            await self.admission.turns.take()
            self.clock.now += REQUEST
            self.admission.turns.release(self.route_load.pace, 2)
        caller.answered(200)


class Caller:
    """A connection: asks when it is to, and keeps what came of it and when."""

    def __init__(self, worker: Worker, *, closed: bool = False) -> None:
        self.worker = worker
        self.closed = closed
        self.refused_at = float("-inf")
        self.asked_at = 0.0
        self.seen: list[tuple[int, float, float]] = []

    def ask(self) -> None:
        self.asked_at = self.worker.clock.now
        if not self.worker.refusals.refuses(self, "/predict", 400):
            self.worker.arrivals.take(self, b"", "/predict", 400)

    def read(self, data: bytes, received_at: float, expected: Expected) -> None:  # noqa: ARG002 - as a connection has it
        task = asyncio.get_running_loop().create_task(self.worker.work(self, expected))
        self.worker.tasks.add(task)
        task.add_done_callback(self.worker.tasks.discard)

    def unparsed_echo(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-request-id", b"r-1")]

    def refuse(self, line: bytes, rest: bytes) -> None:
        assert rest
        self.worker.clock.now += REFUSAL
        self.answered(int(line.split()[1]))

    def answered(self, status: int) -> None:
        now = self.worker.clock.now
        self.seen.append((status, now, now - self.asked_at))
        if self.closed:
            asyncio.get_running_loop().call_later(TURNAROUND, self.ask)
