"""Who may not come in, and what nobody may read. Two workers with the service's login of Redis:
every path with no key, with wrong ones and with one of each right; keys that are revoked; what
Redis refuses that login. Then all that two workers say at level debug, while callers send what goes
wrong and Redis is lost, is searched for secrets and values.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from bundles import tiny_bundle
from processes.product import command
from processes.servers import clean_environment, free_port, started
from results import verdict
from traffic.load import Connection

sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests/support")
)  # the intruders are those of the tests
from commands import Commands
from intruders import BODY, CLOSED, NEEDED, PASSWORD, RIGHTS, look_for_leaks
from model.bundle.bundle import Bundle
from own_redis import own_redis
from redis_users import FOR_NOBODY, WRITES, guarded_redis, logins_of, refused
from service.http.access.api_keys import make_key
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish

WORKERS, REVOKED = 2, 10
REVOKED_SECONDS = 2.0
OPEN = [("GET", "/healthz"), ("GET", "/readyz")]
WRONG = {"none": None, "a wrong one": "afm_guessed", "an endless one": "x" * 5000}


def measure() -> list[tuple[str, str, str]]:
    """Try everything."""
    with tempfile.TemporaryDirectory(prefix="afm-unauthenticated-") as folder:
        home = Path(folder)
        bundle = tiny_bundle(home / "tiny")
        return [*_at_the_door(home, bundle), _leaks(home / "leaks", bundle)]


def _at_the_door(home: Path, bundle: Bundle) -> list[tuple[str, str, str]]:
    path = home / "keys"
    keys = {right: make_key(path, f"the-{right}", [right]) for right in RIGHTS}
    with guarded_redis(home) as redis_port:
        logins = logins_of(home, redis_port)
        store = VersionStore(logins["publisher"], "default")
        publish(bundle.directory, store, BundleStore(home / "bundles"))
        environment = clean_environment() | {
            "AFM_REDIS_URL": logins["service"],
            "AFM_BUNDLES": str(home / "bundles"),
            "AFM_API_KEYS": str(path),
        }
        port = free_port()
        run = [*command("afm-serve"), "run", "--port", str(port), "--workers", str(WORKERS)]
        ready = f"http://127.0.0.1:{port}/readyz"
        with started(run, environment, home / "log", ready) as process:
            with _one_each(port, process.pid) as connections:
                asked = sum(_every_path(connection, keys) for connection in connections)
            took = [_revoke(path, port, process.pid, i) for i in range(REVOKED)]
            tried = {
                user: (commands, refused(logins[user], commands))
                for user, commands in (("service", WRITES + FOR_NOBODY), ("publisher", FOR_NOBODY))
            }
            with _one_each(port, process.pid) as connections:
                for connection in connections:
                    assert _ask(connection, "POST", "/predict", keys["predict"]) == 200
        store.close()
    through = {user: some for user, (_, some) in tried.items() if some}
    assert not through, f"Redis let through: {through}"
    slowest = float(np.max(took))
    ways = len(WRONG) + len(RIGHTS)
    return [
        (
            f"{len(CLOSED) + len(OPEN)} paths by {ways} callers (no key, two wrong ones, one of "
            f"each right), at each of {WORKERS} workers",
            f"{asked} answers, all as they should be",
            "only the right's own paths",
        ),
        (
            f"{REVOKED} keys revoked: until each of {WORKERS} workers refuses them",
            f"median {np.median(took):.2f} s, slowest {slowest:.2f} s",
            verdict(f"within {REVOKED_SECONDS:g} s", slowest <= REVOKED_SECONDS),
        ),
        (
            "commands of Redis by the service's user, and by a publisher's, that are not theirs",
            " and ".join(f"{len(commands)} refused" for commands, _ in tried.values()),
            "all refused",
        ),
    ]


def _every_path(connection: Connection, keys: dict[str, str]) -> int:
    asked = 0
    for caller, key in {**WRONG, **keys}.items():
        for method, path in CLOSED:
            status = _ask(connection, method, path, key)
            needed = NEEDED.get((method, path), "admin")
            if caller in WRONG:
                right = status == 401
            else:
                right = status not in (401, 403) if caller == needed else status == 403
            assert right, (method, path, caller, status)
            asked += 1
        for method, path in OPEN:
            assert _ask(connection, method, path, key) == 200, (method, path, caller)
            asked += 1
    return asked


def _revoke(path: Path, port: int, parent: int, number: int) -> float:
    # how long until the last worker refuses it
    name = f"gone{number}"
    key = make_key(path, name, ["predict"])
    with _one_each(port, parent) as connections:
        for connection in connections:
            while _ask(connection, "POST", "/predict", key) != 200:
                time.sleep(0.02)
        time.sleep(number / REVOKED)  # any moment between two looks at the file
        kept = [line for line in path.read_text().splitlines() if not line.startswith(name)]
        path.write_text("\n".join(kept) + "\n")
        begun = time.monotonic()
        for connection in connections:
            while _ask(connection, "POST", "/predict", key) != 401:
                time.sleep(0.005)
        return time.monotonic() - begun


def _ask(connection: Connection, method: str, path: str, key: str | None) -> int:
    body = json.dumps(BODY).encode() if method == "POST" else b""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    if key is not None:
        head += f"x-api-key: {key}\r\n"
    connection.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    while connection.receive(any_status=True) is None:
        pass
    return connection.status


@contextmanager
def _one_each(port: int, parent: int) -> Iterator[list[Connection]]:
    """A connection to each worker."""
    found: dict[int, Connection] = {}
    spare = []
    while len(found) < WORKERS:
        connection = Connection(port)
        _ask(connection, "GET", "/healthz", None)  # so that a worker has it
        pid = _holder(parent, connection.socket.getsockname()[1])
        if pid in found:
            spare.append(connection)
        else:
            found[pid] = connection
    try:
        yield list(found.values())
    finally:
        for connection in (*found.values(), *spare):
            connection.close()


def _holder(parent: int, port: int) -> int:
    # the worker at the other end of a connection from our `port`
    for process in psutil.Process(parent).children():
        for one in process.net_connections("tcp"):
            if one.raddr and one.raddr.port == port:
                return int(process.pid)
    raise RuntimeError(f"no worker has the connection from port {port}")


def _leaks(home: Path, bundle: Bundle) -> tuple[str, str, str]:
    home.mkdir()
    with own_redis(home / "redis", "--requirepass", PASSWORD) as (server, port):
        url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        searched = look_for_leaks(Commands(home), bundle, home / "keys", url, server, WORKERS)
    return (
        f"logs at level debug, metrics, errors and readiness of {WORKERS} workers, Redis lost "
        "meanwhile, searched for API keys, passwords and raw values",
        f"{searched:,} bytes, 0 found",
        "0 found",
    )
