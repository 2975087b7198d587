"""Processes that share a fit end with the weights of one that is alone, to the bit."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
import torch

import shared_fit
from narrowing import not_none

Group = Callable[..., list[tuple[int, str]]]


@pytest.fixture(scope="module")
def group() -> Iterator[Group]:
    """`group(members, ends, kept)`: the exit status of each member, and what it said."""
    root = Path(__file__).parents[3]
    command = [sys.executable, shared_fit.__file__]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=root) as process:
        asks, answers = not_none(process.stdin), not_none(process.stdout)

        def run(members: int, ends: int = -1, kept: Path | None = None) -> list[tuple[int, str]]:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                first = f"tcp://127.0.0.1:{free.getsockname()[1]}"
            asked = first, members, ends, str(kept) if kept else None
            asks.write(json.dumps(asked) + "\n")
            asks.flush()
            answer: list[tuple[int, str]] = json.loads(answers.readline())
            return answer

        yield run
        asks.close()


def found(group: Group, members: int, kept: Path | None = None) -> list[dict[str, str]]:
    answers = group(members, -1, kept)
    assert [status for status, _ in answers] == [0] * members, answers
    return [json.loads(said) for _, said in answers]


@pytest.fixture(scope="module")
def alone(group: Group) -> dict[str, str]:
    return found(group, 1)[0]


@pytest.mark.parametrize("members", [2, 3])
def test_members_of_a_group_end_with_the_weights_of_one_process(
    group: Group, alone: dict[str, str], members: int
) -> None:
    assert len(set(alone.values())) == len(alone)
    assert found(group, members) == [alone] * members


def test_who_is_left_is_told_that_a_member_was_lost(group: Group) -> None:
    (first, _), (second, said) = group(2, 0)
    assert (first, second) == (9, 1)
    assert "MemberLostError" in said


def test_a_step_goes_on_within_an_epoch_with_another_number_of_members(
    group: Group, tmp_path: Path
) -> None:
    whole = found(group, 1, tmp_path / "whole")
    kept = tmp_path / "lost"
    group(2, 1, kept)
    (state,) = torch.load(kept, weights_only=True)["steps"].values()
    assert state["within"]["batches"] >= 1
    for members in (1, 3):
        again = tmp_path / f"by {members}"
        shutil.copy(kept, again)
        assert found(group, members, again) == whole * members
