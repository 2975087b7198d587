"""Addresses and unix sockets to listen on, and what is said of those that cannot be."""

import socket
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.http.listening import bound, end_listening, is_local, shown


def test_a_unix_socket_is_for_user_and_group_and_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "afm.sock"
    with bound(f"unix:{path}", 8000) as (opened,):
        opened.listen()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert shown([opened], "http") == [f"unix:{path}"]
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    assert not path.exists()


def test_a_socket_s_file_that_a_killed_process_left_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "afm.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with bound(f"unix:{path}", 0) as (opened,):
        opened.listen()
        assert path.is_socket()


def test_a_socket_s_file_of_a_successor_is_left(tmp_path: Path) -> None:
    path = tmp_path / "afm.sock"
    with bound(f"unix:{path}", 0), socket.socket(socket.AF_UNIX) as successor:
        path.unlink()
        successor.bind(str(path))
        made = path.stat().st_ino
    assert path.stat().st_ino == made


def test_a_path_that_another_process_listens_on_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "afm.sock"
    with bound(f"unix:{path}", 0) as (opened,):
        opened.listen()
        with pytest.raises(SettingsError, match="another process does"), bound(f"unix:{path}", 0):
            pass
        assert path.is_socket()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "it is there, and is no socket"),
        ("no/such/folder/afm.sock", "No such file"),
        ("x" * 200, "path too long"),
    ],
)
def test_a_path_that_cannot_be_a_socket_is_named_with_the_reason(
    name: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    said = rf"cannot listen on unix:{tmp_path}.*{why}"
    with pytest.raises(SettingsError, match=said), bound(f"unix:{tmp_path / name}", 0):
        pass
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_stand_in_brackets(host: str) -> None:
    with bound(host, 0) as (opened,):
        assert opened.getsockname()[0] == "::1"
        assert shown([opened], "https")[0].startswith("https://[::1]:")


def test_every_address_of_a_name_has_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [
        (family, socket.SOCK_STREAM, 0, "", address)
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_INET6, ("::1", 0, 0, 0)),
        )
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with bound("both", 0) as sockets:
        assert [one.getsockname()[0] for one in sockets] == ["127.0.0.1", "::1"]
        assert len({one.getsockname()[1] for one in sockets}) == 1


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = rf"cannot listen on 127.0.0.1:{port}: Address already in use"
        with pytest.raises(SettingsError, match=said), bound("127.0.0.1", port):
            pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "300.0.0.1", "a b", "[::1", "x" * 70])
def test_host_that_is_no_address_is_called_so(host: str) -> None:
    with pytest.raises(SettingsError, match=r"AFM_HOST: .* is not an address that can be listened"):
        is_local(host)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("localhost", True),
        ("unix:/run/afm.sock", True),
        ("0.0.0.0", False),  # noqa: S104 - asked about, not listened on
        ("::", False),
        ("192.0.2.1", False),
    ],
)
def test_local_is_what_no_other_machine_reaches(host: str, local: bool) -> None:
    assert is_local(host) is local


class Busy(socket.socket):
    """The socket of a process that the machine stops just before the end, while callers come."""

    def close(self) -> None:
        for caller in self.late:
            caller.start()
        time.sleep(0.05)
        super().close()

    late: Sequence[threading.Thread] = ()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "unix:"])
def test_no_connection_that_was_made_is_reset_at_the_end(tmp_path: Path, host: str) -> None:
    """Callers connect all the time: each is answered or refused."""
    ends: list[str] = []

    def ask() -> None:
        while True:
            with socket.socket(opened.family) as caller:
                caller.settimeout(10)
                try:
                    caller.connect(address)
                    if caller.recv(1) != b"x":
                        ends.append("closed without an answer")
                        return
                except OSError as error:
                    ends.append(type(error).__name__)
                    return

    with bound(f"{host}{tmp_path}/afm.sock" if host == "unix:" else host, 0) as (made,):
        opened = Busy(fileno=made.dup().detach())
        opened.listen(100)
        address = opened.getsockname()
        made.close()
        callers = [threading.Thread(target=ask) for _ in range(8)]
        opened.late = callers[4:]
        for caller in callers[:4]:
            caller.start()
        for _ in range(200):
            with opened.accept()[0] as one:
                one.sendall(b"x")
        opened.setblocking(False)
        for one in end_listening([opened], shared=False, all_end=True):
            with one:
                one.sendall(b"x")
        for caller in callers:
            caller.join()
    assert ends == ["ConnectionRefusedError"] * len(callers)
