"""One of the processes that share a fit: an actor on one core.

What it needs for the fit (torch and much else, seconds of one core) is imported by `prepare`, not
before: so whether the cluster has a core for it is known as soon as there is a process.
"""

import socket
from typing import TYPE_CHECKING

import ray

from training.cluster.progress_notes import Result

if TYPE_CHECKING:
    from training.cluster.member_work import Prepared


class Member:
    """One process. `run`: the name of the FitRun that started it."""

    _prepared: "Prepared"

    def __init__(self, run: str) -> None:
        self._run = ray.get_actor(run)

    def address(self) -> str:
        """Where it can be reached, by a port that is free now."""
        host = str(ray.util.get_node_ip_address())
        with socket.socket() as one:
            one.bind((host, 0))
            return f"tcp://{host}:{one.getsockname()[1]}"

    def prepare(self, given: bytes) -> str:
        """See `training.cluster.member_work.prepared`; returns what makes the fit impossible."""
        from training.cluster.member_work import prepared

        self._prepared = prepared(given)
        return self._prepared.error

    def encode(self, number: int, members: int, first: str) -> str:
        """See `training.cluster.member_work.encoded`; returns what makes the fit impossible."""
        from training.cluster.member_work import encoded

        self._prepared = encoded(self._prepared, number, members, first, self._run.note.remote)
        return self._prepared.error

    def work(self, number: int, members: int, first: str) -> None:
        """See `training.cluster.member_work.work`."""
        from training.cluster.member_work import work

        work(self._prepared, number, members, first, self._run.note.remote, self._end)

    def _end(self, result: Result) -> None:
        ray.get(self._run.end.remote(result))
