"""When a connection has been idle for too long: one timer for many requests, where uvicorn sets one
after each and cancels it at the next, which costs as much as a tenth of a refusal.
"""

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Calls `end` when a connection has been idle for `seconds`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._end = end
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def idle(self) -> None:
        """Note that the connection is idle from now on."""
        self._idle_since = self._loop.time()
        if self._timer is None:
            self._look()

    def busy(self) -> None:
        """Note that it is not."""
        self._idle_since = None

    def cancel(self) -> None:
        """Call nothing any more."""
        self.busy()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._idle_since is None:
            return
        left = self._idle_since + self._seconds - self._loop.time()
        if left <= 0:
            self._end()
        else:
            self._timer = self._loop.call_later(left, self._look)
