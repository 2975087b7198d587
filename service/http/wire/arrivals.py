"""Whole requests that wait for their first turn as the bytes that they came in.

A request is parsed, and its task started, when its turn has come: what a waiting request holds is
its bytes, whoever leaves has cost nothing, and all that a request touches is in the processor's
caches from its first line to its answer, however many others wait.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from service.scoring.admission import Admission, Expected


class Caller(Protocol):
    """A connection whose request waits."""

    def read(self, data: bytes, received_at: float, expected: Expected) -> None:
        """Parse a request that was let in, and start its task."""


class Arrival:
    """One request; it is begun once, or its caller leaves before."""

    def __init__(self, caller: Caller, data: bytes, admission: Admission, path: str, size: int):
        self.path = path
        self.received_at = perf_counter()
        self._caller: Caller | None = caller
        self._data = data
        self._admission = admission
        self._expected = admission.expect(path, size)

    def begin(self) -> bool:
        """See Unbegun."""
        caller, self._caller = self._caller, None
        if caller is None:
            return False
        data, self._data = self._data, b""  # a connection keeps its last arrival
        # in the next round of the loop its task has counted it
        asyncio.get_running_loop().call_soon(self._admission.come, self._expected)
        caller.read(data, self.received_at, self._expected)
        return True

    @property
    def waits(self) -> bool:
        """Whether it is not begun yet."""
        return self._caller is not None

    def leave(self) -> None:
        """Note that its caller has left."""
        self._caller = None
        self._admission.come(self._expected)


class Arrivals:
    """Those of one worker. `wait_unparsed`: whether they may, as the live version is now: what has
    values to look up elsewhere, or a deadline to be answered by, begins at once.
    """

    def __init__(self, admission: Admission, wait_unparsed: Callable[[], bool]) -> None:
        self._admission = admission
        self._wait_unparsed = wait_unparsed

    def take(self, caller: Caller, data: bytes, path: str, size: int) -> Arrival:
        """A whole request that has been let in: begun now, or when its turn comes."""
        arrival = Arrival(caller, data, self._admission, path, size)
        if b"timeout" in data or not self._wait_unparsed():
            arrival.begin()
        else:
            self._admission.turns.begin(
                arrival, low_priority=self._admission.has_low_priority(path)
            )
        return arrival
