"""Work in threads beside the block of a `with`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def background(work: Callable[[threading.Event], None], threads: int = 1) -> Iterator[None]:
    """Runs `work` in threads until the block ends. Work returns soon after the event that it gets
    is set.

    Raises:
        AssertionError: an error ended one of the threads.
    """
    stopping = threading.Event()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            work(stopping)
        except BaseException as error:
            faults.append(error)

    started = [threading.Thread(target=run) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in started:
            thread.join()
    assert not faults, faults
