"""Callers that ask all the while, at a steady rate, and what came of each of their requests."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from compose_stack import say

CALLERS = 32  # more than wait for a replica that is gone, so that the rate holds
PER_SECOND = 200  # of all callers together
REPEAT_SECONDS = 0.1  # between two attempts


@contextmanager
def asked(
    url: str, request: dict[str, Any], callers: dict[str, Any], repeat_seconds: float = 0.0
) -> Iterator[Counter[str]]:
    """POST `request` to `url` by callers that keep their connections. Yields how often each version
    answered with which scores (`"v1 [0.5, 0.25]"`), and how often whatever else happened, by its
    text. `callers`: how they ask, as httpx has it. `repeat_seconds`: for so long a request whose
    connection failed is asked again.
    """
    found: Counter[str] = Counter()
    repeated: Counter[str] = Counter()
    done = threading.Event()

    def ask(offset: float) -> None:
        with httpx.Client(timeout=10, **callers) as client:
            due = time.monotonic() + offset
            while not done.wait(max(0, due - time.monotonic())):
                due = max(due + CALLERS / PER_SECOND, time.monotonic() - 1)
                give_up = time.monotonic() + repeat_seconds
                while True:
                    try:
                        answer = client.post(url, json=request)
                    except httpx.HTTPError as error:
                        if time.monotonic() < give_up:
                            repeated[repr(error)] += 1
                            time.sleep(REPEAT_SECONDS)
                            continue
                        found[repr(error)] += 1
                    else:
                        found[_scores(answer.json()) if answer.is_success else answer.text] += 1
                    break

    threads = [threading.Thread(target=ask, args=(n / PER_SECOND,)) for n in range(CALLERS)]
    for one in threads:
        one.start()
    started = time.monotonic()
    try:
        time.sleep(1)
        yield found
        time.sleep(1)
    finally:
        done.set()
        for one in threads:
            one.join()
        seconds = time.monotonic() - started
        say(f"{found.total()} requests, {found.total() / seconds:.0f} a second: {dict(found)}")
        if repeated:
            say(f"asked again after {dict(repeated)}")


def versions(found: Counter[str]) -> list[str]:
    """The version of each kind of answer, or what came instead of one: a version that stands there
    twice gave one row two scores.
    """
    return sorted(kind.partition(" [")[0] for kind in found)


def _scores(answer: dict[str, Any]) -> str:
    return f"{answer['version']} {answer['probabilities']}"
