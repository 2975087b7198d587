"""A load whose answers must stay the same, whatever happens meanwhile."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from traffic.background import background
from traffic.load import Connection

CONNECTIONS = 8  # of callers; each new one is any worker's
PAUSE = 0.02  # seconds of a caller between two requests
SAME = 1e-6  # two workers may have chosen two graphs for the same rows


@contextmanager
def same_answers(
    port: int, requests: list[bytes], right: list[list[float]]
) -> Iterator[list[float]]:
    """Asked until the block ends; yields by how much each answer differs from the right one.

    Raises:
        AssertionError: an answer that is not 200, or not the same.
    """
    answers: list[float] = []

    def ask(stopping: threading.Event) -> None:
        connection = Connection(port)
        try:
            while not stopping.is_set():
                number = random.randrange(len(requests))
                found = probabilities(connection.ask(requests[number]))
                differs = max(abs(a - b) for a, b in zip(found, right[number], strict=True))
                assert differs <= SAME, "other probabilities"
                answers.append(differs)
                time.sleep(PAUSE)
        finally:
            connection.close()

    with background(ask, CONNECTIONS):
        yield answers


def probabilities(answer: Any) -> list[float]:
    """The probabilities of an answer to /predict."""
    found: list[float] = answer["probabilities"]
    return found
