"""The cores that a fit works on, and on how many of them one operation of torch works.

How an operation divides its sums among threads shows in their last bits, and a fit is to have the
same weights on one core and on two (on a Ray cluster each process has one). So within a fit an
operation of torch has one thread. The kernels and the scoring of slices divide their work by rows,
each of which is computed by one thread, and have all cores.

>>> with one_core_an_operation():
...     torch.get_num_threads()
1
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_given: list[int] = []  # torch's threads before it was left with one


def only_deterministic() -> None:
    """Have torch refuse operations whose results may differ from one run to the next. This is
    `torch.use_deterministic_algorithms(True)` without torch's compiler, which that imports: 3 s.
    """
    torch.set_deterministic_debug_mode("error")


def cores() -> int:
    """How many cores the work has: the threads that torch was given."""
    return _given[0] if _given else torch.get_num_threads()


@contextmanager
def one_core_an_operation() -> Iterator[None]:
    """Have operations of torch that this thread begins use one thread each; also a decorator."""
    if _given:
        yield
        return
    _given.append(torch.get_num_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_given.pop())


@contextmanager
def all_cores_an_operation() -> Iterator[None]:
    """Have them use all cores within `one_core_an_operation`: for work that one thread would be too
    slow for.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
