"""What a worker does next, as a table of its status and what a poll saw; and what it says."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import NoModel
from service.versions.refusals import Refusal
from service.versions.status import Action, Seen, Status, decide, lacks_requests

NOW = 100.0


def live(version: Any, model: Any = "ads") -> Any:
    return SimpleNamespace(version=version, model=model)


def status(**parts: Any) -> Any:
    return Status("ads", "ads", redis_fault=None, **parts)


def refusal(version: Any = "v2", *, again_at: Any = NOW + 1, judged: Any = False) -> Any:
    return Refusal(version, "golden", "golden rows differ", again_at, 5.0, judged)


def seen(active: Any = "v2", **parts: Any) -> Any:
    return Seen(NOW, active, **parts)


ON_V1 = status(live=live("v1"), confirmed=True)
ON_EXAMPLE = status(live=live("v1", "example"), confirmed=True)
FEW = {"enough": False}


@pytest.mark.parametrize(
    ("state", "poll", "action"),
    [
        # nothing is live
        (status(), seen(None), Action.FALL_BACK),
        (status(), seen(), Action.GO_LIVE),
        (status(), seen(**FEW), Action.GO_LIVE),
        (status(refusal=refusal()), seen(), Action.FALL_BACK),
        (status(refusal=refusal("v1")), seen(), Action.GO_LIVE),
        (status(refusal=refusal(again_at=NOW)), seen(), Action.GO_LIVE),
        (status(), seen(previous="v1"), Action.START_ON_PREVIOUS),
        (status(), seen(previous="v2"), Action.GO_LIVE),
        (status(), seen(previous="v1", forced=True), Action.GO_LIVE),
        (status(), seen(previous="v1", judged=False), Action.GO_LIVE),
        # the active version is live
        (ON_V1, seen("v1"), Action.NOTHING),
        (status(live=live("v1")), seen("v1"), Action.CONFIRM),
        # another one is
        (ON_V1, seen(None), Action.NOTHING),
        (ON_V1, seen(), Action.JUDGE),
        (ON_V1, seen(judged=False, enough=False), Action.JUDGE),
        (ON_V1, seen(in_memory=True), Action.JUDGE),
        (ON_V1, seen(forced=True), Action.JUDGE),
        (ON_V1, seen(forced=True, in_memory=True), Action.GO_LIVE),
        (ON_V1, seen(**FEW), Action.JUDGE),
        (ON_V1, seen(**FEW, patient_until=NOW + 1), Action.WAIT),
        (ON_V1, seen(**FEW, patient_until=NOW), Action.JUDGE),
        (ON_V1, seen(patient_until=NOW + 1), Action.JUDGE),
        (ON_V1, seen(**FEW, patient_until=NOW + 1, forced=True), Action.JUDGE),
        # which was refused
        (status(live=live("v1"), refusal=refusal()), seen(), Action.NOTHING),
        (status(live=live("v1"), refusal=refusal(again_at=NOW)), seen(), Action.JUDGE),
        (status(live=live("v1"), refusal=refusal()), seen(forced=True), Action.NOTHING),
        (
            status(live=live("v1"), refusal=refusal(again_at=0.0, judged=True)),
            seen(),
            Action.NOTHING,
        ),
        (
            status(live=live("v1"), refusal=refusal(judged=True)),
            seen(forced=True),
            Action.JUDGE,
        ),
        # another model's version stands in
        (ON_EXAMPLE, seen(), Action.GO_LIVE),
        (ON_EXAMPLE, seen(**FEW, patient_until=NOW + 1), Action.GO_LIVE),
        (ON_EXAMPLE, seen(None), Action.NOTHING),
    ],
)
def test_decide_takes_the_action_of_the_table(state: Any, poll: Any, action: Any) -> None:
    assert decide(state, poll) is action


@pytest.mark.parametrize(
    ("state", "poll", "lacks"),
    [
        (ON_V1, seen(**FEW), True),
        (status(), seen(**FEW), True),
        (ON_V1, seen(), False),
        (ON_V1, seen(**FEW, judged=False), False),
        (ON_V1, seen(**FEW, forced=True), False),
        (ON_EXAMPLE, seen(**FEW), False),
    ],
)
def test_other_workers_are_asked_where_requests_are_lacking(
    state: Any, poll: Any, lacks: bool
) -> None:
    assert lacks_requests(state, poll) is lacks


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (Status("ads", "ads"), "not asked yet"),
        (status(), "nothing is published as model 'ads': run afm-serve publish BUNDLE --model ads"),
        (status(active="v2"), "version v2 is being loaded"),
        (status(active="v2", refusal=refusal()), "version v2 was refused: golden rows differ"),
    ],
)
def test_a_status_without_a_live_version_says_why(state: Any, says: str) -> None:
    with pytest.raises(NoModel, match=says):
        state.require()


def test_a_status_gives_its_live_version_whatever_was_refused() -> None:
    state = status(live=live("v1"), refusal=refusal(again_at=time.monotonic()))
    assert state.require().version == "v1"
