"""What an overloaded worker refuses at the socket, unparsed, and when it says so.

At once, so that a caller can still ask elsewhere. But who asks again at once after a refusal would
be refused thousands of times a second, and the worker would do little else: such a caller, of which
a closed loop has as many as connections, waits for its next refusal. It waits for some turns only:
an open loop that always takes the connection that was free last looks the same, and its pool must
not be used up by refusals that are to come. And however callers ask, refusing takes no more than a
share of the worker's time: what is beyond it waits as well.

Times are in turns of scoring, so that a slow machine behaves as a quick one does, only slower.
"""

import asyncio
from functools import cache
from time import perf_counter
from typing import Protocol

from service.errors import Overloaded
from service.http.headers.correlation import Echo, for_log
from service.http.problems import STATUS, milliseconds, overloaded_as_sent
from service.observe.access_log import note_access
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission

# Who asks again within so many turns after a refusal does not wait by itself. An open loop that
# takes its connections in turn comes back to one later: after 40 turns where 90 of them bear three
# times what the worker can do.
AT_ONCE_TURNS = 20
APART_TURNS = 4  # between the late refusals of a worker: one costs a fifth of a turn
LATE_TURNS = 40  # that a late refusal is late
LONGEST_TURNS = 80  # the same where there are so many that they would not be APART_TURNS apart
SHARE = 0.3  # of the worker's time that refusing may take, but for what reading it takes
SAVED_SECONDS = 0.01  # of the time not spent so, for what comes all at once


class Caller(Protocol):
    """A connection that can be refused; `refused_at`: when it last was, by the loop's clock."""

    refused_at: float

    def refuse(self, line: bytes, rest: bytes) -> None:
        """Answer its whole request by this status line and, after the headers that all answers
        have, by the rest.
        """

    def unparsed_echo(self) -> Echo:
        """What its request is found by again."""


class Refusals:
    """The refusals of one worker; status, metrics and, by `access_log`, lines are those that the
    app would give.
    """

    def __init__(
        self, admission: Admission, telemetry: Telemetry, *, access_log: bool = False
    ) -> None:
        self._admission = admission
        self._telemetry = telemetry
        self._turns = admission.turns
        # by the time they came, which is the order in which their refusals are due
        self._held: dict[Caller, tuple[float, str, Overloaded, bool]] = {}
        self._access_log = access_log
        self._counter = cache(telemetry.requests.labels)  # to look labels up costs more
        self._seconds = cache(telemetry.seconds.labels)
        self._refused: list[Caller] = []  # in this round of the loop
        self._saved = SAVED_SECONDS  # of the share, at the time `_saved_at`
        self._saved_at = 0.0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def refuses(self, caller: Caller, route: str, size: int) -> bool:
        """Whether the whole request that a caller has sent is refused, now or later."""
        refusal = self._admission.judge_unread(route, size)
        if refusal is None:
            return False
        now = asyncio.get_running_loop().time()
        at_once = now - caller.refused_at < AT_ONCE_TURNS * self._turns.turn_seconds
        if at_once or self._affordable_at() > now:
            self._held[caller] = now, route, refusal, at_once
            if self._timer is None:
                self._look_later()
        else:
            self._give(caller, route, refusal, 0.0)
        return True

    def holds(self, caller: Caller) -> bool:
        """Whether a caller has its refusal still to come."""
        return caller in self._held

    def give_now(self, caller: Caller) -> None:
        """Refuse a caller that is to wait no longer."""
        came, route, refusal, _ = self._held.pop(caller)
        self._give(caller, route, refusal, asyncio.get_running_loop().time() - came)

    def forget(self, caller: Caller) -> None:
        """Note that a caller has left."""
        held = self._held.pop(caller, None)
        if held is not None:
            came, route, _, _ = held
            self.note_left(caller, route, asyncio.get_running_loop().time() - came)

    def note_left(self, caller: Caller, route: str, seconds: float) -> None:
        """Count a request whose caller left before it was parsed."""
        self._note(caller, route, "none", seconds)

    def _note(self, caller: Caller, route: str, status: str, seconds: float) -> None:
        self._counter(route, status).inc()
        self._seconds(route).observe(seconds)
        if self._access_log:
            note_access(status, route, seconds, more=for_log(caller.unparsed_echo()))

    def _give(self, caller: Caller, route: str, refusal: Overloaded, seconds: float) -> None:
        begun = perf_counter()
        kind = type(refusal)
        self._telemetry.shed.inc()
        self._note(caller, route, str(STATUS[kind]), seconds)
        if not self._refused:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._end_round)
            now = loop.time()
            self._saved, self._saved_at = self._savings(now), now
        self._refused.append(caller)
        sent = overloaded_as_sent(kind, milliseconds(refusal))  # type: ignore[arg-type]  # mypy holds no class for hashable
        caller.refuse(*sent)
        self._saved -= perf_counter() - begun

    def _end_round(self) -> None:
        # from here on: a round of many refusals takes long by itself
        now = asyncio.get_running_loop().time()
        for caller in self._refused:
            caller.refused_at = now
        self._refused.clear()

    def _savings(self, now: float) -> float:
        return min(self._saved + SHARE * (now - self._saved_at), SAVED_SECONDS)

    def _affordable_at(self) -> float:
        return self._saved_at - min(self._saved, 0.0) / SHARE

    def _due(self) -> float:
        came, _, _, at_once = next(iter(self._held.values()))
        due = self._affordable_at()
        if at_once:
            turn = self._turns.turn_seconds
            apart = max(came + LATE_TURNS * turn, self._last + APART_TURNS * turn)
            due = max(due, min(apart, came + LONGEST_TURNS * turn))
        return due

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._due(), self._look) if self._held else None

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._held and self._due() <= now:
            self._last = now
            self.give_now(next(iter(self._held)))
        self._look_later()
