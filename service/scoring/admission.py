"""How much work a worker lets in: by the rows in flight, never by open connections.

Until a request has had its turns (`service/scoring/turns.py`) each other one in its line has as
many, if it needs them: so the rows of those, at the pace of the last turns, say how long it waits.
What would wait longer is better refused, while its caller can still ask elsewhere: a queue that is
always full gives no more answers, only later ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from service.errors import Overloaded
from service.observe.metrics import Telemetry
from service.scoring.turns import FORGET, PASSED_OVER, Pace, Turns

FAR_MORE = 2  # times the rows that a body of its size was expected to have


class RouteLoad:
    """One route's share of what is in flight.

    `pace`: of its rows. `step_rows`: those of one turn. `weight`: what one of its rows counts for
    among the rows in flight. `low_priority`: whether it waits in the second line.
    """

    def __init__(self, weight: float, step_rows: int, *, low_priority: bool) -> None:
        self.pace = Pace()
        self.low_priority = low_priority
        self.weight = weight
        self.step_rows = step_rows
        # in flight, of those that have a first turn, a second one, and so on
        self._requests_of: list[int] = []
        self._rows_of: list[int] = []
        self.requests = 0  # in flight
        self._rows = self._bytes = 0.0

    def observe(self, rows: int, size: int) -> None:
        """Count a request of `rows` rows in a body of `size` bytes."""
        self._rows = FORGET * self._rows + rows
        self._bytes = FORGET * self._bytes + size

    def turns(self, rows: float) -> int:
        """How many a request of so many rows is to have without too long a wait: all that it needs,
        and in the second line, where people wait, the first.
        """
        return 1 if self.low_priority else max(1, ceil(rows / self.step_rows))

    def count(self, rows: int, sign: int) -> None:
        """Take a request of so many rows among those in flight (1), or away from them (-1)."""
        self.requests += sign
        for turn, start in enumerate(range(0, rows, self.step_rows)):
            if turn == len(self._rows_of):
                self._requests_of.append(0)
                self._rows_of.append(0)
            self._requests_of[turn] += sign
            self._rows_of[turn] += sign * min(self.step_rows, rows - start)

    def turns_ahead(self, turns: int) -> int:
        """Those of its requests in flight until each has had so many, or all that it needs."""
        return sum(self._requests_of[:turns])

    def seconds(self, turns: int) -> float:
        """What these take of the loop."""
        return sum(self._rows_of[:turns]) * self.pace.row_seconds

    def estimated_rows(self, size: int) -> float:
        """About how many rows a body of so many bytes has, by those of late."""
        return size * self._rows / self._bytes if self._bytes else 0.0


class Expected:
    """A request that was let in before it was parsed, counted as one of about so many rows."""

    __slots__ = ("counted", "route_load", "rows")

    def __init__(self, route_load: RouteLoad, rows: int) -> None:
        self.route_load = route_load
        self.rows = rows
        self.counted = True


class Admission:
    """Lets requests in, or refuses them.

    `most_wait`: seconds that others' turns may take until a request has had its own; as long as
    these take where that is longer. `most_rows`: in flight. `refusal`: what a request gets that is
    too much. A worker with nothing in flight takes any request.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        most_wait: float = float("inf"),
        most_rows: float = float("inf"),
        refusal: type[Overloaded] = Overloaded,
    ) -> None:
        self.turns = Turns()
        self.most_wait = most_wait
        self._refusal = refusal
        self._telemetry = telemetry
        self._most_rows = most_rows
        self._expected = 0  # requests that wait unparsed, or are just being begun
        self._requests = 0  # in flight
        self._rows = 0.0  # of the requests in flight, weighed
        self._route_loads: dict[str, RouteLoad] = {}

    def route_load(
        self, route: str, step_rows: int, weight: float = 1.0, *, low_priority: bool = False
    ) -> RouteLoad:
        """The load of a route."""
        return self._route_loads.setdefault(
            route, RouteLoad(weight, step_rows, low_priority=low_priority)
        )

    def wait(self, turns: int = 1, *, low_priority: bool = False) -> float:
        """Seconds that a request of so many turns would now wait for others; `low_priority`: in the
        second line.
        """
        first = second = longest = 0.0
        ahead = 0
        # a plain loop, since every refusal is judged by it
        for one in self._route_loads.values():
            if not one.requests:
                continue
            if one.low_priority:
                second += one.seconds(turns)
                longest = max(longest, one.step_rows * one.pace.row_seconds)
            else:
                first += one.seconds(turns)
                ahead += one.turns_ahead(turns)
        if low_priority or not second:
            return first + second
        # one of the second line may have its turn now, and others have one in a few
        return first + min(second, (1 + ahead // PASSED_OVER) * longest)

    def judge(self, route_load: RouteLoad, rows: float) -> Overloaded | None:
        """Why a request of about so many rows is too much now; None where it is not."""
        if not self._requests and not self._expected:  # nothing to wait for
            return None
        wait = self.wait(route_load.turns(rows), low_priority=route_load.low_priority)
        if wait > max(self.most_wait, rows * route_load.pace.row_seconds):
            return self._refusal(wait)
        if self._requests and self._rows + rows * route_load.weight > self._most_rows:
            return self._refusal(wait)
        return None

    def check(self, route_load: RouteLoad, rows: float) -> None:
        """Raises:
        Overloaded: as `judge` says.
        """
        refusal = self.judge(route_load, rows)
        if refusal is not None:
            self._telemetry.shed.inc()
            raise refusal

    def judge_unread(self, route: str, size: int) -> Overloaded | None:
        """The same of a whole request of `size` bytes that is not parsed yet."""
        route_load = self._route_loads.get(route)
        return (
            None if route_load is None else self.judge(route_load, route_load.estimated_rows(size))
        )

    def has_low_priority(self, route: str) -> bool:
        """Whether a route's requests wait in the second line."""
        return self._route_loads[route].low_priority

    def expect(self, route: str, size: int) -> Expected:
        """Count a whole request that waits unparsed, until it has `come`."""
        route_load = self._route_loads[route]
        expected = Expected(route_load, round(route_load.estimated_rows(size)))
        route_load.count(expected.rows, 1)
        self._expected += 1
        return expected

    def come(self, expected: Expected) -> None:
        """Count it no longer: its task does, or its caller has left."""
        if expected.counted:
            expected.counted = False
            expected.route_load.count(expected.rows, -1)
            self._expected -= 1

    @contextmanager
    def inside(
        self, route_load: RouteLoad, rows: int, size: int, expected: Expected | None = None
    ) -> Iterator[None]:
        """A request of `rows` rows in a body of `size` bytes, in flight; `expected`: as what it was
        let in, which is not asked again unless it is far more.

        Raises:
            Overloaded: it is too much now.
        """
        if expected is not None:
            self.come(expected)
        if expected is None or rows > FAR_MORE * expected.rows:
            self.check(route_load, rows)
        route_load.observe(rows, size)
        weighed = rows * route_load.weight
        route_load.count(rows, 1)
        self._requests += 1
        self._rows += weighed
        self._telemetry.rows_in_flight.set(self._rows)
        try:
            yield
        finally:
            route_load.count(rows, -1)
            self._requests -= 1
            self._rows = self._rows - weighed if self._requests else 0.0
            self._telemetry.rows_in_flight.set(self._rows)
