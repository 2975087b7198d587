"""Backends of two workers restarted in turn behind real proxies, under load: no request fails."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, Serving
from proxies import proxy

CALLERS, A_SECOND = 8, 200
BODY = json.dumps({"instances": [{"device": "ios", "ad": "a1"}]})
HEADERS = {"content-type": "application/json"}
PLAIN = """
upstream ads { server 127.0.0.1:8001; server 127.0.0.1:8002; }
server { listen 127.0.0.1:8080; location / { proxy_pass http://ads; } }
"""


class Load:
    """`A_SECOND` requests a second, whatever becomes of them; `answers` counts by status."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: Counter[str] = Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(n,)) for n in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        due = time.monotonic() + number / A_SECOND
        while not self.over.wait(max(due - time.monotonic(), 0)):
            due += CALLERS / A_SECOND
            try:
                connection.request("POST", "/predict", BODY, HEADERS)
                answer = connection.getresponse()
                answer.read()
                self.answers[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as fault:
                self.answers[repr(fault)] += 1
                connection.close()
        connection.close()

    def end(self) -> Counter[str]:
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.answers


@pytest.mark.parametrize("way", ["nginx", "nginx, HTTP/1.0", "haproxy"])
def test_rolling_restarts_fail_nobody(
    way: str, backends: Callable[..., list[Serving]], commands: Commands, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "AFM_DRAIN_SECONDS": ""
    }  # an empty one is the default: what a user has
    one, two = backends(2, **settings)
    kind = way.partition(",")[0]
    site = PLAIN if way != kind else None
    with proxy(kind, tmp_path, one.port, two.port, site=site) as port, ExitStack() as running:
        load = Load(port)
        try:
            time.sleep(1)
            for served in (one, two):
                assert served.stop() == 0
                again = running.enter_context(
                    commands.serving(workers=2, port=served.port, **settings)
                )
                again.wait_until("/readyz", lambda answer: answer.status_code == 200)
                time.sleep(7)  # until HAProxy sees it again, by its own intervals
        finally:
            answers = load.end()
    assert set(answers) == {"200"}, answers
    assert answers["200"] > 40 * A_SECOND
