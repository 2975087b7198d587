"""Real clients and proxies: `make clients` runs these tests, `make test` does not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, Serving
from model.bundle.bundle import Bundle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.clients)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Serving]:
    """One service of one worker, which the clients of this session share."""
    commands = Commands(tmp_path_factory.mktemp("service"))
    commands.publish(tiny_bundle.directory)
    with commands.serving() as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        yield served


@pytest.fixture
def backends(commands: Commands, tiny_bundle: Bundle) -> Iterator[Callable[..., list[Serving]]]:
    """`backends(number, workers=2, **settings)`: services of the tiny bundle, which are ready."""
    commands.publish(tiny_bundle.directory)
    with ExitStack() as running:

        def start(number: int = 2, workers: int = 2, **env: Any) -> list[Serving]:
            found = [
                running.enter_context(commands.serving(workers=workers, **env))
                for _ in range(number)
            ]
            for served in found:
                served.wait_until("/readyz", lambda answer: answer.status_code == 200)
            return found

        yield start
