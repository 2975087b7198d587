"""Jobs as tasks of a Ray cluster, each on one core. A task whose process or machine is lost is
begun again elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import ray
import torch
from ray.exceptions import RayError

from model.errors import AfmError
from training.cluster.connection import connected
from training.cluster.placement import check_room, of_task
from training.jobs import Doing

LOST = 20  # times that one task is begun again: then it is the job that ends its process


class _Ended(NamedTuple):
    result: Any
    error: str = ""


@contextmanager
def ray_tasks(address: str, workers: int | None) -> Iterator[Doing]:
    """What does jobs on the cluster at `address`, on so many cores or on all that it has. It raises
    ConfigError where no machine has the memory for a job.

    Raises:
        ConfigError: see `connected`.
    """
    with connected(address, workers):
        yield _Tasks(workers)


class _Tasks:
    def __init__(self, workers: int | None) -> None:
        self._workers = workers

    def __call__(
        self, work: Callable[[Any, Any], Any], shared: Any, jobs: Iterable[Any]
    ) -> Iterator[tuple[int, Any]]:
        given, waiting = ray.put(shared), enumerate(jobs)
        memory = of_task(given)
        room = check_room(self._workers, memory)
        most = self._workers or room
        task = ray.remote(_done).options(
            num_cpus=1, memory=memory, max_retries=LOST, scheduling_strategy="SPREAD"
        )
        running: dict[Any, int] = {}
        while True:
            while len(running) < most and (job := next(waiting, None)) is not None:
                running[task.remote(work, given, job[1])] = job[0]
            if not running:
                return
            (ended,), _ = ray.wait(list(running))
            yield running.pop(ended), _result(ended)


def _done(work: Callable[[Any, Any], Any], shared: Any, job: Any) -> _Ended:
    torch.set_num_threads(1)
    try:
        return _Ended(work(shared, job))
    except AfmError as error:
        return _Ended(None, str(error))


def _result(reference: Any) -> Any:
    try:
        ended: _Ended = ray.get(reference)
    except RayError as error:
        line = str(error).strip().splitlines()[-1]
        raise AfmError(f"--ray: a task was not done: {line}") from error
    if ended.error:
        raise AfmError(ended.error)
    return ended.result
