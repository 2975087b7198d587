"""How many connections a worker has, and which of them ends for one more."""

from itertools import islice
from time import monotonic
from typing import Protocol

import structlog

LOOKED_AT = 8  # connections, of those that may make room, before the first of them must
SAID_SECONDS = 60.0  # the log says at most so often that connections are too many

log = structlog.get_logger()


class Guest(Protocol):
    """A connection that may be ended for another one."""

    def is_quiet(self) -> bool:
        """Whether nothing is on its way here or back."""

    def make_room(self) -> None:
        """End at once."""


class ConnectionLimit:
    """The connections of one worker, at most `most`. What makes room for one more is the oldest
    that waits for a whole request: of those that never sent one first, then of the idle ones.
    """

    def __init__(self, most: float = float("inf")) -> None:
        self._most = most
        self._open: set[Guest] = set()
        self._new: dict[Guest, None] = {}  # in their order, as in _idle
        self._idle: dict[Guest, None] = {}
        self._said = float("-inf")

    def enter(self, connection: Guest) -> None:
        """Take a new connection, and end another one, or this, where it is one too many."""
        self._open.add(connection)
        self._new[connection] = None
        if len(self._open) > self._most:
            self._make_room(connection)

    def busy(self, connection: Guest) -> None:
        """Note that its request is whole."""
        self._new.pop(connection, None)
        self._idle.pop(connection, None)

    def idle(self, connection: Guest) -> None:
        """Note that it was answered."""
        if connection in self._open:
            self.busy(connection)
            self._idle[connection] = None

    def leave(self, connection: Guest) -> None:
        """Forget it."""
        self.busy(connection)
        self._open.discard(connection)

    def _make_room(self, newest: Guest) -> None:
        older = [one for one in islice(self._new, LOOKED_AT) if one is not newest]
        older += islice(self._idle, LOOKED_AT - len(older))
        # a request that is here unread, or an answer on its way, would be lost
        chosen = next((one for one in older if one.is_quiet()), older[0] if older else newest)
        for one in older:  # those that were spared are not looked at again so soon
            if one is chosen:
                break
            group = self._new if one in self._new else self._idle
            group[one] = group.pop(one)
        self.leave(chosen)
        chosen.make_room()
        now = monotonic()
        if now - self._said >= SAID_SECONDS:
            self._said = now
            log.warning("too many connections: the oldest without a request ends", most=self._most)
