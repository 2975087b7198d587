"""Whose slice of work is next on the event loop: first come, first served, in two lines.

One slice is worked on in each round of the loop, which looks at its sockets in between: so answers
leave, and refusals are given, within the time of one slice, however many requests wait. The second
line is for what people wait for, not auctions: it has a turn when nobody else waits, or when it has
been passed over a few times.
"""

import asyncio
from collections import deque
from time import perf_counter

FORGET = 0.98  # what an earlier turn still counts for, at each new one
PASSED_OVER = 4  # turns that the first line has, at most, while somebody waits in the second
ODD_SECONDS, ODD_TIMES = 0.005, 8  # a turn of more than both says that there was no core to run on


class Pace:
    """What a row takes, in seconds of the loop's time: the mean over about the last fifty turns."""

    def __init__(self) -> None:
        self._seconds = self._rows = 0.0
        self.row_seconds = 0.0

    def note(self, seconds: float, rows: int) -> None:
        """Count a turn; an odd one for no more than `ODD_TIMES` what was to be expected."""
        seconds = min(seconds, max(ODD_SECONDS, ODD_TIMES * rows * self.row_seconds))
        self._seconds = FORGET * self._seconds + seconds
        self._rows = FORGET * self._rows + rows
        self.row_seconds = self._seconds / self._rows


class Turns:
    """The loop's time, handed out a slice at a time.

    Whoever has taken a turn must give it back, without waiting for anything in between.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._waiting_later: deque[asyncio.Future[None]] = deque()
        self._passed_over = 0
        self._taken = False
        self._begun = 0.0
        self._last: tuple[Pace, int] | None = None  # of a turn that others waited behind

    async def take(self, deadline: float | None = None, *, later: bool = False) -> None:
        """Wait for a turn; `later`: in the second line.

        Raises:
            TimeoutError: there was none by `deadline`, in seconds of `perf_counter`.
        """
        if self._taken:
            await self._wait(deadline, self._waiting_later if later else self._waiting)
        self._taken = True
        now = perf_counter()
        if self._last is not None:  # nothing was idle: with what HTTP took it is the true pace
            pace, rows = self._last
            pace.note(now - self._begun, rows)
            self._last = None
        self._begun = now

    def give(self, pace: Pace, rows: int) -> None:
        """Give the turn back after `rows` rows; `pace` learns what they took."""
        if self._waiting or self._waiting_later:
            self._last = pace, rows
        else:
            pace.note(perf_counter() - self._begun, rows)
        # not at once: the loop is to look at its sockets first
        asyncio.get_running_loop().call_soon(self._next)

    async def _wait(self, deadline: float | None, line: "deque[asyncio.Future[None]]") -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        line.append(turn)
        alarm = None
        if deadline is not None:
            alarm = loop.call_later(max(deadline - perf_counter(), 0.0), _too_late, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had come: the next one's, then
                self._next()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()

    def _next(self) -> None:
        while line := self._next_line():
            turn = line.popleft()
            if not turn.done():
                passed_over = line is self._waiting and bool(self._waiting_later)
                self._passed_over = self._passed_over + 1 if passed_over else 0
                turn.set_result(None)
                return
        self._taken = False
        self._last = None

    def _next_line(self) -> "deque[asyncio.Future[None]]":
        if self._waiting and not (self._waiting_later and self._passed_over >= PASSED_OVER):
            return self._waiting
        return self._waiting_later


def _too_late(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
