"""How much work a worker lets in: by the rows in flight, never by open connections.

A request waits behind at most one slice of each other one (`service/turns.py`), so the rows of
those slices, at the pace of the last turns, say how long. What would wait longer is better
refused at once, while its caller can still ask elsewhere: a queue that is always full gives no more
answers, only later ones.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from service.errors import Overloaded
from service.http_errors import as_sent
from service.telemetry import Telemetry
from service.turns import FORGET, Pace, Turns

OVERLOADED = "more rows are in flight than can be scored in time; ask again later"


class Entrance:
    """One route's share of what is in flight.

    `pace`: of its rows. `ahead`: its rows in flight, of each request those of one turn, which are
    `step_rows`. `weight`: what one of its rows counts for among the rows in flight. `refusals`:
    answers of 429, as the middleware would count them.
    """

    def __init__(self, weight: float, step_rows: int, refusals: Counter) -> None:
        self.pace = Pace()
        self.refusals = refusals
        self.ahead = 0
        self.weight = weight
        self.step_rows = step_rows
        self._rows = self._bytes = 0.0

    def note(self, rows: int, size: int) -> None:
        """Count a request of `rows` rows in a body of `size` bytes."""
        self._rows = FORGET * self._rows + rows
        self._bytes = FORGET * self._bytes + size

    def judged(self, size: int) -> float:
        """About how many rows a body of so many bytes has, by those of late."""
        return size * self._rows / self._bytes if self._bytes else 0.0


class Admission:
    """Lets requests in, or refuses them.

    `most_wait`: seconds until a request's first turn. `most_rows`: in flight. A worker with nothing
    in flight takes any request.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        most_wait: float = float("inf"),
        most_rows: float = float("inf"),
    ) -> None:
        self.turns = Turns()
        self._telemetry = telemetry
        self._most_wait = most_wait
        self._most_rows = most_rows
        self._rows = 0.0
        self._coming = 0.0  # seconds of work that the sockets gave in this round of the loop
        self._entrances: dict[str, Entrance] = {}
        self._line, self._rest = as_sent(Overloaded(OVERLOADED))

    def entrance(self, route: str, step_rows: int, weight: float = 1.0) -> Entrance:
        """The entrance of a route."""
        refusals = self._telemetry.requests.labels(route, "429")
        return self._entrances.setdefault(route, Entrance(weight, step_rows, refusals))

    @property
    def wait(self) -> float:
        """Seconds that a request would now wait for its first turn."""
        return self._coming + sum(
            entrance.ahead * entrance.pace.row_seconds for entrance in self._entrances.values()
        )

    def refuses(self, entrance: Entrance, rows: float) -> bool:
        """Whether a request of about so many rows is too much now."""
        if self.wait > self._most_wait:
            return True
        return self._rows > 0 and self._rows + rows * entrance.weight > self._most_rows

    def check(self, entrance: Entrance, rows: float) -> None:
        """Raises:
        Overloaded: as `refuses` says.
        """
        if self.refuses(entrance, rows):
            self._telemetry.shed.inc()
            raise Overloaded(OVERLOADED)

    def refuses_at_the_socket(self, route: str, size: int) -> bool:
        """Whether a whole request, which no task has seen yet, is refused; one that is not counts
        until its task runs, which is in the next round of the loop.
        """
        entrance = self._entrances.get(route)
        if entrance is None:
            return False
        rows = entrance.judged(size)
        if self.refuses(entrance, rows):
            self._telemetry.shed.inc()
            entrance.refusals.inc()
            return True
        if not self._coming:
            asyncio.get_running_loop().call_soon(self._came)
        self._coming += min(rows, entrance.step_rows) * entrance.pace.row_seconds
        return False

    def refusal(self, headers: Iterable[bytes]) -> bytes:
        """The whole answer of 429, with these lines in its head."""
        return b"".join((self._line, *headers, self._rest))

    @contextmanager
    def inside(self, entrance: Entrance, rows: int, size: int) -> Iterator[None]:
        """A request of `rows` rows in a body of `size` bytes, in flight.

        Raises:
            Overloaded: it is too much now.
        """
        self.check(entrance, rows)
        entrance.note(rows, size)
        ahead, weighed = min(rows, entrance.step_rows), rows * entrance.weight
        entrance.ahead += ahead
        self._rows += weighed
        self._telemetry.rows_in_flight.set(self._rows)
        try:
            yield
        finally:
            entrance.ahead -= ahead
            self._rows -= weighed
            self._telemetry.rows_in_flight.set(self._rows)

    def _came(self) -> None:
        self._coming = 0.0
