"""A body that is a request, sent through nginx with the map that most guides to WebSockets give:
every other caller gets its own answer.
"""

import http.client
import json
import socket
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from commands import Commands
from model.bundle.bundle import Bundle
from proxies import proxy
from service.http.access.api_keys import make_key

SITE = """
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
upstream ads { server 127.0.0.1:8001; keepalive 32; }
server {
    listen 127.0.0.1:8080;
    location / {
        proxy_pass http://ads;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        client_max_body_size 8m;
        proxy_request_buffering off;  # head and body leave in packets of their own
    }
}
"""
CALLERS, THREADS, ATTACKS = 200, 4, 20
WANTED = json.dumps({"context": {"device": "ios"}, "candidates": [{"ad": "a1"}] * 4500}).encode()
OWN = json.dumps({"context": {"device": "ios"}, "candidates": [{"ad": "a1"}] * 2})
HEAD = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def attack(port: Any) -> Any:
    """The answers to one request whose body is another one."""
    inner = f"{HEAD}content-length: {len(WANTED)}\r\n\r\n".encode() + WANTED
    more = f"connection: upgrade\r\nupgrade: foo\r\ncontent-length: {len(inner)}\r\n\r\n"
    got = b""
    with socket.create_connection(("127.0.0.1", port), 10) as found, suppress(TimeoutError):
        found.sendall((HEAD + more).encode() + inner)
        found.settimeout(0.5)  # nginx keeps it open
        while part := found.recv(1 << 16):
            got += part
    return got


@pytest.mark.parametrize("keys", [False, True])
def test_through_nginx_each_caller_gets_its_own_answer(
    keys: bool, commands: Commands, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    commands.publish(tiny_bundle.directory)
    headers = {"content-type": "application/json"}
    settings: dict[str, Any] = {}
    if keys:
        headers["x-api-key"] = make_key(tmp_path / "keys", "shop", ["predict"])
        settings["AFM_API_KEYS"] = str(tmp_path / "keys")
    answers: Counter[tuple[int, int]] = Counter()

    def ask(port: Any) -> None:
        for _ in range(CALLERS // THREADS):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", "/predict", OWN, headers)
            answer = connection.getresponse()
            answered = json.loads(answer.read())
            answers[answer.status, len(answered.get("probabilities", []))] += 1
            connection.close()

    with commands.serving(**settings) as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        with proxy("nginx", tmp_path, served.port, site=SITE) as port:
            asking = [threading.Thread(target=ask, args=(port,)) for _ in range(THREADS)]
            for thread in asking:
                thread.start()
            attacked = [attack(port) for _ in range(ATTACKS)]
            for thread in asking:
                thread.join()
        assert "pgrade" not in served.log.read_text()
    assert answers == {(200, 2): CALLERS}
    for got in attacked:
        assert got.count(b"HTTP/1.1 ") == 1
        assert got.startswith(b"HTTP/1.1 401 " if keys else b"HTTP/1.1 400 ")
