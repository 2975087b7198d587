"""The container engine that the tests here run on, and its images, built once."""

import os
from collections.abc import Callable, Iterator

import pytest

from compose_stack import Stack, docker, engine_problem


@pytest.fixture(scope="session")
def new_stack() -> Iterator[Callable[..., Stack]]:
    """Makes compose projects, taken down at the end."""
    if problem := engine_problem():
        pytest.skip(problem)
    built = docker("compose", "--profile", "scale", "build")
    assert built.returncode == 0, built.stderr[-4000:]
    made: list[Stack] = []

    def make(**settings: str) -> Stack:
        stack = Stack(f"ctr-afm-e2e-{os.getpid()}-{len(made)}", settings=settings)
        made.append(stack)
        return stack

    try:
        yield make
    finally:
        for stack in made:
            stack.down()
