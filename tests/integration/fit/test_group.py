"""Processes that share a fit end with the weights of one that is alone, to the bit."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import shared_fit


def processes(members: int, ends: int = -1, *kept: Path) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        first = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, shared_fit.__file__, first]
    return [
        subprocess.Popen(
            [*command, *map(str, (number, members, ends, *kept))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for number in range(members)
    ]


def found(members: int, *kept: Path) -> list[dict[str, str]]:
    outputs = [process.communicate() for process in processes(members, -1, *kept)]
    assert all(out for out, _ in outputs), outputs
    return [json.loads(out) for out, _ in outputs]


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    return found(1)[0]


@pytest.mark.parametrize("members", [2, 3])
def test_members_of_a_group_end_with_the_weights_of_one_process(
    alone: dict[str, str], members: int
) -> None:
    assert len(set(alone.values())) == len(alone)
    assert found(members) == [alone] * members


def test_who_is_left_is_told_that_a_member_was_lost() -> None:
    first, second = processes(2, ends=0)
    first.communicate()
    _, said = second.communicate()
    assert (first.returncode, second.returncode) == (9, 1)
    assert "MemberLostError" in said


def test_a_step_goes_on_within_an_epoch_with_another_number_of_members(tmp_path: Path) -> None:
    whole = found(1, tmp_path / "whole")
    kept = tmp_path / "lost"
    first, second = processes(2, 1, kept)
    second.communicate()
    first.communicate()
    (state,) = torch.load(kept, weights_only=True)["steps"].values()
    assert state["within"]["batches"] >= 1
    for members in (1, 3):
        again = tmp_path / f"by {members}"
        shutil.copy(kept, again)
        assert found(members, again) == whole * members
