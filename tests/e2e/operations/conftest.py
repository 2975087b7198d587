"""The stack that the tests of this folder share, with API keys and a small disk."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compose_stack import Stack, docker, write_log

STORE_MB = 16  # of the disk that the bundle store is on, which gets full


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("operations")
    made.chmod(0o755)
    return made


@pytest.fixture(scope="package")
def stack(new_stack: Callable[..., Stack], folder: Path) -> Iterator[Stack]:
    (folder / "keys").mkdir()
    keys = str(folder / "keys")
    project = new_stack(AFM_API_KEYS=keys, AFM_MAX_WAIT_MS="9000", **write_log(folder))
    disk = f"size={STORE_MB}m,uid=10001,gid=10001"
    labels = [f"com.docker.compose.project={project.name}", "com.docker.compose.volume=bundles"]
    docker(
        *("volume", "create", *(part for label in labels for part in ("--label", label))),
        *("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", f"o={disk}", f"{project.name}_bundles"),
    )
    yield project
    project.down()
