"""What the workers make of a version that was made active: live, refused, or not decided yet.

>>> workers = [WorkerState("a", live="v2"), WorkerState("b", live="v1")]
>>> Rollout.of("v2", workers).lines(10)[0]
'live in 1 of 2 workers'
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import RefusedByWorkers, StoreError
from service.store.records import RefusalNote, WorkerState
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore

LOOK_AGAIN_SECONDS = 0.1
NO_WORKER_SECONDS = 1.0  # without any worker in sight: longer than one needs to connect again


@dataclass(frozen=True)
class Rollout:
    """The connected workers' verdict on `version`: `live` of `workers` answer by it, `refused` are
    the refusals of the others; the remaining workers have not decided.
    """

    version: str
    workers: int
    live: int
    refused: Sequence[RefusalNote] = ()

    @property
    def decided(self) -> bool:
        """Whether every worker has a verdict."""
        return self.workers > 0 and self.live + len(self.refused) == self.workers

    @classmethod
    def of(cls, version: str, workers: Sequence[WorkerState]) -> "Rollout":
        """The verdict of these workers."""
        live = [one for one in workers if one.live == version]
        refused = [
            one.refused
            for one in workers
            if one.live != version and one.refused is not None and one.refused.version == version
        ]
        return cls(version, len(workers), len(live), refused)

    def lines(self, seconds: float) -> list[str]:
        """The verdict as lines for people; `seconds`: how long the command waited."""
        if not self.workers:
            return ["no worker is connected: the next one to start will judge it"]
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        said = [f"live in {self.live} of {workers}"]
        said += refusal_lines(self.refused)
        undecided = self.workers - self.live - len(self.refused)
        if undecided:
            said.append(
                f"{undecided} of {workers} did not decide within {seconds:g} s: "
                "afm-serve versions lists what is refused"
            )
        return said

    def require_not_refused(self) -> None:
        """Raise where a worker refuses the version.

        Raises:
            RefusedByWorkers: names the first reason.
        """
        if self.refused:
            first = self.refused[0]
            raise RefusedByWorkers(
                f"{self.version} is active, but refused by {len(self.refused)} of {self.workers} "
                f"worker{'s' if self.workers > 1 else ''} ({first.code}): {first.reason}"
            )


def refusal_lines(refused: Sequence[RefusalNote]) -> list[str]:
    """One line for each version and reason, with the number of its workers."""
    return [
        f"{one.version} is refused by {workers} worker{'s' if workers > 1 else ''} "
        f"({one.code}): {one.reason}"
        for one, workers in Counter(refused).items()
    ]


def refused_lines(store: VersionStore) -> list[str]:
    """What workers and live traffic refuse of a model's versions, as lines for people."""
    try:
        lines = refusal_lines(RefusalBoard(store).refusals_of_workers())
    except StoreError as error:
        return [f"whether a worker refuses the active version is not known: {error}"]
    return lines + [
        f"{one.version} was refused by live traffic ({one.code}) and stays so until it is forced: "
        f"{one.reason}"
        for one in store.refused().values()
    ]


def wait_for_workers(board: RefusalBoard, version: str, seconds: float) -> Rollout:
    """Ask until each connected worker has decided, or `seconds` are over. Waits a second at most
    where no worker is connected.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    began = time.monotonic()
    while True:
        try:
            found = Rollout.of(version, board.workers())
        except StoreError:  # without the right to ask
            found = Rollout(version, 0, 0)
        waited = time.monotonic() - began
        patience = seconds if found.workers else min(seconds, NO_WORKER_SECONDS)
        if found.decided or waited >= patience:
            return found
        time.sleep(min(LOOK_AGAIN_SECONDS, max(patience - waited, 0)))
