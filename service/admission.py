"""How much work a worker lets in: by the rows in flight, never by open connections.

A request waits behind at most one slice of each other one in its line (`service/turns.py`), so the
rows of those slices, at the pace of the last turns, say how long. What would wait longer is better
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
from service.turns import FORGET, PASSED_OVER, Pace, Turns

OVERLOADED = "more rows are in flight than can be scored in time; ask again later"


class Entrance:
    """One route's share of what is in flight.

    `pace`: of its rows. `requests`: in flight. `ahead`: their rows, of each those of one turn,
    which are `step_rows`. `coming`: the same of those that the sockets gave in this round of the
    loop. `weight`: what one of its rows counts for among the rows in flight. `refusals`: answers of
    429, as the middleware would count them. `later`: whether it waits in the second line.
    """

    def __init__(self, weight: float, step_rows: int, refusals: Counter, *, later: bool) -> None:
        self.pace = Pace()
        self.refusals = refusals
        self.later = later
        self.requests = 0
        self.ahead = 0
        self.coming = 0.0
        self.weight = weight
        self.step_rows = step_rows
        self._rows = self._bytes = 0.0

    def note(self, rows: int, size: int) -> None:
        """Count a request of `rows` rows in a body of `size` bytes."""
        self._rows = FORGET * self._rows + rows
        self._bytes = FORGET * self._bytes + size

    @property
    def seconds(self) -> float:
        """That its requests take of the loop until each has had a turn."""
        return (self.ahead + self.coming) * self.pace.row_seconds

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
        self._entrances: dict[str, Entrance] = {}
        self._line, self._rest = as_sent(Overloaded(OVERLOADED))

    def entrance(
        self, route: str, step_rows: int, weight: float = 1.0, *, later: bool = False
    ) -> Entrance:
        """The entrance of a route."""
        refusals = self._telemetry.requests.labels(route, "429")
        made = Entrance(weight, step_rows, refusals, later=later)
        return self._entrances.setdefault(route, made)

    def wait(self, *, later: bool = False) -> float:
        """Seconds that a request would now wait for its first turn; `later`: in the second line."""
        every = self._entrances.values()
        first = sum(one.seconds for one in every if not one.later)
        second = sum(one.seconds for one in every if one.later)
        if later or not second:
            return first + second
        # one of the second line may have its turn now, and others have one in a few
        turns = 1 + sum(one.requests for one in every if not one.later) // PASSED_OVER
        longest = max(one.step_rows * one.pace.row_seconds for one in every if one.later)
        return first + min(second, turns * longest)

    def refuses(self, entrance: Entrance, rows: float) -> bool:
        """Whether a request of about so many rows is too much now."""
        if self.wait(later=entrance.later) > self._most_wait:
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
        if not any(one.coming for one in self._entrances.values()):
            asyncio.get_running_loop().call_soon(self._came)
        entrance.coming += min(rows, entrance.step_rows)
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
        entrance.requests += 1
        self._rows += weighed
        self._telemetry.rows_in_flight.set(self._rows)
        try:
            yield
        finally:
            entrance.ahead -= ahead
            entrance.requests -= 1
            self._rows -= weighed
            self._telemetry.rows_in_flight.set(self._rows)

    def _came(self) -> None:
        for entrance in self._entrances.values():
            entrance.coming = 0.0
