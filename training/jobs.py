"""Jobs that do not depend on each other, and who does them: this process, or a cluster.

>>> dict(here(pow, 2, [3, 5]))
{0: 8, 1: 32}
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

Shared = TypeVar("Shared")
Job = TypeVar("Job")
Result = TypeVar("Result")


class Doing(Protocol):
    """What does jobs."""

    def __call__(
        self, work: Callable[[Shared, Job], Result], shared: Shared, jobs: Iterable[Job]
    ) -> Iterator[tuple[int, Result]]:
        """Call `work(shared, job)` for each of the jobs, which are drawn as they are begun, and
        yield the number of each with its result, in the order in which they end.
        """


def here(
    work: Callable[[Any, Any], Result], shared: Any, jobs: Iterable[Any]
) -> Iterator[tuple[int, Result]]:
    """One after the other, in this process."""
    for number, job in enumerate(jobs):
        yield number, work(shared, job)
