"""The stack on Valkey, once through what it asks of its Redis. `REDIS_BASE=... make e2e` runs every
test on another base image.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compose_stack import UP_SECONDS, Stack, docker, write_log
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
BASE = os.environ.get("VALKEY_BASE", "valkey/valkey:8-bookworm")
ROWS = {"context": {"colour": "a"}, "candidates": [{"size": "a"}, {"size": "b"}]}


@pytest.fixture(scope="module")
def stack(
    new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    if docker("image", "inspect", BASE).returncode and docker("pull", "-q", BASE).returncode:
        pytest.skip(f"no image {BASE}, and it cannot be had from here; VALKEY_BASE names another")
    log = write_log(tmp_path_factory.mktemp("log"))
    try:
        built = docker("compose", "build", "redis", REDIS_BASE=BASE)
        assert built.returncode == 0, built.stderr[-4000:]
        project = new_stack(**log)
        project.up()
        yield project
        project.down()
    finally:
        docker("compose", "build", "redis")  # the image of that name again, from the layers at hand


def test_versions_are_published_followed_and_rolled_back_on_valkey(stack: Stack) -> None:
    assert "valkey_version" in stack.redis_as("operator", "info server")
    first = stack.post("/predict", ROWS)
    again = stack.make("retrain", AFM_TRAIN="always", AFM_FIT="--seed 7")
    assert again.returncode == 0, again.stderr[-2000:]
    until(lambda: stack.get("/readyz")["version"] != first["version"])
    assert stack.make("rollback").returncode == 0
    until(lambda: stack.get("/readyz")["version"] == first["version"])
    assert stack.post("/predict", ROWS) == first


def test_users_of_valkey_may_do_their_work_and_no_more(stack: Stack) -> None:
    assert "NOAUTH" in stack.redis_cli("get afm:default:active")
    assert "NOPERM" in stack.redis_as("service", "set afm:default:active v0")
    assert "NOPERM" in stack.redis_as("publisher", "flushall")


def test_passwords_of_valkey_are_rotated_and_what_it_holds_outlives_a_restart(stack: Stack) -> None:
    scores = stack.post("/predict", ROWS)
    old = stack.compose("exec", "-T", "redis", "cat", "/logins/service/url").stdout.strip()
    rotated = stack.make("rotate")
    assert rotated.returncode == 0, rotated.stderr
    assert "PONG" not in stack.redis_cli(f"-u {old} ping")
    stack.compose("restart", "redis", "--timeout", "5")
    until(lambda: stack.get("/readyz")["redis"] == "ok")
    assert scores["version"] in stack.serve("versions").stdout


def test_a_backup_of_valkey_is_restored_to_the_bit(stack: Stack, tmp_path: Path) -> None:
    scores = stack.post("/predict", ROWS)
    assert stack.make("backup", f"TO={tmp_path / 'kept'}").returncode == 0
    stack.down()
    assert stack.make("restore", f"FROM={tmp_path / 'kept'}").returncode == 0
    stack.up()
    assert stack.post("/predict", ROWS) == scores
