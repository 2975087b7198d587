"""Where the service listens: every address of a name, or a unix socket.

>>> is_local("127.0.0.1"), is_local("0.0.0.0")
(True, False)
"""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import SettingsError

UNIX = "unix:"
UNIX_MODE = 0o660  # who serves, and its group: a proxy joins that
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # localhost has ::1 where IPv6 is off, too


def is_local(host: str) -> bool:
    """Whether only this machine reaches it.

    Raises:
        SettingsError: it is no address of any machine.
    """
    if host.startswith(UNIX):
        return True
    addresses = (str(address[0]).partition("%")[0] for _, address in _addresses(host, 0))
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


@contextmanager
def bound(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Sockets bound to every address of a host, or to `unix:/path`; workers begin to listen on
    them. Port 0 takes a free one, the same on each address.

    Raises:
        SettingsError: it cannot be listened on.
    """
    if host.startswith(UNIX):
        with _unix_socket(Path(host.removeprefix(UNIX))) as opened:
            yield [opened]
        return
    sockets: list[socket.socket] = []
    faults: list[OSError] = []
    try:
        for family, address in _addresses(host, port):
            if port == 0 and sockets:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            try:
                sockets.append(_bind(family, address))
            except OSError as error:
                faults.append(error)
        # what is taken, or forbidden, is a fault though another address is free
        if not sockets or any(fault.errno not in ABSENT for fault in faults):
            raise SettingsError(f"cannot listen on {host}:{port}: {faults[0].strerror}")
        yield sockets
    finally:
        for one in sockets:
            one.close()


def shown(sockets: list[socket.socket], scheme: str) -> list[str]:
    """The addresses of sockets as a log names them."""
    names = []
    for one in sockets:
        at = one.getsockname()
        if one.family == socket.AF_UNIX:
            names.append(f"{UNIX}{at}")
        elif one.family == socket.AF_INET6:
            names.append(f"{scheme}://[{at[0]}]:{at[1]}")
        else:
            names.append(f"{scheme}://{at[0]}:{at[1]}")
    return names


def _addresses(host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "not a host's name"
        raise SettingsError(
            f"AFM_HOST: {host!r} is not an address that can be listened on: {why}"
        ) from error
    return list(dict.fromkeys((one[0], one[4]) for one in found))


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # `::` is every address, those of IPv4 as well
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened


@contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    opened = socket.socket(socket.AF_UNIX)
    try:
        try:
            _remove_what_nobody_answers(path)
            before = os.umask(0o777 & ~UNIX_MODE)
            try:
                opened.bind(str(path))
            finally:
                os.umask(before)
            made = path.stat()
        except OSError as error:
            text = error.strerror or str(error)
            raise SettingsError(f"cannot listen on {UNIX}{path}: {text}") from error
        try:
            yield opened
        finally:
            with suppress(OSError):  # unless another service has taken the path since
                if os.path.samestat(path.stat(), made):
                    path.unlink()
    finally:
        opened.close()


def _remove_what_nobody_answers(path: Path) -> None:
    # a process that was killed leaves its socket's file behind
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"cannot listen on {UNIX}{path}: it is there, and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SettingsError(f"cannot listen on {UNIX}{path}: another process does")
