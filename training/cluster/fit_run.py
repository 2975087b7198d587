"""A fit on a Ray cluster: an actor that outlives whoever asked for it, starts the processes that
share the fit, and starts them again when one is lost.

Ray Train is not used. Measured with 2.60: when the node that its controller ran on is lost, the
placement group of the lost controller keeps its cores, and the next one waits for them for ever.
Actors end with the actor that started them, and their cores are free again.
"""

import threading
import traceback
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from training.cluster.member import Member
from training.cluster.progress_notes import Note, Result

START_SECONDS = 60.0  # for all members; then those that are there begin
AGAIN_SECONDS = 1.0
LAST_WORD_SECONDS = 5.0  # of the other members, when one tells that another is lost
UNASKED_SECONDS = 120.0  # after its end, until the actor ends too


class News(NamedTuple):
    """`notes` from the one asked for on, and the result once there is one; `life`: which life of
    the actor they are of.
    """

    life: str
    notes: list[Note]
    result: Result | None


class FitRun:
    """The actor of one fit, called `name`, of so many `workers` with `memory` bytes each. Where its
    node is lost, Ray starts it on another, and it begins anew with what the checkpoint has.
    `request`: a pickled FitRequest, which would have this process import torch before the others.
    """

    def __init__(self, name: str, request: bytes, workers: int, memory: int) -> None:
        self._name, self._request = name, request
        self._workers, self._memory = workers, memory
        self._life = ray.get_runtime_context().get_worker_id()
        self._notes: list[Note] = []
        self._result: Result | None = None
        self._asked = threading.Event()
        threading.Thread(target=self._run, name="fit", daemon=True).start()

    def note(self, note: Note) -> None:
        """Keep a note of the first member."""
        self._notes.append(note)

    def end(self, result: Result) -> None:
        """Keep what the fit came to; the first word counts."""
        self._result = self._result or result

    def news(self, since: int) -> News:
        """The notes from `since` on, and the result once there is one."""
        result = self._result
        if result is not None:
            self._asked.set()
        return News(self._life, self._notes[since:], result)

    def _run(self) -> None:
        try:
            while self._result is None:
                members, addresses = self._start()
                try:
                    self._share(members, addresses)
                finally:
                    for member in members:
                        ray.kill(member)
        except Exception:  # whatever it is, who asked must hear of it
            self.end(Result(None, traceback.format_exc()))
        if not self._asked.wait(UNASKED_SECONDS):  # nobody follows any more; the bundle is written
            ray.kill(ray.get_runtime_context().current_actor)

    def _start(self) -> tuple[list[Any], list[Any]]:
        # as many as there is room for, one at least; and where each is, to be got
        actor = ray.remote(Member).options(
            num_cpus=1, memory=self._memory, scheduling_strategy="SPREAD"
        )
        members = [actor.remote(self._name) for _ in range(self._workers)]
        answers = [member.address.remote() for member in members]
        ray.wait(answers, num_returns=len(answers), timeout=START_SECONDS)
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
        while not ready:
            self.note(Note("said", ("waiting for a free core of the cluster",)))
            ready, _ = ray.wait(answers)
        there = set(ready)
        for member, answer in zip(members, answers, strict=True):
            if answer not in there:
                ray.kill(member)
        pairs = [pair for pair in zip(members, answers, strict=True) if pair[1] in there]
        return [member for member, _ in pairs], [address for _, address in pairs]

    def _share(self, members: list[Any], addresses: list[Any]) -> None:
        # until they are done, the result is known, or one is lost
        try:
            # on a slow machine one takes much longer than another, however long; then they meet
            if not self._all_can([member.prepare.remote(self._request) for member in members]):
                return
            firsts, others = _turns(ray.get(addresses))
            # one of each machine encodes its share of the log, the others find the whole there
            reading = ray.get(members[firsts[0]].address.remote())
            asked = [
                members[number].encode.remote(at, len(firsts), reading)
                for at, number in enumerate(firsts)
            ]
            if not self._all_can(asked):
                return
            asked = [members[number].encode.remote(number, 1, "") for number in others]
            if not self._all_can(asked):
                return
            working = [
                member.work.remote(number, len(members), addresses[0])
                for number, member in enumerate(members)
            ]
            while working and self._result is None:
                done, working = ray.wait(working, timeout=AGAIN_SECONDS)
                ray.get(done)
        except RayError:  # a process or a node was lost, or a member found that another one was
            return

    def _all_can(self, asked: list[Any]) -> bool:
        # whether all are done: else one was lost, or something makes the fit impossible, and it has
        # ended. One that fails leaves the others, who tell of a loss: its own word is waited for
        lost = None
        while asked:
            done, asked = ray.wait(asked, timeout=None if lost is None else LAST_WORD_SECONDS)
            if not done:
                break
            try:
                error = ray.get(done[0])
            except RayError as one:
                lost = one
                continue
            if error:
                self.end(Result(None, error))
                return False
        if lost is not None:
            raise lost
        return True


def _turns(addresses: list[str]) -> tuple[list[int], list[int]]:
    # the numbers of those who encode a log, one a machine, and of those who then find it there
    hosts = [address.rpartition(":")[0] for address in addresses]
    firsts = [number for number, host in enumerate(hosts) if host not in hosts[:number]]
    return firsts, [number for number in range(len(hosts)) if number not in firsts]
