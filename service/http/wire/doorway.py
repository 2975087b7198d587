"""What comes whole is let in, or refused, before it is parsed: in overload, parsing three requests
that are refused would cost the fourth its answer.
"""

import asyncio
from time import perf_counter
from typing import NamedTuple

from service.http.headers.correlation import Echo, echo_of_unparsed
from service.http.wire.arrivals import Arrival, Arrivals
from service.http.wire.protocol import OneWriteProtocol
from service.http.wire.refusals import Refusals
from service.http.wire.unparsed import whole_post
from service.scoring.admission import Expected

KEY = "doorway"  # in the state of the app


class Doorway(NamedTuple):
    """What the connections of one worker share here."""

    refusals: Refusals
    arrivals: Arrivals


class DoorwayProtocol(OneWriteProtocol):
    """Asks the doorway of each whole request; without one in the app's state all is parsed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self.refused_at = float("-inf")
        self._doorway: Doorway | None = self.app_state.get(KEY)
        self._unparsed = b""  # the request that waits, for its turn or for its refusal
        self._arrival: Arrival | None = None  # of the last that was let in

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._doorway is None or self.is_deaf():
            super().data_received(data)
            return
        self.hold_no_longer()  # more comes than the request that waits
        found = whole_post(data) if self.is_idle() else None
        if found is None:
            super().data_received(data)
            return
        self._unset_keepalive_if_required()
        self._unparsed = data
        if not self._doorway.refusals.refuses(self, *found):
            self.came_whole()
            self._arrival = self._doorway.arrivals.take(self, data, *found)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._doorway is not None:
            refusals, arrival = self._doorway.refusals, self._arrival
            refusals.forget(self)
            if arrival is not None and arrival.waits:
                arrival.leave()
                refusals.note_left(self, arrival.path, perf_counter() - arrival.received_at)
        super().connection_lost(exc)

    def read(self, data: bytes, received_at: float, expected: Expected) -> None:
        """See Arrival."""
        self._unparsed = b""
        try:
            self.parse(data, received_at, expected)
        except BaseException:
            self.transport.abort()  # as the loop does where data_received raises
            raise

    def refuse(self, line: bytes, rest: bytes) -> None:
        """See Refusals."""
        echo = self.unparsed_echo()
        self._unparsed = b""
        headers = [b"%s: %s\r\n" % one for one in self.server_state.default_headers]
        if echo:
            headers += [b"%s: %s\r\n" % one for one in echo]
        self._gathering.write_now(b"".join((line, *headers, rest)))
        self.on_response_complete()

    def unparsed_echo(self) -> Echo:
        """See Refusals."""
        return echo_of_unparsed(self._unparsed)

    def is_held(self) -> bool:
        """Whether it has sent a request that waits unparsed."""
        return bool(self._unparsed)

    def hold_no_longer(self) -> None:
        """Begin the request that waits unparsed, or refuse the one whose refusal is to come."""
        if not self._unparsed or self._doorway is None:
            return
        if self._doorway.refusals.holds(self):
            self._doorway.refusals.give_now(self)
        elif self._arrival is not None:
            self._arrival.begin()

    def came_whole(self) -> None:
        """A whole request was let in, and waits or begins now."""
