"""Where the service listens: every address of a name, or a unix socket.

>>> is_local("127.0.0.1"), is_local("0.0.0.0")
(True, False)
"""

import ctypes
import errno
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import SettingsError

UNIX = "unix:"
UNIX_MODE = 0o660  # who serves, and its group: a proxy joins that
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # localhost has ::1 where IPv6 is off, too
SO_ATTACH_FILTER = 26  # Linux, on most architectures; Python has no name for it
DROP_SYN = (  # classic BPF: its fields are code, jump if true, jump if false, k
    (0x30, 0, 0, 13),  # load the byte of the TCP flags
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # yes: drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # no: keep it
)


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


def end_listening(
    sockets: list[socket.socket], *, shared: bool, all_end: bool
) -> list[socket.socket]:
    """Close listening sockets; return the connections that waited there.

    The kernel resets what waits at a socket when the last process closes it. So all that waits is
    taken first, and where `all_end`, every process that listens on it, none comes in between.
    `shared`: several processes do; on a unix socket that others still poll, this is not possible.
    """
    accepted: list[socket.socket] = []
    for one in sockets:
        if all_end and not (shared and one.family == socket.AF_UNIX):
            _take_no_more(one)
        with suppress(OSError):  # no connection waits there any more
            while True:
                accepted.append(one.accept()[0])
        one.close()
    return accepted


def _take_no_more(one: socket.socket) -> None:
    # a SYN that is dropped comes again after a second, and is refused then
    with suppress(OSError):  # a sandbox may forbid filters
        if one.family == socket.AF_UNIX:
            one.shutdown(socket.SHUT_RD)
        else:
            program = b"".join(struct.pack("HBBI", *step) for step in DROP_SYN)
            held = ctypes.create_string_buffer(program)
            found = struct.pack("HP", len(DROP_SYN), ctypes.addressof(held))
            one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, found)


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
