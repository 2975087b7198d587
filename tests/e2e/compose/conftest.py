"""The stack that the tests of this folder share, and a folder for the logs that it trains on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compose_stack import Stack


@pytest.fixture(scope="package")
def stack(new_stack: Callable[..., Stack]) -> Iterator[Stack]:
    project = new_stack()
    yield project
    project.down()


@pytest.fixture(scope="package")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")
