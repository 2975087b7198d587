"""Private parts of other packages that the service overrides or calls: they are as they were when
that was written. Where a new version moves one, read what changed, mend, and renew its digest.
"""

import hashlib
import inspect
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import httptools
import pytest
import redis
from packaging.requirements import Requirement
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
NEEDS = [Requirement(need) for need in PROJECT["optional-dependencies"]["serve"]]
HOOKS = {
    HttpToolsProtocol.__init__: "4f08999410347141",
    HttpToolsProtocol.connection_made: "6efb565ff3d36b91",
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e29c55",
    HttpToolsProtocol.data_received: "010a7ae59a5d3b1a",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2baef",
    HttpToolsProtocol.on_header: "65d62c044f61fdbd",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad92d8",
    HttpToolsProtocol.on_body: "dba9c32aeba35b6a",
    HttpToolsProtocol.on_message_complete: "1fbad42dc31fc01f",
    HttpToolsProtocol.on_response_complete: "64e254f28e389e76",
    HttpToolsProtocol.shutdown: "d7351fa33f00d430",
    HttpToolsProtocol._start_asgi_task: "9c08c2571ae9b038",
    HttpToolsProtocol._unset_keepalive_if_required: "00a6a4e47214e68e",
    HttpToolsProtocol.timeout_keep_alive_handler: "8b53bf5f2e202970",
    RequestResponseCycle.__init__: "4d2f220910c33c12",
    RequestResponseCycle.run_asgi: "0f33f2449a444bc2",
    RequestResponseCycle.send: "abdd8601b326a8da",
    RequestResponseCycle.receive: "8124ae006be71184",
    FlowControl.__init__: "0152d94a040758b5",
    FlowControl.pause_reading: "7c27388bb984e9ed",
    FlowControl.resume_reading: "a0429d30857e8488",
    Server._serve: "4575b7a50adfede8",
    Server.startup: "2aa1d70a244bfcf2",
    Server.capture_signals: "e1bbcd4770d1c887",
    Server.handle_exit: "553276efa26e09ea",
    Server.main_loop: "afccb353a119333f",
    Server.on_tick: "60ea49b06ccf68c1",
    Server.shutdown: "9b33c50562992b1e",
    redis.Connection._connect: "660740390d04a256",
    redis.UnixDomainSocketConnection._connect: "1e02c33e137f3ff3",
    redis.SSLConnection._connect: "2d27728b160c2c17",
}


@pytest.mark.parametrize("name", ["uvicorn", "httptools", "redis"])
def test_a_package_with_private_hooks_is_pinned_to_one_minor_version(name: str) -> None:
    need = next(need for need in NEEDS if need.name == name)
    major, minor = metadata.version(name).split(".")[:2]
    assert str(need.specifier) == f"<{major}.{int(minor) + 1},>={major}.{minor}"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__qualname__)
def test_a_hook_is_as_it_was(hook: Any) -> None:
    assert digest(hook) == HOOKS[hook]


def digest(hook: Any) -> str:
    return hashlib.sha256(inspect.getsource(hook).encode()).hexdigest()[:16]


class Heard:
    """What a parser tells its protocol."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.upgrades: list[bool] = []
        self.kept: list[bool] = []
        self.heads = 0

    def on_headers_complete(self) -> None:
        self.heads += 1
        self.upgrades.append(self.parser.should_upgrade())

    def on_message_complete(self) -> None:
        self.kept.append(self.parser.should_keep_alive())
        self.upgrades.append(self.parser.should_upgrade())


def test_httptools_stops_where_the_head_of_an_upgrade_ends() -> None:
    heard = Heard()
    head = b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as stopped:
        heard.parser.feed_data(memoryview(head + b"abc"))
    assert stopped.value.args == (len(head),)
    assert heard.upgrades == [True, True]


def test_httptools_reads_nothing_after_a_last_request() -> None:
    heard = Heard()
    heard.parser.set_dangerous_leniencies(lenient_data_after_close=True)
    heard.parser.feed_data(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert heard.heads == 1
    assert heard.kept == [False]
