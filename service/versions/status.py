"""What a worker serves, as one value that is replaced as a whole, and what it does next, as a pure
function of that value and of what a poll saw.

>>> decide(Status("ads", "ads"), Seen(now=0.0, active="v1")).name
'GO_LIVE'
"""

from dataclasses import dataclass
from enum import Enum, auto

from service.errors import NoModel
from service.scoring.live_version import Live
from service.versions.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Status:
    """What a worker serves and why; requests and `/readyz` read one `Status` to their end.

    `model` is the one whose versions are followed, `own_model` the one of the settings: they differ
    while the example stands in. `active` is what Redis names, `confirmed` whether it ever named the
    live version. `refusal`: why the active version is not live, where it was tried.
    """

    model: str
    own_model: str
    live: Live | None = None
    active: str | None = None
    confirmed: bool = False
    refusal: Refusal | None = None
    redis_fault: str | None = "not asked yet"
    redis_warning: str | None = None

    @property
    def stands_in(self) -> bool:
        """Whether another model's version is live, whose scores and requests say nothing of this
        model's versions.
        """
        return self.live is not None and self.live.model != self.model

    @property
    def looks_values_up(self) -> bool:
        """Whether a request's values are looked up elsewhere before it is scored."""
        return self.live is not None and self.live.values is not None

    def require(self) -> Live:
        """The live version.

        Raises:
            NoModel: no version is live; says why and what to do.
        """
        if self.live is not None:
            return self.live
        raise NoModel(self.why_not_ready())

    def why_not_ready(self) -> str:
        """Why no version is live, and what to do."""
        if self.refusal is not None:
            return f"version {self.refusal.version} was refused: {self.refusal.reason}"
        if self.redis_fault is not None:
            return self.redis_fault
        if self.active is not None:
            return f"version {self.active} is being loaded"
        return (
            f"nothing is published as model {self.own_model!r}: run afm-serve publish BUNDLE "
            f"--model {self.own_model}"
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What one poll saw; times are monotonic seconds.

    `forced`: an operator wants the active version live without a judgement. `in_memory`: it is
    loaded already. `judged`: new versions are judged on recent requests, and `enough` of them are
    kept. `previous`: the version that was live last, as notes have it, where this worker replaces
    one that died. A worker that answers by `previous` waits for requests until `patient_until`.
    """

    now: float
    active: str | None
    forced: bool = False
    in_memory: bool = False
    judged: bool = True
    enough: bool = True
    previous: str | None = None
    patient_until: float = 0.0


class Action(Enum):
    """What a worker does after a poll."""

    NOTHING = auto()
    CONFIRM = auto()  # Redis names what is live
    FALL_BACK = auto()  # serve an earlier version: there is no active one that could be served
    START_ON_PREVIOUS = auto()  # the same: others that have requests judge the active one first
    GO_LIVE = auto()  # load the active version and serve it
    WAIT = auto()  # load the active version, and wait for requests to judge it on
    JUDGE = auto()  # load the active version, judge it on recent requests, serve it


def decide(status: Status, seen: Seen) -> Action:
    """What a worker of this status does about what it saw."""
    live = status.live
    if live is not None and live.version == seen.active:
        return Action.NOTHING if status.confirmed else Action.CONFIRM
    if seen.active is None or is_barred(status.refusal, seen):
        return Action.FALL_BACK if live is None else Action.NOTHING
    if live is None:
        first = seen.forced or not seen.judged or seen.previous in (None, seen.active)
        return Action.GO_LIVE if first else Action.START_ON_PREVIOUS
    if status.stands_in or (seen.forced and seen.in_memory):
        return Action.GO_LIVE
    waits = lacks_requests(status, seen) and seen.now < seen.patient_until
    return Action.WAIT if waits else Action.JUDGE


def is_barred(refusal: Refusal | None, seen: Seen) -> bool:
    """Whether the active version was refused and is not to be tried now: what recent requests
    refused is tried again only by force, what could not be loaded after a while.
    """
    if refusal is None or refusal.version != seen.active:
        return False
    return not seen.forced if refusal.judged else seen.now < refusal.again_at


def lacks_requests(status: Status, seen: Seen) -> bool:
    """Whether this worker has too few requests to judge the active version, which is to be judged:
    what other workers find on their requests then counts.
    """
    return seen.judged and not seen.enough and not seen.forced and not status.stands_in
