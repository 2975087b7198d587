"""Whose slice of work is next on the event loop: first come, first served, in two lines.

One slice is worked on in each round of the loop, which looks at its sockets in between: so answers
leave, and refusals are given, within the time of one slice, however many requests wait. The second
line is for what people wait for, not auctions: it has a turn when nobody else waits, or when it has
been passed over a few times.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import NamedTuple, Protocol, TypeVar

from service.errors import CallerLeft

FORGET = 0.98  # what an earlier turn still counts for, at each new one
PASSED_OVER = 4  # turns that the first line has, at most, while somebody waits in the second
ODD_SECONDS, ODD_TIMES = 0.005, 8  # a turn of more than both says that there was no core to run on


class Pace:
    """What a row takes, in seconds of the loop's time: the mean over about the last fifty turns."""

    def __init__(self) -> None:
        self._seconds = self._rows = 0.0
        self.row_seconds = 0.0

    def observe(self, seconds: float, rows: int) -> None:
        """Count a turn; an odd one for no more than `ODD_TIMES` what was to be expected."""
        seconds = min(seconds, max(ODD_SECONDS, ODD_TIMES * rows * self.row_seconds))
        self._seconds = FORGET * self._seconds + seconds
        self._rows = FORGET * self._rows + rows
        self.row_seconds = self._seconds / self._rows


class Unbegun(Protocol):
    """A request that waits for its first turn before any work is done on it."""

    def begin(self) -> bool:
        """Start its task; False where nobody waits for its answer any more."""


Line = deque["asyncio.Future[None] | Unbegun"]


class Turns:
    """The loop's time, handed out a slice at a time.

    Whoever has taken a turn must release it, without waiting for anything in between.
    """

    def __init__(self) -> None:
        self._waiting: Line = deque()
        self._waiting_later: Line = deque()
        self._passed_over = 0
        self._taken = False
        self._kept = False  # taken for a task that has just been started
        self._begun = 0.0
        self._last: tuple[Pace, int] | None = None  # of a turn that others waited behind
        self._pace = Pace()  # of all turns

    @property
    def turn_seconds(self) -> float:
        """What a turn takes, in seconds: the mean of about the last fifty."""
        return self._pace.row_seconds

    async def take(self, deadline: float | None = None, *, low_priority: bool = False) -> None:
        """Wait for a turn; `low_priority`: in the second line.

        Raises:
            TimeoutError: there was none by `deadline`, in seconds of `perf_counter`.
        """
        if self._taken and not self._kept:
            await self._wait(deadline, self._waiting_later if low_priority else self._waiting)
        self._taken = True
        self._kept = False
        now = perf_counter()
        if self._last is not None:  # nothing was idle: with what HTTP took it is the true pace
            self._note(now - self._begun, *self._last)
            self._last = None
        self._begun = now

    def begin(self, request: Unbegun, *, low_priority: bool = False) -> None:
        """Begin a request now where no turn is taken, or else when its first turn comes.

        The turn is kept for the task that the request starts; where this one takes none in the
        same round of the loop, the next in line has it.
        """
        if self._taken:
            (self._waiting_later if low_priority else self._waiting).append(request)
        elif request.begin():
            self._keep()

    def release(self, pace: Pace, rows: int) -> None:
        """Release the turn after `rows` rows; `pace` learns what they took."""
        if self._waiting or self._waiting_later:
            self._last = pace, rows
        else:
            self._note(perf_counter() - self._begun, pace, rows)
        # not at once: the loop is to look at its sockets first
        asyncio.get_running_loop().call_soon(self._next)

    def _note(self, seconds: float, pace: Pace, rows: int) -> None:
        pace.observe(seconds, rows)
        self._pace.observe(seconds, 1)

    def _keep(self) -> None:
        self._taken = self._kept = True
        # after the first step of the task, which is in line already
        asyncio.get_running_loop().call_soon(self._keep_no_longer)

    def _keep_no_longer(self) -> None:
        if self._kept:
            self._kept = False
            self._next()

    async def _wait(self, deadline: float | None, line: Line) -> None:
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
            passed_over = line is self._waiting and bool(self._waiting_later)
            if self._has_come(line.popleft()):
                self._passed_over = self._passed_over + 1 if passed_over else 0
                return
        self._taken = False
        self._last = None

    def _has_come(self, turn: "asyncio.Future[None] | Unbegun") -> bool:
        # False where nobody waits for it any more
        if isinstance(turn, asyncio.Future):
            if turn.done():
                return False
            turn.set_result(None)
            return True
        try:
            if not turn.begin():
                return False
        except BaseException:  # a fault of one request takes nobody else's turn
            asyncio.get_running_loop().call_soon(self._next)
            raise
        self._keep()
        return True

    def _next_line(self) -> Line:
        if self._waiting and not (self._waiting_later and self._passed_over >= PASSED_OVER):
            return self._waiting
        return self._waiting_later


class Asker(Protocol):
    """Who asks; `left`: whether it waits no longer."""

    left: bool


class Until(NamedTuple):
    """How long there is a point in working on a request: up to a `deadline`, in seconds of
    `perf_counter`, None for none, and while its `asker` waits.
    """

    deadline: float | None
    asker: Asker | None

    def check_asker(self) -> None:
        """Raises:
        CallerLeft: the asker waits no longer.
        """
        if self.asker is not None and self.asker.left:
            raise CallerLeft("the caller left before its request was answered")


Step = TypeVar("Step")


class StepsInTurns:
    """Works on the requests of one route, a step a turn; `pace` learns what their rows take.

    `low_priority`: whether they wait in the second line.
    """

    def __init__(self, turns: Turns, pace: Pace, *, low_priority: bool) -> None:
        self._turns = turns
        self._pace = pace
        self._low_priority = low_priority

    async def work(
        self,
        steps: Iterator[Step],
        sizes: Iterable[int],
        until: Until,
        waited: Callable[[float], None] | None = None,
    ) -> list[Step]:
        """What the steps give: one for each of `sizes`, which is how many rows it has. `waited` is
        called with the seconds before the first.

        Raises:
            CallerLeft: the asker waits no longer.
            TimeoutError: the next step would end, or this one did, after the deadline.
        """
        done: list[Step] = []
        deadline = until.deadline
        longest = -1.0  # of the steps so far, in seconds
        asked_at = perf_counter()
        for rows in sizes:
            if not done:  # before the first step, what others took in the last turns
                longest = rows * self._pace.row_seconds
            await self._turns.take(deadline, low_priority=self._low_priority)
            begun = now = perf_counter()
            if waited is not None and not done:
                waited(begun - asked_at)
            try:
                until.check_asker()
                if deadline is None:
                    done.append(next(steps))
                    continue
                if begun + longest >= deadline:
                    raise TimeoutError
                done.append(next(steps))
                now = perf_counter()
                longest = max(longest, now - begun)
                if now > deadline:
                    raise TimeoutError
            finally:
                self._turns.release(self._pace, rows)
        return done


def _too_late(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
