"""Callers of a stack of containers that asks for API keys."""

from collections import Counter
from contextlib import AbstractContextManager

import httpx

from compose_stack import Stack
from steady_callers import asked

ROWS = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}


def asked_all_the_while(stack: Stack) -> AbstractContextManager[Counter[str]]:
    """Within it callers with the key of the stack ask without a pause; what they were answered."""
    return asked(f"{stack.url}/predict", ROWS, stack.callers)


def new_key(stack: Stack, name: str) -> str:
    """A new API key, made as an operator makes it."""
    made = stack.make("key", f"NAME={name}", "RIGHTS=predict,admin")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def status(stack: Stack, key: str) -> int:
    """The status that a caller with this key is answered."""
    how = {**stack.callers, "headers": {"x-api-key": key}}
    return httpx.post(f"{stack.url}/predict", json=ROWS, **how).status_code
