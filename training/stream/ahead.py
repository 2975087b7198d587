"""Work done ahead of whoever uses its results, on threads that read.

>>> list(ahead(lambda n: n * n, [1, 2, 3], readers=2))
[1, 4, 9]
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from training import group

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(work: Callable[[Item], Result], items: Iterable[Item], readers: int) -> Iterator[Result]:
    """What `work` makes of each item, in the order of the items, so that nothing depends on the
    number of `readers`. Each of them is one item ahead of the result that is used.

    Raises:
        Exception: what `work` raises, in its place of the order.
    """
    left = iter(items)
    with ThreadPoolExecutor(readers, "reader") as threads:
        waiting: deque[Future[Result]] = deque()
        try:
            waiting.extend(threads.submit(work, item) for item in islice(left, readers))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(threads.submit(work, item) for item in islice(left, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


@dataclass(frozen=True)
class _Failed:
    error: Exception


@dataclass(frozen=True)
class _End:
    pass


def ahead_of_all(
    work: Callable[[Item], Result], items: Iterable[Item], readers: int
) -> Iterator[Result]:
    """The same, where the processes of a group (`training.group`) share the work: of n of them each
    works on every n-th item, and has the results of all. Results are pickled on the way.

    Raises:
        Exception: what `work` raises, in its place of the order, in each process.
        MemberLostError: another process has ended.
    """
    if not group.is_shared():
        yield from ahead(work, items, readers)
        return

    def tried(item: Item) -> Result | _Failed:
        try:
            return work(item)
        except Exception as error:
            return _Failed(error)

    own = ahead(tried, islice(items, group.number(), None, group.members()), readers)
    while True:
        for one in group.of_all(next(own, _End())):
            if isinstance(one, _Failed):
                raise one.error
            if isinstance(one, _End):
                return
            yield one
