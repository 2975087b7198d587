"""What strangers try: every path with any key, and requests that go wrong in many ways, each with a
value that must not be found anywhere afterwards.
"""

import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from commands import Commands
from model.bundle.bundle import Bundle
from service.http.access.api_keys import make_key
from until import until

BODY = {"instances": [{"device": "ios", "hour": 21, "ad": "a1"}]}
RIGHTS = ("predict", "explain", "admin")
NEEDED = {
    ("POST", "/predict"): "predict",
    ("POST", "/explain"): "explain",
    ("POST", "/explain/previous"): "explain",
    ("POST", "/whatif"): "explain",
    ("GET", "/whatif"): "explain",
    **dict.fromkeys(
        (
            *(("GET", path) for path in ("/v2", "/v2/models/ads", "/v2/models/ads/ready", "/v2/x")),
            *(("POST", path) for path in ("/v2/models/ads/infer", "/v2/health/live/")),
        ),
        "predict",
    ),
}
CLOSED = [
    *NEEDED,
    *(
        ("GET", path)
        for path in ("/metrics", "/model", "/docs/", "/docs/files/x", "/new", "/page/x", "/v2x")
    ),
    *(("POST", path) for path in ("/model", "/predict/", "/new/predict", "/PREDICT", "/readyz/")),
]
VALUE = "private-4711"
PASSWORD = "redis-secret-0815"  # noqa: S105  to be looked for


def ask(
    client: httpx.Client, method: str, path: str, key: str | None = None, **headers: str
) -> httpx.Response:
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return client.request(method, path, json=BODY if method == "POST" else None, headers=headers)


def look_for_leaks(
    commands: Commands,
    bundle: Bundle,
    path: Path,
    url: str,
    server: "subprocess.Popen[bytes]",
    workers: int = 1,
) -> int:
    """How many bytes of logs, metrics, errors and readiness say nothing that they must not.

    `path`: for a file of keys; `url`: of a Redis of PASSWORD, which is killed meanwhile.
    """
    env: dict[str, Any] = {"AFM_REDIS_URL": url, "AFM_API_KEYS": str(path)}
    made = {right: make_key(path, right, [right]) for right in RIGHTS}
    done = commands.run("publish", str(bundle.directory), **env)
    assert done.returncode == 0, done.stderr
    failed = commands.run("versions", **{**env, "AFM_REDIS_URL": url.replace("0815", "0816")})
    assert failed.returncode != 0
    errors = []
    with commands.serving(workers, AFM_LOG_LEVEL="debug", **env) as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        assert core_limit(served.process.pid) == ("0", "0")
        for key in (*made.values(), f"afm_{VALUE}", None):
            with httpx.Client(base_url=served.url, timeout=10) as client:
                errors += drive(client, key)
        errors += raw_garbage(served.port)
        server.kill()
        with httpx.Client(base_url=served.url, timeout=10) as client:
            until(lambda: '"redis": "ok"' not in ask(client, "GET", "/readyz", made["admin"]).text)
            errors.append(ask(client, "GET", "/readyz", made["admin"]).text)
            errors += drive(client, made["predict"])
            errors.append(ask(client, "GET", "/metrics", made["admin"]).text)
    log = served.log.read_text()
    assert len(errors) > 100
    said = [log, *errors, failed.stdout + failed.stderr]
    for secret in (VALUE, PASSWORD, PASSWORD.replace("0815", "0816"), *made.values()):
        for text in said:
            assert secret not in text, (secret, text[-2000:])
    return sum(len(text.encode()) for text in said)


def core_limit(pid: int) -> tuple[str, ...]:
    """What a process may write of itself when it crashes: soft and hard limit, in bytes."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    found = re.search(r"Max core file size +(\w+) +(\w+) ", limits)
    assert found
    return found.groups()


def drive(client: httpx.Client, key: str | None) -> list[str]:
    """Requests that go wrong in many ways, each with a value to be looked for; what came back."""
    fine, kind = {"ad": VALUE}, {"content-type": "application/json"}
    bodies = [
        {"instances": [fine, {"device": {VALUE: 1}}]},
        {"instances": [fine, {"price": VALUE}]},
        {"instances": [fine, {"price": [VALUE]}]},
        {"instances": [{"ad": [VALUE, [VALUE]]}]},
        {"instances": [VALUE]},
        {"instances": VALUE},
        {"context": VALUE, "candidates": [fine]},
        {"context": fine, "candidates": [fine], "instances": [fine]},
        {"context": {"price": VALUE}, "candidates": [fine]},
        {"instances": [fine], "timeout_ms": VALUE},
        {"instances": [fine], "timeout_ms": 1e-9},
        {"instances": [fine], "top": VALUE},
        {"instances": [{"nothing": VALUE}]},
    ]
    texts = [
        f'{{"instances": [{{"ad": "{VALUE}"',
        f'{{"instances": [{{"ad": "{VALUE}", "price": NaN}}]}}',
        f'{{"instances": [{{"ad": "{VALUE}\\ud800"}}]}}',
        f"{VALUE}",
        "[" * 3000 + f'"{VALUE}"',
    ]
    found = []
    for path in ("/predict", "/explain", "/v2/models/default/infer"):
        sent = kind if key is None else {**kind, "x-api-key": key}
        answers = [client.post(path, json=body, headers=sent) for body in bodies]
        answers += [client.post(path, content=text, headers=sent) for text in texts]
        answers += [
            client.post(path, content=VALUE.encode() + b"\xff", headers=sent),
            client.post(path, content=VALUE, headers={**sent, "content-type": VALUE}),
            client.post(f"{path}/{VALUE}?{VALUE}=1", json=bodies[0], headers=sent),
            client.get(f"{path}?user={VALUE}", headers={**sent, "cookie": VALUE}),
            client.request("DELETE", f"/{VALUE}", headers=sent),
        ]
        assert all(answer.status_code >= 400 for answer in answers)
        found += [answer.text + str(answer.headers) for answer in answers]
        data = {"name": "ad", "datatype": "BYTES", "shape": [1], "data": [VALUE]}
        scores = {"inputs": [data]} if "v2" in path else {"instances": [fine]}
        scored = client.post(path, json=scores, headers=sent)
        assert scored.status_code in (200, 401, 403)
    return found


def raw_garbage(port: int) -> list[str]:
    """What is not HTTP, with the value in it; what came back."""
    found = []
    for sent in (
        f"GET /{VALUE} HTTP/9.9\r\n\r\n",
        f"{VALUE}\r\n\r\n",
        f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {VALUE}\r\n\r\n",
        f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{VALUE}",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(sent.encode())
            connection.shutdown(socket.SHUT_WR)
            found.append(connection.recv(65536).decode(errors="replace"))
    return found
