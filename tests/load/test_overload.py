"""Four times what a worker can answer, at a constant rate whatever it answers, and idle connections
beside it: it answers about as much as at its peak, keeps no long queue and refuses the rest at
once.

No bound is one of time, as tests share their cores: what it answers is counted by its own time of
the processor, and how long an answer took by the answers given meanwhile.
benchmarks/promises/overload.py has the figures,
tests/integration/http/test_admission.py what a refusal is spared.
"""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from traffic.load import Answer, request_bytes, run_counted_load, run_load

from commands import Commands
from model.bundle.bundle import Bundle

PEAK_SECONDS, FLOOD_SECONDS, CALM_SECONDS = 2.0, 4.0, 2.0
LONG = 0.5  # of all answers; in a queue of all that comes one waits for three quarters of them
CONNECTIONS, IDLE = 128, 300
CONTEXT = {"device": "ios", "hour": 21, "interests": ["cars", "golf"]}
BODIES = [
    {"context": CONTEXT, "candidates": [{"ad": f"a{i % 13}", "price": i + n} for i in range(400)]}
    for n in range(8)
]
REQUESTS = [request_bytes("/predict", body) for body in BODIES]


def at(rate: Any, seconds: Any) -> Any:
    """When requests are due."""
    return np.arange(int(rate * seconds)) / rate


def processor_seconds(served: Any) -> Any:
    """What the worker has taken so far."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answered_meanwhile(asked: list[Answer], answered: list[Answer]) -> Any:
    """For each of `asked`: how many were `answered` from when it was due to its own answer."""
    ends = np.sort([one.due + one.latency for one in answered])
    due = np.array([one.due for one in asked])
    latency = np.array([one.latency for one in asked])
    return np.searchsorted(ends, due + latency) - np.searchsorted(ends, due)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Any]:
    commands = Commands(tmp_path_factory.mktemp("overload"))
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_MAX_WAIT_MS="100") as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        yield served


class Asking(threading.Thread):
    """Asks now and then; keeps the status of each answer, and whether it says when to ask again."""

    def __init__(self, url: Any) -> None:
        super().__init__()
        self.url = url
        self.over = threading.Event()
        self.seen: set[Any] = set()

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self.over.wait(0.05):
                answer = client.post(self.url, json=BODIES[0])
                self.seen.add((answer.status_code, "retry-after-ms" in answer.headers))


def test_four_times_the_peak_is_answered_as_well_as_the_peak_and_the_rest_refused(
    served: Any,
) -> None:
    port = served.port
    with ExitStack() as held:
        for _ in range(IDLE):  # what is open counts for nothing
            caller = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            caller.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        run_load(port, REQUESTS, 4, PEAK_SECONDS / 4)
        begun = processor_seconds(served)
        peak = run_load(port, REQUESTS, 4, PEAK_SECONDS).requests_per_second
        at_peak = peak * PEAK_SECONDS / (processor_seconds(served) - begun)
        asking = Asking(served.url + "/predict")
        asking.start()
        begun = processor_seconds(served)
        flood = run_counted_load(
            port, REQUESTS, CONNECTIONS, at(4 * peak, FLOOD_SECONDS), keep=True
        )
        spent = processor_seconds(served) - begun
        asking.over.set()
        after = run_counted_load(port, REQUESTS, 4, 1 + at(peak / 4, CALM_SECONDS))
        asking.join()
    good = [answer for answer in flood if answer.status == 200]
    refused = [answer for answer in flood if answer.status == 429]
    assert len(good) + len(refused) == len(flood)
    assert len(refused) > len(good)
    # three refusals go with each answer at four times the peak, whatever else slowed this one down
    refusal = (spent * at_peak - len(good)) / len(refused)  # what it costs, in answers
    assert 1 - 3 * refusal > 0.25
    assert np.quantile(answered_meanwhile(good, good), 0.99) < LONG * len(good)
    assert np.quantile(answered_meanwhile(refused, good), 0.5) < LONG * len(good)
    codes = {json.loads(one.body)["code"] for one in flood if one.status == 429}
    assert codes == {"overloaded"}
    assert asking.seen == {(200, False), (429, True)}
    assert {answer.status for answer in after} == {200}
