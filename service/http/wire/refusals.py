"""What an overloaded worker refuses at the socket, unparsed, and when it says so.

At once, so that a caller can still ask elsewhere. But who asks again at once after a refusal would
be refused thousands of times a second, and the worker would do little else: such a caller, of which
a closed loop has as many as connections, waits for its next refusal. It waits for a hundredth of a
second or two only: an open loop that always takes the connection that was free last looks the same,
and its pool must not be used up by refusals that are to come.
"""

import asyncio
from functools import cache
from typing import Protocol

from service.errors import Overloaded
from service.http.headers.correlation import Echo, for_log
from service.http.problems import STATUS, milliseconds, overloaded_as_sent
from service.observe.access_log import note_access
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission

# Who asks again within so long after a refusal does not wait by itself. An open loop that takes its
# connections in turn comes back to one later: after 11 ms where 90 of them bear 8,000 requests a
# second.
AT_ONCE_SECONDS = 0.005
APART_SECONDS = 0.001  # between the late refusals of a worker: one costs some 50 us
LATE_SECONDS = 0.01  # that a late refusal is late
LONGEST_SECONDS = (
    0.02  # the same where there are so many that they would not be APART_SECONDS apart
)


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
        self._wait = min(admission.most_wait, LATE_SECONDS)
        # by the time they came, which is the order in which their refusals are due
        self._held: dict[Caller, tuple[float, str, Overloaded]] = {}
        self._access_log = access_log
        self._counter = cache(telemetry.requests.labels)  # to look labels up costs more
        self._seconds = cache(telemetry.seconds.labels)
        self._refused: list[Caller] = []  # in this round of the loop
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def refuses(self, caller: Caller, route: str, size: int) -> bool:
        """Whether the whole request that a caller has sent is refused, now or later."""
        refusal = self._admission.judge_unread(route, size)
        if refusal is None:
            return False
        now = asyncio.get_running_loop().time()
        if now - caller.refused_at < AT_ONCE_SECONDS:
            self._held[caller] = now, route, refusal
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
        came, route, refusal = self._held.pop(caller)
        self._give(caller, route, refusal, asyncio.get_running_loop().time() - came)

    def forget(self, caller: Caller) -> None:
        """Note that a caller has left."""
        held = self._held.pop(caller, None)
        if held is not None:
            came, route, _ = held
            self._note(caller, route, "none", asyncio.get_running_loop().time() - came)

    def _note(self, caller: Caller, route: str, status: str, seconds: float) -> None:
        self._counter(route, status).inc()
        self._seconds(route).observe(seconds)
        if self._access_log:
            note_access(status, route, seconds, more=for_log(caller.unparsed_echo()))

    def _give(self, caller: Caller, route: str, refusal: Overloaded, seconds: float) -> None:
        kind = type(refusal)
        self._telemetry.shed.inc()
        self._note(caller, route, str(STATUS[kind]), seconds)
        if not self._refused:
            asyncio.get_running_loop().call_soon(self._end_round)
        self._refused.append(caller)
        sent = overloaded_as_sent(kind, milliseconds(refusal))  # type: ignore[arg-type]  # mypy holds no class for hashable
        caller.refuse(*sent)

    def _end_round(self) -> None:
        # from here on: a round of many refusals takes longer than AT_ONCE_SECONDS by itself
        now = asyncio.get_running_loop().time()
        for caller in self._refused:
            caller.refused_at = now
        self._refused.clear()

    def _due(self) -> float:
        came = next(iter(self._held.values()))[0]
        return min(max(came + self._wait, self._last + APART_SECONDS), came + LONGEST_SECONDS)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._due(), self._look) if self._held else None

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._held and self._due() <= now:
            self._last = now
            self.give_now(next(iter(self._held)))
        self._look_later()
