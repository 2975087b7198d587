"""What one request takes, stage by stage: noted for requests whose caller, or operator, asks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Protocol

_at_hand: ContextVar["Timeline | None"] = ContextVar("timeline", default=None)


class Observer(Protocol):
    """What counts the seconds of a stage, such as a histogram."""

    def observe(self, amount: float) -> None:
        """Count so many."""


class Timeline:
    """The seconds of each stage of one request, in the order in which they came first; `started` is
    when it came, by `perf_counter`. `in_answer`: whether the answer is to have them.
    """

    def __init__(self, started: float) -> None:
        self.started = started
        self.stages: dict[str, float] = {}
        self.in_answer = False

    def milliseconds(self) -> dict[str, float]:
        """The stages so far and, as `total`, the time since the request came."""
        whole = self.stages | {"total": perf_counter() - self.started}
        return {stage: round(1000 * seconds, 4) for stage, seconds in whole.items()}


class Noting:
    """An observer of a stage that notes in the timeline at hand as well."""

    def __init__(self, stage: str, observer: Observer) -> None:
        self._stage = stage
        self._observer = observer

    def observe(self, amount: float) -> None:
        """See Observer."""
        self._observer.observe(amount)
        timeline = _at_hand.get()
        if timeline is not None:
            timeline.stages[self._stage] = timeline.stages.get(self._stage, 0.0) + amount


def noting(stages: Mapping[str, Observer]) -> dict[str, Observer]:
    """The observers of all stages, each of which notes, once."""
    return {
        stage: observer if isinstance(observer, Noting) else Noting(stage, observer)
        for stage, observer in stages.items()
    }


def at_hand() -> Timeline | None:
    """The timeline of the request at hand, where it has one."""
    return _at_hand.get()


@contextmanager
def timed(started: float) -> Iterator[Timeline]:
    """The timeline of the request at hand, which came at `started`: a new one where there is none
    yet.
    """
    found = _at_hand.get()
    if found is not None:
        yield found
        return
    made = Timeline(started)
    token = _at_hand.set(made)
    try:
        yield made
    finally:
        _at_hand.reset(token)
