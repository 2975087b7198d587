"""Work in a process of its own, whose memory ends with it.

What the system calls the largest memory of a program is never less than what its parent held when
it began: who measures programs draws their data apart.
"""

import multiprocessing
from collections.abc import Callable


def apart(work: Callable[..., object], *given: object, **named: object) -> None:
    """Call `work` in a new process, and wait for its end.

    Raises:
        RuntimeError: it failed.
    """
    process = multiprocessing.get_context("spawn").Process(target=work, args=given, kwargs=named)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{work.__name__} ended with {process.exitcode}")
