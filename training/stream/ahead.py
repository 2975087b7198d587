"""Work done ahead of whoever uses its results, on threads that read.

>>> list(ahead(lambda n: n * n, [1, 2, 3], readers=2))
[1, 4, 9]
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

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
