"""Runs of several servers in turn, and their medians."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

from traffic.load import Load, run_load


class Measured:
    """Runs cells in turn, so that all servers meet the same machine."""

    def __init__(self, rounds: int, seconds: float) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self.busiest = 0.0

    def closed(
        self, ports: dict[str, int], bodies: list[bytes], connections: int
    ) -> dict[str, Load]:
        """The median run of each server, asked the same."""
        return self.each(ports, dict.fromkeys(ports, bodies), connections)

    def each(
        self, ports: dict[str, int], bodies: dict[str, list[bytes]], connections: int
    ) -> dict[str, Load]:
        """The median run of each server, each asked in its own form."""
        runs: dict[str, list[Load]] = {name: [] for name in ports}
        for number in range(self.rounds):
            for name in list(ports)[:: 1 if number % 2 == 0 else -1]:
                runs[name].append(run_load(ports[name], bodies[name], connections, self.seconds))
        self.busiest = max(self.busiest, *(run.busy for found in runs.values() for run in found))
        return {name: middle(found) for name, found in runs.items()}


def middle(runs: list[Load]) -> Load:
    """The medians of several runs."""
    return Load(*(median(column) for column in zip(*map(astuple, runs), strict=True)))


def astuple(run: Load) -> tuple[float, ...]:
    """A run's figures in their order."""
    return run.requests_per_second, run.p50, run.p99, run.longest, run.busy


def ms(seconds: float) -> str:
    """Milliseconds as the tables have them."""
    return f"{1000 * seconds:.2f}"


def timed(call: Callable[[bytes], None], bodies: list[bytes], rounds: int) -> float:
    """The median over all bodies and rounds, in seconds."""
    found = []
    for body in bodies * rounds:
        began = perf_counter()
        call(body)
        found.append(perf_counter() - began)
    return median(found)
